//! The strings that the stand-in dances on: misbehaviour on command, and counters of what was asked of it.

mod endpoint;
mod mood;
mod remote;
mod traffic;

use std::{sync::Arc, time::Duration};

use authchain_core::{Credential, Email, Scopes, Secret};

pub use endpoint::Endpoint;
pub(crate) use mood::Mood;
pub(crate) use remote::routes;
pub(crate) use traffic::Traffic;

use serde::{Deserialize, Serialize};

use crate::standin::World;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// This HTTP status, with Google's error body of that status.
    Status {
        /// The status, 400 to 599.
        status: u16,
        /// The value of `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// One of the reasons that Google's APIs refuse with: `accessNotConfigured`, `rateLimitExceeded`,
    /// `userRateLimitExceeded`, `dailyLimitExceeded`, `domainPolicy`, `insufficientPermissions`, `authError`,
    /// `backendError`. Another word is sent as the reason of a 403.
    Refusal(String),
    /// Status 200 and a body that is no JSON.
    Garbage,
    /// The connection is closed without an answer.
    Close,
    /// The request is carried out, and then the connection is closed without an answer.
    LostAnswer,
    /// The right answer, one byte at a time, with this pause between them.
    Trickle(#[serde(with = "millis")] Duration),
}

/// The stand-in's controls. Cheap to clone; all clones work the same stand-in.
#[derive(Clone)]
pub struct Control {
    world: Arc<World>,
}

/// Requests that arrive at an endpoint are held back until this is dropped.
pub struct Hold {
    world: Arc<World>,
    endpoint: Endpoint,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.world.traffic.let_go(self.endpoint);
    }
}

/// One request as the log keeps it: no query, no header, no body, so no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Where it went.
    pub endpoint: Endpoint,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The status that was answered; 0 while there is none, and when the connection was closed.
    pub status: u16,
}

impl Control {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Every answer of this endpoint comes this much later, until set to zero again.
    pub fn delay(&self, endpoint: Endpoint, by: Duration) {
        self.world.traffic.delay(endpoint, by);
    }

    /// The next `times` requests answer with this status. `u64::MAX` means until [`Control::heal`].
    pub fn fail(&self, endpoint: Endpoint, status: u16, times: u64) {
        self.inject(endpoint, Fault::Status { status, retry_after: None }, times);
    }

    /// The next `times` requests meet this fault. `u64::MAX` means until [`Control::heal`].
    pub fn inject(&self, endpoint: Endpoint, fault: Fault, times: u64) {
        self.world.traffic.inject(endpoint, fault, times);
    }

    /// Holds back every request to this endpoint until the returned value is dropped: for tests in which many wait for one.
    #[must_use = "dropping it lets the requests pass"]
    pub fn hold(&self, endpoint: Endpoint) -> Hold {
        self.world.traffic.hold(endpoint);
        Hold { world: self.world.clone(), endpoint }
    }

    /// Behaves again: no delays, faults, refusals, omissions or lies. What was issued and counted stays.
    pub fn heal(&self) {
        self.world.traffic.heal();
        self.world.change_mood(Mood::heal);
    }

