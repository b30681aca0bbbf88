//! The authorization endpoint (RFC 6749, section 4.1.1) with Google's rules: who is asked what, and when nobody is.

use std::sync::Arc;

use authchain_core::{Email, Scopes};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use bytes::Bytes;
use url::{Host, Url};

use super::{
    ledger::{Consent, Holder, random},
    pages,
    params::Params,
    scopes::{is_sign_in, normalised, refused},
    world::World,
};

/// A sign-in whose pages are open.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Scopes,
    /// Who was chosen.
    pub(crate) account: Option<Email>,
    state: Option<String>,
    offline: bool,
    ask_again: bool,
    include_granted: bool,
    challenge: Option<String>,
    nonce: Option<String>,
}

/// An error page of the authorization endpoint: Google never redirects with these.
pub(crate) struct DeadEnd {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) words: String,
}

/// `GET /o/oauth2/v2/auth`
pub(crate) async fn authorize(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let query = Params::of_query(query.as_deref());
    let mut visit = match begin(&world, &query) {
        Ok(visit) => visit,
        Err(dead_end) => return pages::dead_end(&dead_end),
    };
    let mood = world.mood();
    if let Some(error) = &mood.refuse_authorize {
        return refuse(&visit, error);
    }
    let prompts: Vec<&str> = query.get("prompt").unwrap_or_default().split_ascii_whitespace().collect();
    let hint = query.get("login_hint");
    if mood.auto_approve {
        visit.account = world.who(hint);
        if prompts.contains(&"none") && visit.needs_consent(&world) {
            return refuse(&visit, "interaction_required");
        }
        let scopes = visit.scopes.clone();
        return grant(&world, &visit, scopes);
    }
    if prompts.contains(&"none") {
        return refuse(&visit, "interaction_required");
    }
    if !prompts.contains(&"select_account") {
        visit.account =
            hint.and_then(|hint| Email::new(hint).ok()).filter(|email| world.people().by_email(email).is_some());
    }
    proceed(&world, visit, None)
}

/// `POST /o/oauth2/v2/auth/account`: somebody was chosen.
pub(crate) async fn choose_account(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let form = Params::parse(&body);
    let Some((id, mut visit)) = find_visit(&world, &form) else { return pages::dead_end(&DeadEnd::forgotten()) };
    let chosen = form.get("account").and_then(|account| Email::new(account).ok());
    visit.account = chosen.filter(|email| world.people().by_email(email).is_some());
    proceed(&world, visit, Some(id))
}

/// `GET /o/oauth2/v2/auth/pages?visit=`: the page that is due, the account chooser or the consent screen.
pub(crate) async fn page(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let Some((id, visit)) = find_visit(&world, &Params::of_query(query.as_deref())) else {
        return pages::dead_end(&DeadEnd::forgotten());
    };
    match &visit.account {
        None => pages::chooser(&world, &id, &visit),
        Some(email) => pages::consent(&id, &visit, email, &visit.granted(&world)),
    }
}

/// `POST /o/oauth2/v2/auth/consent`: somebody said yes, in part, or no.
pub(crate) async fn consent(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let form = Params::parse(&body);
    let Some((id, visit)) = find_visit(&world, &form) else { return pages::dead_end(&DeadEnd::forgotten()) };
    world.visits().remove(&id);
    if form.get("decision") != Some("allow") {
        return refuse(&visit, "access_denied");
    }
    let (ticked, granted): (Scopes, _) = (form.all("scope").collect(), visit.granted(&world));
    let scopes: Scopes = visit
        .scopes
        .iter()
        .filter(|scope| is_sign_in(scope) || ticked.contains(scope) || granted.contains(scope))
        .collect();
    if scopes.is_empty() { refuse(&visit, "access_denied") } else { grant(&world, &visit, scopes) }
}

/// Checks a request; what is wrong with it is said on a page.
fn begin(world: &World, query: &Params) -> Result<Visit, DeadEnd> {
    if let Some(error) = world.mood().dead_end {
        return Err(DeadEnd::ordered(&error));
    }
    let need = |name: &str| query.get(name).ok_or_else(|| DeadEnd::missing(name));
    let client = need("client_id")?;
    if world.client(client).is_none() {
        return Err(DeadEnd::new(401, "invalid_client", "The OAuth client was not found."));
    }
    let redirect_uri = need("redirect_uri")?;
    if !world.redirect_uris.iter().any(|known| known == redirect_uri) && !is_loopback(redirect_uri) {
        let words = format!("The redirect URI of this request is not registered for this client: {redirect_uri}");
        return Err(DeadEnd::new(400, "redirect_uri_mismatch", &words));
    }
    if need("response_type")? != "code" {
        return Err(DeadEnd::new(400, "unsupported_response_type", "Only response_type=code is served."));
    }
    let scopes = normalised(&need("scope")?.into());
    let bad = refused(&scopes);
    if !bad.is_empty() {
        return Err(DeadEnd::new(400, "invalid_scope", &format!("Some requested scopes were invalid: {bad}")));
    }
    let challenge = query.get("code_challenge").map(str::to_owned);
    if challenge.is_some() && query.get("code_challenge_method") != Some("S256") {
        return Err(DeadEnd::new(400, "invalid_request", "code_challenge_method must be S256."));
    }
    Ok(Visit {
        client: client.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        scopes,
        account: None,
        state: query.get("state").map(str::to_owned),
        offline: query.get("access_type") == Some("offline"),
        ask_again: query.get("prompt").unwrap_or_default().split_ascii_whitespace().any(|prompt| prompt == "consent"),
        include_granted: query.is_true("include_granted_scopes"),
        challenge,
        nonce: query.get("nonce").map(str::to_owned),
    })
}

