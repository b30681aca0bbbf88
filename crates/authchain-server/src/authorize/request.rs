//! Reading an authorization request: first what must be right before anything may be redirected, then the rest.

use authchain::core::{ClientId, Email, Scopes};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    clients::{Client, NoClient},
    keys::from_base64url,
    params::Params,
    resource, scopes,
    server::Shared,
};

/// Longer values of `state` and `nonce` are no client's that we know; a URL must carry them back.
const MAX_ECHOED: usize = 4096;

/// A request that is in order. It travels in the page's ticket and, after consent, in the pending transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuthorizeRequest {
    pub(crate) client: ClientId,
    /// As the client calls itself.
    pub(crate) client_name: String,
    /// As it was presented, to the byte.
    pub(crate) redirect_uri: String,
    /// Returned as it was sent.
    pub(crate) state: Option<String>,
    /// PKCE, S256 (RFC 7636, section 4.3).
    pub(crate) challenge: String,
    /// What the client will get at most.
    pub(crate) scopes: Scopes,
    /// For an id token (OpenID Connect Core 1.0, section 3.1.2.1).
    pub(crate) nonce: Option<String>,
    /// The key that the code, and what it gives, is bound to (RFC 9449, section 10).
    #[serde(default)]
    pub(crate) bound_to: Option<String>,
    /// Which account the client suggests; a hint for the provider's page and nothing more.
    pub(crate) login_hint: Option<Email>,
    /// What the person took out of what the client asked for.
    #[serde(default)]
    pub(crate) declined: Scopes,
    /// Whether the person's yes is remembered.
    #[serde(default)]
    pub(crate) remember: bool,
    /// The person whose remembered consent let this pass without a page: nobody else may sign in.
    #[serde(default)]
    pub(crate) expected: Option<Email>,
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nothing may be redirected: there is no such client, or that cannot be told now.
    NoClient(NoClient),
    /// Nothing may be redirected: the address to return to is not the client's.
    BadRedirect(Box<Client>),
    /// Nothing may be redirected: a parameter that names client or address is there twice or not at all.
    Unreadable(String),
    /// The client is told.
    Tell { client: Box<Client>, redirect_uri: String, state: Option<String>, error: &'static str, description: String },
}

/// Reads a request.
pub(super) async fn read(server: &Shared, params: &Params) -> Result<(AuthorizeRequest, Client), Refused> {
    let unreadable = |bad: crate::params::BadParams| Refused::Unreadable(bad.describe());
    let id = params.one("client_id").map_err(unreadable)?;
    let id = id.ok_or_else(|| Refused::Unreadable("client_id is missing".into()))?;
    let client = Client::find(server, id).await.map_err(Refused::NoClient)?;
    let presented = params.one("redirect_uri").map_err(unreadable)?;
    let Some(redirect_uri) = client.metadata.redirect_uri(presented) else {
        return Err(Refused::BadRedirect(Box::new(client)));
    };
    if comes_back_here(server, &redirect_uri) {
        return Err(Refused::BadRedirect(Box::new(client)));
    }
    let state = params.one("state").map_err(unreadable)?.map(str::to_owned);
    match rest(server, params) {
        Ok(Rest { challenge, scopes, nonce, bound_to }) => {
            let request = AuthorizeRequest {
                client: client.id.clone(),
                client_name: client.metadata.name().into(),
                redirect_uri,
                state,
                challenge,
                scopes,
                nonce,
                bound_to,
                login_hint: params.one("login_hint").ok().flatten().and_then(|hint| Email::new(hint).ok()),
                declined: Scopes::none(),
                remember: false,
                expected: None,
            };
            Ok((request, client))
        }
        Err((error, description)) => {
            Err(Refused::Tell { client: Box::new(client), redirect_uri, state, error, description })
        }
    }
}

/// Whether an answer would be a new authorization request, sent from a page of ours: it would look as if the person had
/// started it themselves.
fn comes_back_here(server: &Shared, redirect_uri: &str) -> bool {
    let ours = &server.options.paths.authorize;
    Url::parse(redirect_uri).is_ok_and(|uri| {
        uri.origin() == server.options.public_url.origin()
            && (uri.path() == ours || uri.path() == server.urls.link(ours))
    })
}

struct Rest {
    challenge: String,
    scopes: Scopes,
    nonce: Option<String>,
    bound_to: Option<String>,
}

/// Everything whose fault the client is told by a redirect (RFC 6749, section 4.1.2.1; RFC 8707, section 2).
fn rest(server: &Shared, params: &Params) -> Result<Rest, (&'static str, String)> {
    let invalid = |description: &str| ("invalid_request", description.to_owned());
    let one = |name| params.one(name).map_err(|bad| ("invalid_request", bad.describe()));
    if one("request")?.is_some() {
        return Err(("request_not_supported", "request objects are not supported".into()));
    }
    if one("request_uri")?.is_some() {
        return Err(("request_uri_not_supported", "request objects are not supported".into()));
    }
    match one("response_type")? {
        Some("code") => {}
        Some(_) => return Err(("unsupported_response_type", "the only response type here is code".into())),
        None => return Err(invalid("response_type is missing")),
    }
    if !matches!(one("response_mode")?, None | Some("query")) {
        return Err(invalid("the only response mode here is query"));
    }
    let challenge = one("code_challenge")?.ok_or_else(|| invalid("code_challenge is missing: PKCE is required"))?;
    // Without a method the standard means plain, which OAuth 2.1 does not allow.
    if one("code_challenge_method")? != Some("S256") {
        return Err(invalid("code_challenge_method must be S256"));
    }
    if from_base64url(challenge).is_none_or(|hash| hash.len() != 32) {
        return Err(invalid("code_challenge is not the base64url of a SHA-256"));
    }
    if !resource::all_name(&server.options.resource, params.all("resource")) {
        return Err(("invalid_target", format!("this server gives access to {} only", server.urls.resource)));
    }
    let nonce = one("nonce")?.map(str::to_owned);
    // Where DPoP is off the parameter is one of those that nobody knows, and those are ignored.
    let bound_to = one("dpop_jkt")?.filter(|_| server.dpop.is_some());
    if bound_to.is_some_and(|key| from_base64url(key).is_none_or(|hash| hash.len() != 32)) {
        return Err(invalid("dpop_jkt is not the base64url of a SHA-256"));
    }
    let bound_to = bound_to.map(str::to_owned);
    let too_long = |text: Option<&str>| text.is_some_and(|text| text.len() > MAX_ECHOED);
    if too_long(nonce.as_deref()) || too_long(one("state")?) {
        return Err(invalid("state and nonce have at most 4096 characters"));
    }
    let scopes = scopes::narrow(one("scope")?, &server.options.scopes_supported, &server.options.default_scopes);
    match one("prompt")? {
        // Every authorization shows a page here, so one without any cannot be given.
        Some(prompt) if prompt.split(' ').any(|p| p == "none") => {
            Err(("consent_required", "this server asks for consent every time".into()))
        }
        _ => Ok(Rest { challenge: challenge.to_owned(), scopes, nonce, bound_to }),
    }
}
