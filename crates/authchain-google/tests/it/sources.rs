//! The token sources beside a person's sign-in, against a token endpoint that answers as it is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authchain_core::{
    AuthError, Clock, CredentialKey, Email, ErrorCode, ManualClock, OAuthClient, ProviderId, Scopes, Secret, SignIn,
    Timestamp, TokenSource, UserId,
};
use authchain_google::{
    AccessTokenFromEnvironment, AdcFile, AuthorizedUser, DelegatedServiceAccount, Delegation, Endpoints,
    GcloudCredentials, RetryPolicy, ServiceAccountKey, Upstream,
};
use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeySize, PublicKeyComponents},
    signature::{KeyPair, RsaKeyPair},
};
use axum::{
    Form, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::Url;

use crate::source::serve;

const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
const GMAIL: &str = "https://www.googleapis.com/auth/gmail.readonly";
const NOW: i64 = 1_800_000_000;

type Answer = (u16, Value);
type Form_ = Vec<(String, String)>;

/// A token endpoint with answers to give, in order; afterwards it grants.
#[derive(Clone, Default)]
struct Endpoint {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Form_>>>,
    made: Arc<AtomicU64>,
}

impl Endpoint {
    async fn start() -> (Self, Url) {
        async fn answer(State(endpoint): State<Endpoint>, Form(form): Form<Form_>) -> Response {
            endpoint.seen.lock().unwrap().push(form);
            let told = endpoint.answers.lock().unwrap().pop_front();
            // Long enough for all who ask at once to be there.
            tokio::time::sleep(Duration::from_millis(30)).await;
            let number = endpoint.made.fetch_add(1, Ordering::SeqCst);
            let granted =
                json!({ "access_token": format!("token-{number}"), "expires_in": 3599, "token_type": "Bearer" });
            let (status, body) = told.unwrap_or((200, granted));
            (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
        }
        let endpoint = Self::default();
        let app = Router::new().route("/token", post(answer)).route("/tokeninfo", post(answer));
        let url = serve(app.with_state(endpoint.clone())).await;
        (endpoint, url)
    }

    fn will_answer(&self, status: u16, body: Value) {
        self.answers.lock().unwrap().push_back((status, body));
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn sent(&self, request: usize, field: &str) -> String {
        let seen = self.seen.lock().unwrap();
        seen[request].iter().find(|(name, _)| name == field).map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

struct World {
    endpoint: Endpoint,
    url: Url,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        let (endpoint, url) = Endpoint::start().await;
        Self { endpoint, url, clock: Arc::new(ManualClock::new(Timestamp(NOW))) }
    }

    fn upstream(&self) -> Upstream {
        let retry =
            RetryPolicy { attempts: 3, first_wait: Duration::from_millis(1), longest_wait: Duration::from_secs(1) };
        Upstream {
            endpoints: Endpoints::under(self.url.clone()),
            retry,
            clock: self.clock.clone(),
            ..Upstream::new(reqwest::Client::new())
        }
    }

    fn service_account(&self) -> (Arc<DelegatedServiceAccount>, RsaKeyPair) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = STANDARD.encode(AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref());
        let file = json!({
            "type": "service_account",
            "client_email": "robot@project.iam.gserviceaccount.com",
            "client_id": "1234567890",
            "private_key_id": "key-1",
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"),
            "token_uri": format!("{}token", self.url),
            "quota_project_id": "counted",
        });
        let key = ServiceAccountKey::parse(file.to_string().as_bytes()).unwrap();
        let delegation = Delegation { domains: vec!["Example.com".into()], usual_scopes: Scopes::from(GMAIL) };
        (Arc::new(DelegatedServiceAccount::new(key, delegation, self.upstream())), pair)
    }

    fn gcloud(&self) -> GcloudCredentials {
        let user = AuthorizedUser {
            client: OAuthClient { id: "desktop".into(), secret: Some(Secret::new("client-secret")) },
            refresh_token: Secret::new("1//refresh"),
            account: None,
            token_uri: None,
            quota_project: Some("counted".into()),
        };
        GcloudCredentials::new(user, ann(), self.upstream())
    }

    fn environment(&self) -> AccessTokenFromEnvironment {
        AccessTokenFromEnvironment::new(Secret::new("ya29.given"), ann(), self.upstream())
    }
}

fn ann() -> Email {
    Email::new("ann@example.com").unwrap()
}

fn key(user: &str) -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new(user).unwrap())
}

fn refusal(error: &str, description: &str) -> Value {
    json!({ "error": error, "error_description": description })
}

#[tokio::test]
async fn a_service_account_asks_in_the_name_of_the_account_with_an_assertion_that_its_key_signed() {
    let world = World::new().await;
    let (source, pair) = world.service_account();
    let token = source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap();
    assert_eq!((token.secret().expose(), token.expires_at), ("token-0", Timestamp(NOW + 3599)));
    assert_eq!(token.scopes, Scopes::from(DRIVE));
    assert_eq!(world.endpoint.sent(0, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");

    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let verifying = jsonwebtoken::DecodingKey::from_rsa_raw_components(&public.n, &public.e);
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.validate_exp = false;
    rules.set_audience(&[format!("{}token", world.url)]);
    let assertion = world.endpoint.sent(0, "assertion");
    let decoded = jsonwebtoken::decode::<Value>(&assertion, &verifying, &rules).unwrap();
    assert_eq!(decoded.header.kid.as_deref(), Some("key-1"));
    let expected = json!({
        "iss": "robot@project.iam.gserviceaccount.com", "sub": "ann@example.com", "scope": DRIVE,
        "aud": format!("{}token", world.url), "iat": NOW, "exp": NOW + 3600,
    });
    assert_eq!(decoded.claims, expected);
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_request_is_sent_for_each_account_and_scope_set() {
    let world = World::new().await;
    let (source, _) = world.service_account();
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..200 {
        let source = source.clone();
        let (user, scope) = match n % 4 {
            0 => ("ann@example.com", DRIVE),
            1 => ("ann@example.com", GMAIL),
            2 => ("bob@example.com", DRIVE),
            _ => ("bob@example.com", GMAIL),
        };
        asking.spawn(async move {
            let token = source.access_token(&key(user), &Scopes::from(scope)).await.unwrap();
            (user, scope, token.secret().expose().to_owned())
        });
    }
    let mut tokens = std::collections::BTreeSet::new();
    while let Some(answer) = asking.join_next().await {
        tokens.insert(answer.unwrap());
    }
    assert_eq!((tokens.len(), world.endpoint.requests()), (4, 4), "{tokens:?}");
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    let world = World::new().await;
    let (source, _) = world.service_account();
    let ask = || async { source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap() };
    ask().await;
    world.clock.advance(Duration::from_secs(3000));
    assert_eq!(ask().await.secret().expose(), "token-0");
    world.clock.advance(Duration::from_secs(590));
    assert_eq!(ask().await.secret().expose(), "token-1");
}

#[tokio::test]
async fn when_a_tool_names_no_scopes_the_usual_ones_are_asked_for() {
    let world = World::new().await;
    let (source, _) = world.service_account();
    let token = source.access_token(&key("ann@example.com"), &Scopes::none()).await.unwrap();
    assert_eq!(token.scopes, Scopes::from(GMAIL));
}

#[tokio::test]
async fn a_service_account_acts_for_nobody_outside_its_domains() {
    let world = World::new().await;
    let (source, _) = world.service_account();
    for user in [
        "ann@other.com",
        "ann@sub.example.com",
        "ann@example.com.evil.org",
        "ann@notexample.com",
        "1029384756",
        "robot@project.iam.gserviceaccount.com",
        "ann@example.com@evil.org",
    ] {
        let error = source.access_token(&key(user), &Scopes::from(DRIVE)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotYourAccount, "{user}: {error}");
    }
    let elsewhere = CredentialKey::new("github".parse().unwrap(), UserId::new("ann@example.com").unwrap());
    let error = source.access_token(&elsewhere, &Scopes::from(DRIVE)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotYourAccount);
    assert_eq!(world.endpoint.requests(), 0);
    assert!(source.access_token(&key("ANN@Example.com"), &Scopes::from(DRIVE)).await.is_ok());
}

#[tokio::test]
async fn a_server_error_is_asked_again_and_reported_as_an_outage_if_it_stays() {
    let world = World::new().await;
    let (source, _) = world.service_account();
    world.endpoint.will_answer(503, json!({}));
    world.endpoint.will_answer(500, json!("broken"));
    assert!(source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.is_ok());
    assert_eq!(world.endpoint.requests(), 3);
    for _ in 0..3 {
        world.endpoint.will_answer(502, json!({}));
    }
    let error = source.access_token(&key("bob@example.com"), &Scopes::from(DRIVE)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UpstreamUnavailable, "{error}");
    assert!(error.retry_after().is_some());
    assert_eq!(world.endpoint.requests(), 6);
    let again = source.access_token(&key("bob@example.com"), &Scopes::from(DRIVE)).await.unwrap_err();
    assert_eq!((again.code(), world.endpoint.requests()), (ErrorCode::UpstreamUnavailable, 6), "not asked in vain");
    world.clock.advance(Duration::from_secs(6));
    assert!(source.access_token(&key("bob@example.com"), &Scopes::from(DRIVE)).await.is_ok());
}

#[tokio::test]
async fn nobody_who_answers_is_an_outage() {
    let world = World::new().await;
    let mut upstream = world.upstream();
    upstream.endpoints = Endpoints::under(Url::parse("http://127.0.0.1:1").unwrap());
    let source = AccessTokenFromEnvironment::new(Secret::new("ya29.given"), ann(), upstream);
    let error = source.access_token(&key("ann@example.com"), &Scopes::none()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UpstreamUnavailable);
    assert!(!format!("{error} {error:?}").contains("ya29"), "{error:?}");
}

#[tokio::test]
async fn googles_refusals_of_a_service_account_say_who_can_do_something() {
    let ask = |answer: Value| async move {
        let world = World::new().await;
        let (source, _) = world.service_account();
        world.endpoint.will_answer(400, answer);
        source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap_err()
    };
    let nobody = ask(refusal("invalid_grant", "Invalid email or User ID")).await;
    assert!(
        matches!(&nobody, AuthError::SignInNeeded { why: SignIn::Refused(words), .. } if words.contains("Invalid email"))
    );
    let bad_key = ask(refusal("invalid_grant", "Invalid JWT Signature.")).await;
    assert_eq!(bad_key.code(), ErrorCode::UpstreamRefused, "{bad_key}");
    let not_allowed = ask(refusal("unauthorized_client", "Client is unauthorized to retrieve access tokens")).await;
    assert_eq!(not_allowed.code(), ErrorCode::UpstreamRefused);
    let words = not_allowed.to_string();
    assert!(words.contains("1234567890") && words.contains(DRIVE) && words.contains("Admin console"), "{words}");
    assert_eq!(
        ask(refusal("invalid_scope", "Some requested scopes were invalid")).await.code(),
        ErrorCode::UpstreamRefused
    );
    assert_eq!(ask(json!("<html>")).await.code(), ErrorCode::UpstreamRefused);
}

#[tokio::test]
async fn a_narrower_grant_than_was_asked_for_is_not_passed_off_as_enough() {
    let world = World::new().await;
    let (source, _) = world.service_account();
    world.endpoint.will_answer(200, json!({ "access_token": "t", "expires_in": 3599, "scope": GMAIL }));
    let error = source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap_err();
    assert!(
        matches!(&error, AuthError::InsufficientScope { granted, .. } if *granted == Scopes::from(GMAIL)),
        "{error}"
    );
}

#[tokio::test]
async fn gclouds_credential_is_refreshed_once_and_serves_every_scope_it_was_granted() {
    let world = World::new().await;
    let source = world.gcloud();
    let scope = format!("{GMAIL} https://www.googleapis.com/auth/drive");
    world.endpoint.will_answer(200, json!({ "access_token": "t", "expires_in": 3599, "scope": scope }));
    for scopes in [Scopes::from(DRIVE), Scopes::from(GMAIL), Scopes::none()] {
        let token = source.access_token(&key("ann@example.com"), &scopes).await.unwrap();
        assert_eq!(token.secret().expose(), "t");
    }
    assert_eq!(world.endpoint.requests(), 1);
    assert_eq!(world.endpoint.sent(0, "refresh_token"), "1//refresh");
    assert_eq!(world.endpoint.sent(0, "client_secret"), "client-secret");
    let sheets = Scopes::from("https://www.googleapis.com/auth/script.projects");
    let error = source.access_token(&key("ann@example.com"), &sheets).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InsufficientScope);
}

#[tokio::test]
async fn the_project_that_calls_count_for_comes_with_the_token() {
    let world = World::new().await;
    let sources: [Arc<dyn TokenSource>; 2] = [Arc::new(world.gcloud()), world.service_account().0];
    for source in sources {
        world.endpoint.will_answer(200, json!({ "access_token": "t", "expires_in": 3599, "scope": GMAIL }));
        let token = source.access_token(&key("ann@example.com"), &Scopes::from(GMAIL)).await.unwrap();
        assert_eq!(token.quota_project(), Some("counted"));
    }
    world.endpoint.will_answer(200, tokeninfo("ann@example.com", json!("3599")));
    let token = world.environment().access_token(&key("ann@example.com"), &Scopes::none()).await.unwrap();
    assert_eq!(token.quota_project(), None);
}

#[tokio::test]
async fn gclouds_credential_serves_nobody_but_its_owner() {
    let world = World::new().await;
    for source in [&world.gcloud() as &dyn TokenSource, &world.environment()] {
        let error = source.access_token(&key("bob@example.com"), &Scopes::none()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotYourAccount);
    }
    assert_eq!(world.endpoint.requests(), 0);
    // {"email":"bob@example.com"}
    let id_token = "e30.eyJlbWFpbCI6ImJvYkBleGFtcGxlLmNvbSJ9.c2ln";
    world.endpoint.will_answer(200, json!({ "access_token": "t", "expires_in": 3599, "id_token": id_token }));
    let error = world.gcloud().access_token(&key("ann@example.com"), &Scopes::none()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::WrongAccount, "{error}");
}

#[tokio::test]
async fn a_refresh_token_that_google_refuses_needs_a_sign_in_and_a_refused_client_an_operator() {
    let world = World::new().await;
    world.endpoint.will_answer(400, refusal("invalid_grant", "Token has been expired or revoked."));
    let error = world.gcloud().access_token(&key("ann@example.com"), &Scopes::none()).await.unwrap_err();
    assert!(matches!(error, AuthError::SignInNeeded { why: SignIn::Refused(_), .. }));
    world.endpoint.will_answer(401, refusal("invalid_client", "The OAuth client was not found."));
    let error = world.gcloud().access_token(&key("ann@example.com"), &Scopes::none()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UpstreamRefused);
}

fn tokeninfo(email: &str, expires_in: Value) -> Value {
    json!({ "scope": format!("{DRIVE} openid"), "expires_in": expires_in, "email": email, "email_verified": "true" })
}

#[tokio::test]
async fn a_token_of_the_environment_is_asked_about_once_and_used_as_it_is() {
    let world = World::new().await;
    let source = world.environment();
    world.endpoint.will_answer(200, tokeninfo("ann@example.com", json!("3000")));
    let token = source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap();
    assert_eq!((token.secret().expose(), token.expires_at), ("ya29.given", Timestamp(NOW + 3000)));
    assert_eq!(world.endpoint.sent(0, "access_token"), "ya29.given");
    let error = source.access_token(&key("ann@example.com"), &Scopes::from(GMAIL)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InsufficientScope);
    world.clock.advance(Duration::from_secs(2900));
    source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap();
    assert_eq!(world.endpoint.requests(), 1);

    world.clock.advance(Duration::from_secs(100));
    world.endpoint.will_answer(400, refusal("invalid_token", "Invalid Value"));
    let error = source.access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap_err();
    assert!(matches!(error, AuthError::SignInNeeded { why: SignIn::NoRefreshToken, .. }), "{error}");
}

#[tokio::test]
async fn a_token_of_the_environment_that_is_somebody_elses_is_refused() {
    let world = World::new().await;
    world.endpoint.will_answer(200, tokeninfo("bob@example.com", json!(3000)));
    let error = world.environment().access_token(&key("ann@example.com"), &Scopes::from(DRIVE)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::WrongAccount);
}

#[tokio::test]
async fn no_source_shows_a_secret() {
    let world = World::new().await;
    let (service_account, _) = world.service_account();
    let shown = format!("{service_account:?} {:?} {:?}", world.gcloud(), world.environment());
    for secret in ["PRIVATE", "1//refresh", "client-secret", "ya29"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(world.clock.now() == Timestamp(NOW) && AdcFile::parse(b"{}").is_err());
}
