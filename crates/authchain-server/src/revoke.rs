//! Revocation (RFC 7009): a client gives back what it was given. Whichever of its tokens it names, the whole grant ends,
//! the access token at once as well as the refresh token.

use std::sync::Arc;

use authchain::{
    accounts::Account,
    jwt::{Algorithm, Checked, ClaimNames, KeySource, TrustedIssuer, Verifier, VerifierOptions},
};
use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL};

use crate::{
    Parts, ServerOptions,
    audit::{Event, What},
    authorize::remembered,
    clients,
    errors::OAuthError,
    limits::Caller,
    params::Params,
    server::{Shared, Urls},
    token,
};

/// `POST /oauth/revoke`. A token that is not known, or has ended, is as good as revoked: 200 (RFC 7009, section 2.2).
pub(crate) async fn endpoint(
    State(server): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let params = Params::body(&headers, &body)?;
    let client = clients::authenticate(&server, caller, &headers, &params).await?;
    let presented = params.one("token")?.ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    // token_type_hint says where to look first; our two kinds cannot be confused, so there is no need for it.
    let event = Event::new(What::Revoked).client(&client);
    let foreign = || {
        event.refused("the token was given to another client");
        OAuthError::invalid_grant("the token was not given to this client")
    };
    let grant = match token::recognise_refresh(&server, presented) {
        Some(token::PresentedRefresh { grant, .. }) => Some(grant),
        // Also of a token that has expired.
        None => match server.own_tokens.check(presented) {
            Checked::Verified(token) if token.grant.is_none() => {
                if token.client.as_ref() != Some(&client.id) {
                    return Err(foreign());
                }
                if let Some(id) = token.claims.get("jti").and_then(|id| id.as_str()) {
                    server.parts.grants.withdraw(id, token.expires_at).await?;
                    event.who(&token.subject).allowed();
                }
                None
            }
            Checked::Verified(token) => token.grant,
            _ => None,
        },
    };
    if let Some(grant) = grant
        && let Some(stored) = server.parts.grants.get(&grant).await?
    {
        if stored.value.client != client.id {
            return Err(foreign());
        }
        // A person who signs out in the client expects to be asked when they sign in again.
        let person = Account { provider: stored.value.provider.clone(), user: stored.value.user.clone() };
        remembered::forget(&server, &person, &client.id).await?;
        server.parts.grants.end(&grant).await?;
        event.who(stored.value.email.as_str()).allowed();
    }
    Ok((StatusCode::OK, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))]).into_response())
}

/// Recognises access tokens of ours for as long as their grant can live.
pub(crate) fn own_tokens(parts: &Parts, options: &ServerOptions, urls: &Urls) -> Verifier {
    let issuer = TrustedIssuer {
        issuer: urls.issuer.clone(),
        audiences: vec![urls.resource.clone()],
        types: vec!["at+jwt".into()],
        keys: KeySource::Own(Arc::clone(&parts.signing)),
        claims: ClaimNames::default(),
        algorithms: Algorithm::ALL.to_vec(),
        provider: parts.provider.provider().id.clone(),
    };
    let options = VerifierOptions { leeway: options.refresh_life, ..VerifierOptions::default() };
    Verifier::with_options(vec![issuer], Arc::clone(&parts.clock), options)
}
