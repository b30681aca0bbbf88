//! A client that acts for itself and for no person (RFC 6749, section 4.4): it has a name of its own among callers, and no
//! account at the provider.

use authchain::core::{AuthError, ClientId, ProviderId, Scopes, UserId};
use axum::response::Response;
use http::StatusCode;

use super::{
    Asked,
    access::{self, Alone},
    unauthorized,
};
use crate::{
    audit::{Event, What},
    clients::RegisteredClient,
    errors::OAuthError,
    params::Params,
    server::Shared,
};

/// The provider of callers that are clients: none that a person could sign in at.
const PROVIDER: &str = "client";

/// The grant `client_credentials`. Only a client of the configuration may use it: anybody can register, and a token of
/// this grant needs no person's consent.
pub(super) fn client_credentials(server: &Shared, asked: &Asked<'_>) -> Result<Response, OAuthError> {
    let event = Event::new(What::ClientCredentials).client(asked.client);
    match asked.client.configured() {
        Some(client) if client.client_credentials => {
            let answer = give(server, client, asked.params, asked.key.as_deref())?;
            event.allowed();
            Ok(answer)
        }
        _ => {
            let why = "the operator has not allowed this client to act for itself";
            event.refused(why);
            Err(unauthorized(why))
        }
    }
}

/// A token for a client itself.
pub(super) fn give(
    server: &Shared,
    client: &RegisteredClient,
    params: &Params,
    key: Option<&str>,
) -> Result<Response, OAuthError> {
    let scopes = scopes(params.one("scope")?, &client.scopes)?;
    let impossible = |_| AuthError::Configuration("the client's id is too long".into());
    let user = user_of(&client.id).map_err(impossible)?;
    let provider = ProviderId::new(PROVIDER).map_err(impossible)?;
    access::answer_alone(
        server,
        &Alone { user: &user, email: None, provider: &provider, client: &client.id, scopes: &scopes, key },
    )
}

/// The name of a client among callers. No address looks like it, so it never meets a person.
fn user_of(client: &ClientId) -> Result<UserId, authchain::core::InvalidId> {
    UserId::new(format!("client:{client}"))
}

/// All that the client may have, or the part of it that it asks for.
fn scopes(asked: Option<&str>, allowed: &Scopes) -> Result<Scopes, OAuthError> {
    let Some(asked) = asked else { return Ok(allowed.clone()) };
    let given: Scopes = Scopes::from(asked).iter().filter(|scope| allowed.contains(scope)).collect();
    if given.is_empty() {
        let why = "the operator has allowed this client none of these scopes";
        return Err(OAuthError::new(StatusCode::BAD_REQUEST, "invalid_scope", why));
    }
    Ok(given)
}