/// Redirects to the page that is due, or, when nothing is left to ask, back to the client.
fn proceed(world: &World, visit: Visit, id: Option<String>) -> Response {
    if visit.account.is_some() && !visit.needs_consent(world) {
        if let Some(id) = id {
            world.visits().remove(&id);
        }
        let scopes = visit.scopes.clone();
        return grant(world, &visit, scopes);
    }
    let id = id.unwrap_or_else(random);
    let page = format!("{}/o/oauth2/v2/auth/pages?visit={id}", world.issuer);
    world.visits().insert(id, visit);
    pages::redirect(&page)
}

/// Notes the grant and goes back to the client with a code.
fn grant(world: &World, visit: &Visit, scopes: Scopes) -> Response {
    let Some(email) = &visit.account else { return refuse(visit, "access_denied") };
    let shown = visit.needs_consent(world);
    let scopes = world.mood().grant_only.map_or(scopes, |only| normalised(&only));
    let code = world.ledger().consent(
        Consent {
            holder: visit.holder(email),
            scopes: scopes.clone(),
            offline: visit.offline && shown,
            include_granted: visit.include_granted,
            redirect_uri: visit.redirect_uri.clone(),
            challenge: visit.challenge.clone(),
            nonce: visit.nonce.clone(),
        },
        world.now(),
    );
    let prompt = if shown { "consent" } else { "none" };
    back(visit, &[("code", code.as_str()), ("scope", &scopes.to_string()), ("authuser", "0"), ("prompt", prompt)])
}

fn refuse(visit: &Visit, error: &str) -> Response {
    back(visit, &[("error", error)])
}

/// Back to the client, with `state` as it was sent (RFC 6749, section 4.1.2).
fn back(visit: &Visit, params: &[(&str, &str)]) -> Response {
    let Ok(mut url) = Url::parse(&visit.redirect_uri) else {
        return pages::dead_end(&DeadEnd::new(400, "redirect_uri_mismatch", "The redirect URI is no URL."));
    };
    let state = visit.state.as_deref().map(|state| ("state", state));
    url.query_pairs_mut().extend_pairs(state).extend_pairs(params);
    pages::redirect(url.as_str())
}

fn find_visit(world: &World, params: &Params) -> Option<(String, Visit)> {
    let id = params.get("visit")?;
    world.visits().get(id).map(|visit| (id.to_owned(), visit.clone()))
}

/// Desktop clients may name any port of a loopback address (RFC 8252, section 7.3).
fn is_loopback(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let loopback = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    loopback && url.scheme() == "http" && url.fragment().is_none()
}

impl Visit {
    /// What this client was granted before.
    fn granted(&self, world: &World) -> Scopes {
        self.account.as_ref().map(|email| world.ledger().granted(&self.holder(email))).unwrap_or_default()
    }

    /// Whether Google would show the consent screen: something new is asked for, or `prompt=consent`.
    fn needs_consent(&self, world: &World) -> bool {
        self.ask_again || !self.scopes.is_subset(&self.granted(world))
    }

    fn holder(&self, email: &Email) -> Holder {
        Holder { email: email.clone(), client: self.client.clone() }
    }
}

impl DeadEnd {
    fn new(status: u16, error: &str, words: &str) -> Self {
        Self { status, error: error.to_owned(), words: words.to_owned() }
    }

    fn missing(parameter: &str) -> Self {
        Self::new(400, "invalid_request", &format!("Missing required parameter: {parameter}"))
    }

    fn forgotten() -> Self {
        Self::new(
            400,
            "invalid_request",
            "This sign-in is over, or was begun before the stand-in was restarted. Start again from the app.",
        )
    }

    /// The page that was ordered through the controls.
    fn ordered(error: &str) -> Self {
        let (status, words) = match error {
            "access_denied" => (
                403,
                "This app has not completed verification and is in testing mode. Only testers that its developer approved can use it. If you are the developer, add yourself as a tester.",
            ),
            "admin_policy_enforced" => (400, "Your administrator does not let this app access these scopes."),
            "org_internal" => (403, "This client can only be used within its organization."),
            "disallowed_useragent" => {
                (403, "This embedded browser is not allowed. Open the page in a browser of the system.")
            }
            _ => (400, "This request was refused."),
        };
        Self::new(status, error, words)
    }
}
