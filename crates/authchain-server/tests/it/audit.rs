//! Number 22 of the checklist, test 16 of the field's lessons: every decision is one event, and no event, no log line and
//! no page carries a secret.

use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, Once},
};

use authchain::provider::Pkce;
use tracing_subscriber::{
    Layer, filter,
    fmt::{MakeWriter, writer::OptionalWriter},
    layer::SubscriberExt,
};

use crate::world::{World, choice, text};

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static LISTENING: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Ends the listening of a test.
pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        LISTENING.set(None);
    }
}

/// What the thread that writes listens with; nothing is kept of the others.
struct OfThisThread;

impl<'a> MakeWriter<'a> for OfThisThread {
    type Writer = OptionalWriter<Log>;
    fn make_writer(&'a self) -> Self::Writer {
        LISTENING.with_borrow(Option::clone).map_or_else(OptionalWriter::none, OptionalWriter::some)
    }
}

/// Everything that this thread logs, down to the last detail. The server of a test runs on the test's own thread.
///
/// There is one subscriber for all tests, and it takes part in every event: `tracing` remembers for each place in the code
/// whether anybody is interested, and what it remembers must not hang on which test came by first.
pub(crate) fn listen() -> (Log, Guard) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listening = filter::dynamic_filter_fn(|_, _| LISTENING.with_borrow(Option::is_some));
        let written =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(OfThisThread).with_filter(listening);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(written)).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
    let log = Log::default();
    LISTENING.set(Some(log.clone()));
    (log, Guard)
}

#[tokio::test]
async fn n22_every_decision_of_a_sign_in_is_one_event_and_no_line_has_a_secret() {
    let (log, _guard) = listen();
    let world = World::new().await;
    let (client, answer) = world.confidential_client("client_secret_post").await;
    let pkce = Pkce::generate();
    let code = world.code(&client, &pkce, "ann@example.com").await;
    let (_, tokens) = world.redeem(&client, &pkce, &code).await;
    let (_, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    let revoke = [
        ("token", text(&next, "refresh_token")),
        ("client_id", client.id.clone()),
        ("client_secret", client.secret.clone().unwrap()),
    ];
    let revoke: Vec<(&str, &str)> = revoke.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(world.post_form("/oauth/revoke", &revoke).await.0, 200);

    let lines = log.text();
    for what in ["client_registered", "consent", "sign_in", "code_redeemed", "token_refreshed", "token_revoked"] {
        let events =
            lines.lines().filter(|line| line.contains("authchain::audit") && line.contains(&format!("\"{what}\"")));
        assert_eq!(events.count(), 1, "{what}\n{lines}");
    }
    assert!(lines.contains("ann@example.com") && lines.contains("Confidential Client"));

    let mut secrets: Vec<String> =
        world.google.control().issued_secrets().iter().map(|secret| secret.expose().to_owned()).collect();
    secrets.extend([
        client.secret.unwrap(),
        text(&answer, "registration_access_token"),
        code,
        pkce.verifier.expose().to_owned(),
        text(&tokens, "access_token"),
        text(&tokens, "refresh_token"),
        text(&next, "refresh_token"),
    ]);
    for secret in secrets {
        assert!(!lines.contains(&secret), "a secret of {} characters is in the log", secret.len());
    }
}

#[tokio::test]
async fn a_refusal_is_an_event_with_the_number_on_the_page() {
    let (log, _guard) = listen();
    let world = World::new().await;
    let browser = world.browser();
    for url in [world.at("/oauth/authorize?client_id=x"), world.at("/oauth2callback?state=x")] {
        let page = browser.open(url).await.unwrap();
        let number = page.text().rsplit(' ').next().unwrap().to_owned();
        assert!(log.text().lines().any(|line| line.contains("refused") && line.contains(&number)), "{number}");
    }
}

#[tokio::test]
async fn n22_a_session_cookie_and_a_session_token_are_in_no_line_either() {
    let (log, _guard) = listen();
    let world = World::new().await;
    let browser = world.browser();
    browser.walk(world.at("/auth"), &choice("ann@example.com")).await.unwrap();
    let list = browser.open(world.at("/auth/sessions")).await.unwrap();
    let shown = browser.press(&list, "Make a session token", &[]).await.unwrap();
    let token = shown.text().split_whitespace().find(|word| word.starts_with("acs_")).unwrap().to_owned();
    let cookie = browser.cookie(&world.base, "authchain-browser").unwrap();
    let lines = log.text();
    assert!(lines.contains("session_opened"));
    assert!(!lines.contains(&token) && !lines.contains(&cookie));
}
