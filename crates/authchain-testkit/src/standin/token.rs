//! The token endpoint and revocation (RFC 6749, RFC 7009), with Google's answers.

use std::sync::Arc;

use authchain_core::{Credential, CredentialStatus, Email, Scopes, Secret};
use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::{
    identity::id_token,
    ledger::{Consent, Holder, Issued, SEVEN_DAYS, Terms},
    oauth_error::OAuthError,
    params::Params,
    scopes::normalised,
    world::World,
};

/// `/token`
pub(crate) async fn token(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Params::parse(&body);
    let answer = authenticate(&world, &headers, &form).and_then(|client| match form.get("grant_type") {
        Some("authorization_code") => exchange(&world, &client, &form),
        Some("refresh_token") => refresh(&world, &client, &form),
        Some(other) => Err(OAuthError::new(400, "unsupported_grant_type", &format!("Invalid grant_type: {other}"))),
        None => Err(OAuthError::missing("grant_type")),
    });
    match answer {
        Ok(body) => {
            ([(header::CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate")], Json(body)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// `/revoke`: the token in the form or in the query.
pub(crate) async fn revoke(State(world): State<Arc<World>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let (form, query) = (Params::parse(&body), Params::of_query(query.as_deref()));
    let Some(token) = form.get("token").or_else(|| query.get("token")) else {
        return OAuthError::missing("token").into_response();
    };
    let now = world.now();
    if world.ledger().revoke(token, now) {
        Json(json!({})).into_response()
    } else {
        OAuthError::new(400, "invalid_token", "Token expired or revoked").into_response()
    }
}

impl World {
    /// What a client would hold if this person had just granted it these scopes.
    pub(crate) fn credential(&self, email: &Email, scopes: &Scopes) -> Option<Credential> {
        let subject = self.people().by_email(email)?.subject.to_owned();
        let client = self.clients.first()?.clone();
        let consent = Consent {
            holder: Holder { email: email.clone(), client: client.id.clone() },
            scopes: normalised(scopes),
            offline: true,
            include_granted: false,
            redirect_uri: String::new(),
            challenge: None,
            nonce: None,
        };
        let terms = Terms { omit_refresh_token: false, ..self.terms() };
        let mut ledger = self.ledger();
        let code = ledger.consent(consent, terms.now);
        let issued = ledger.redeem(&code, &client.id, "", None, terms).ok()?;
        Some(Credential {
            email: Some(email.clone()),
            subject: Some(subject),
            access_token: Some(Secret::new(issued.access_token)),
            expires_at: Some(terms.now + terms.access_token_life),
            refresh_token: issued.refresh_token.map(Secret::new),
            scopes: issued.scopes,
            token_uri: format!("{}/token", self.issuer),
            client,
            status: CredentialStatus::Active,
            granted_at: terms.now,
            extra: Map::new(),
        })
    }
}

/// The client, by `client_secret_basic` or `client_secret_post` (RFC 6749, section 2.3.1).
fn authenticate(world: &World, headers: &HeaderMap, form: &Params) -> Result<String, OAuthError> {
    let (id, secret) = match basic(headers) {
        Some((id, secret)) => (id, Some(secret)),
        None => {
            let id = form.get("client_id").ok_or_else(|| OAuthError::missing("client_id"))?;
            (id.to_owned(), form.get("client_secret").map(str::to_owned))
        }
    };
    let client =
        world.client(&id).ok_or_else(|| OAuthError::new(401, "invalid_client", "The OAuth client was not found."))?;
    match (&client.secret, secret) {
        (None, None) => Ok(id),
        (Some(expected), Some(given)) if *expected == Secret::new(given.as_str()) => Ok(id),
        (Some(_), None) => Err(OAuthError::new(400, "invalid_request", "client_secret is missing.")),
        _ => Err(OAuthError::new(401, "invalid_client", "The provided client secret is invalid.")),
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok()).flatten()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    // Both parts are form-encoded before they are joined (RFC 6749, section 2.3.1).
    let decode = |text: &str| Params::parse(format!("v={text}").as_bytes()).get("v").map(str::to_owned);
    Some((decode(id)?, decode(secret).unwrap_or_default()))
}

fn exchange(world: &World, client: &str, form: &Params) -> Result<Value, OAuthError> {
    let code = form.get("code").ok_or_else(|| OAuthError::missing("code"))?;
    let redirect_uri = form.get("redirect_uri").ok_or_else(|| OAuthError::missing("redirect_uri"))?;
    let terms = world.terms();
    let issued = world.ledger().redeem(code, client, redirect_uri, form.get("code_verifier"), terms)?;
    answer(world, issued)
}

fn refresh(world: &World, client: &str, form: &Params) -> Result<Value, OAuthError> {
    let token = form.get("refresh_token").ok_or_else(|| OAuthError::missing("refresh_token"))?;
    if let Some(words) = world.mood().refuse_refresh {
        return Err(OAuthError::refusal(&words));
    }
    let narrower = form.get("scope").map(|scope| normalised(&scope.into()));
    let terms = world.terms();
    let mut issued = world.ledger().refresh(token, client, narrower.as_ref(), terms)?;
    if terms.omit_refresh_token {
        issued.refresh_token = None;
    }
    answer(world, issued)
}

fn answer(world: &World, issued: Issued) -> Result<Value, OAuthError> {
    let terms = world.terms();
    let id_token = id_token(world, &issued).map_err(|_| OAuthError::of_status(500))?;
    let mut body = Map::new();
    body.insert("access_token".into(), issued.access_token.into());
    body.insert("expires_in".into(), terms.access_token_life.as_secs().into());
    if let Some(refresh_token) = issued.refresh_token {
        body.insert("refresh_token".into(), refresh_token.into());
        if terms.seven_day_death {
            // Google names the end of a refresh token only where there is one.
            body.insert("refresh_token_expires_in".into(), (SEVEN_DAYS.as_secs() - 1).into());
        }
    }
    body.insert("scope".into(), issued.scopes.to_string().into());
    body.insert("token_type".into(), "Bearer".into());
    if let Some(id_token) = id_token {
        body.insert("id_token".into(), id_token.into());
    }
    Ok(Value::Object(body))
}