    /// Every refresh is refused with these words until `None` is given: `invalid_grant`, `invalid_rapt` (sent as
    /// `invalid_grant` with `error_subtype: invalid_rapt`), `invalid_client`, `unauthorized_client`, ...
    pub fn refuse_refresh<'a>(&self, words: impl Into<Option<&'a str>>) {
        let words = words.into().map(str::to_owned);
        self.world.change_mood(|mood| mood.refuse_refresh = words);
    }

    /// No token answer has a refresh token any more.
    pub fn omit_refresh_token(&self, on: bool) {
        self.world.change_mood(|mood| mood.omit_refresh_token = on);
    }

    /// Each refresh answers with a new refresh token and the used one dies (Google never does this; others do).
    pub fn rotate_refresh_tokens(&self, on: bool) {
        self.world.change_mood(|mood| mood.rotate_refresh_tokens = on);
    }

    /// Refresh tokens die seven days after they were issued, as for an app in testing mode.
    pub fn seven_day_death(&self, on: bool) {
        self.world.change_mood(|mood| mood.seven_day_death = on);
    }

    /// Makes every grant and token this much older than it is.
    pub fn age(&self, by: Duration) {
        self.world.ledger().age(by);
    }

    /// ID tokens are issued for another client.
    pub fn wrong_audience(&self, on: bool) {
        self.world.change_mood(|mood| mood.wrong_audience = on);
    }

    /// ID tokens name this address, whoever signed in.
    pub fn wrong_email<'a>(&self, email: impl Into<Option<&'a Email>>) {
        let email = email.into().cloned();
        self.world.change_mood(|mood| mood.wrong_email = email);
    }

    /// ID tokens are stamped by a clock this many seconds ahead (or behind, when negative).
    pub fn id_token_skew(&self, seconds: i64) {
        self.world.change_mood(|mood| mood.id_token_skew = seconds);
    }

    /// Signs with a new key from now on. The key before stays in the JWKS, the one before that goes. Takes some 100 ms.
    pub fn rotate_keys(&self) {
        self.world.keys().rotate().expect("what was there to make the first key makes the next");
    }

    /// Every access token issued so far is expired, whatever its holder believes.
    pub fn expire_access_tokens(&self) {
        let now = self.world.now();
        self.world.ledger().expire_access_tokens(now);
    }

    /// How long new access tokens live, as `expires_in` says.
    pub fn access_token_life(&self, life: Duration) {
        self.world.change_mood(|mood| mood.access_token_life = life);
    }

    /// Whatever is asked for and ticked, only these scopes are granted; `None` ends it.
    pub fn grant_only<'a>(&self, scopes: impl Into<Option<&'a Scopes>>) {
        let scopes = scopes.into().cloned();
        self.world.change_mood(|mood| mood.grant_only = scopes);
    }

    /// Auto-approval signs this person in, whatever `login_hint` says; `None` ends it.
    pub fn sign_in_as<'a>(&self, email: impl Into<Option<&'a Email>>) {
        let email = email.into().cloned();
        self.world.change_mood(|mood| mood.sign_in_as = email);
    }

    /// Whether pages are shown.
    pub fn auto_approve(&self, on: bool) {
        self.world.change_mood(|mood| mood.auto_approve = on);
    }

    /// Authorization ends with a redirect to the client with this error: `access_denied`, `admin_policy_enforced`, ...
    pub fn refuse_authorize<'a>(&self, error: impl Into<Option<&'a str>>) {
        let error = error.into().map(str::to_owned);
        self.world.change_mood(|mood| mood.refuse_authorize = error);
    }

    /// Authorization ends on an error page and never comes back to the client, as Google does for `org_internal`,
    /// `disallowed_useragent`, or a person who is not on the list of testers (`access_denied`).
    pub fn dead_end<'a>(&self, error: impl Into<Option<&'a str>>) {
        let error = error.into().map(str::to_owned);
        self.world.change_mood(|mood| mood.dead_end = error);
    }

    /// A grant without a sign-in: what the client would hold if this person had just granted it these scopes. For tests
    /// that begin after the sign-in. `None` for a person who is not there.
    pub fn credential(&self, email: &Email, scopes: &Scopes) -> Option<Credential> {
        self.world.credential(email, scopes)
    }

    /// How many requests arrived at this endpoint, failed ones included.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.world.traffic.requests(endpoint)
    }

    /// Waits until this many requests have arrived at this endpoint.
    pub async fn arrived(&self, endpoint: Endpoint, requests: u64) {
        self.world.traffic.arrived(endpoint, requests).await;
    }

    /// Sets every counter to zero and empties the log.
    pub fn reset_counters(&self) {
        self.world.traffic.reset();
    }

    /// The last 10,000 requests, oldest first.
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.world.traffic.log()
    }

    /// How many refresh tokens of this person are alive.
    pub fn live_refresh_tokens(&self, email: &Email) -> usize {
        self.world.ledger().live_refresh_tokens(email)
    }

    /// Every secret that was ever issued or received: codes, access, refresh and ID tokens, PKCE verifiers, the client's
    /// secret. For tests that search logs, pages and errors for them.
    pub fn issued_secrets(&self) -> Vec<Secret> {
        self.world.ledger().issued()
    }
}

/// A pause as the remote control writes it: whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(pause: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
