//! Token exchange (RFC 8693) where enterprise-managed authorization needs it: this server as the identity provider of a
//! fleet. A client that a person signed in to here exchanges the token that it got for an identity assertion (ID-JAG,
//! draft-ietf-oauth-identity-assertion-authz-grant, section 4.3), and redeems that at another server in place of a sign-in
//! there: see `assertions` for the other side.
//!
//! Nothing else is exchanged: no token of another issuer comes in, no access token goes out, and nobody acts for a third.

mod audiences;
mod subject;

use std::time::Duration;

use authchain::{
    core::{Scopes, Timestamp},
    grants::Grant,
};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

pub(crate) use audiences::check;
pub use audiences::{ExchangeAudience, ExchangeClient};

use self::{
    audiences::Order,
    subject::{Kind, Refused},
};
use super::{
    Asked,
    access::{self, Confirmation},
    assertions::ID_JAG as ID_JAG_TYPE,
    unauthorized,
};
use crate::{
    audit::{Event, What},
    errors::OAuthError,
    keys::{base64url, random},
    server::Shared,
};

/// The one type of token that can be asked for.
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// How long an assertion lives: it is redeemed at once.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// The claims of an identity assertion (the draft, section 3.1).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    email: &'a str,
    email_verified: bool,
    aud: &'a str,
    client_id: &'a str,
    resource: &'a str,
    scope: &'a Scopes,
    jti: String,
    iat: Timestamp,
    exp: Timestamp,
    /// The draft, "Proof-of-Possession During Token Exchange": a key that was proven here has to be proven there.
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
}

/// Exchanges a token of a person for an identity assertion.
///
/// Only a client that proves itself may ask. The draft says that public clients should not ("Client Authentication"), and
/// here they cannot: whoever took a token from one of them could use it at every server of the fleet. Such a client signs
/// its person in at the other server.
pub(super) async fn exchange(server: &Shared, asked: &Asked<'_>) -> Result<Response, OAuthError> {
    let event = Event::new(What::Exchanged).client(asked.client);
    match decide(server, asked).await {
        Ok((order, grant)) => {
            let answer = answer(server, asked, &order, &grant)?;
            event.who(grant.email.as_str()).allowed();
            Ok(answer)
        }
        Err(Refused { who, error }) => {
            // What cannot be told now is no decision.
            if !error.is_ours() {
                event.who(who.as_ref().map_or("", |who| who.as_str())).refused(error.description());
            }
            Err(error)
        }
    }
}

async fn decide<'s>(server: &'s Shared, asked: &Asked<'_>) -> Result<(Order<'s>, Grant), Refused> {
    let Asked { client, params, .. } = asked;
    if client.metadata.is_public() {
        return Err(unauthorized("tokens are exchanged for a client that proves itself only").into());
    }
    let needed = |name| match params.one(name) {
        Ok(value) => value.ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing"))),
        Err(doubled) => Err(doubled.into()),
    };
    let order = audiences::order(&server.options.grants.exchange, &client.id, params)?;
    if needed("requested_token_type")? != ID_JAG {
        return Err(OAuthError::invalid_request("requested_token_type must be the one of an ID-JAG").into());
    }
    // An assertion that says nothing of the actor would claim that the client acts alone.
    if params.one("actor_token")?.is_some() || params.one("actor_token_type")?.is_some() {
        return Err(OAuthError::invalid_request("actor_token is not supported here").into());
    }
    let token = needed("subject_token")?;
    let kind = Kind::named(needed("subject_token_type")?);
    let kind = kind.ok_or_else(|| {
        OAuthError::invalid_request("subject_token_type must be the one of an access token or of an id token")
    })?;
    Ok((order, subject::grant(server, asked, kind, token).await?))
}

/// RFC 8693, section 2.2.1.
fn answer(server: &Shared, asked: &Asked<'_>, order: &Order<'_>, grant: &Grant) -> Result<Response, OAuthError> {
    let (now, key) = (server.parts.clock.now(), asked.key.as_deref());
    let claims = Claims {
        iss: &server.urls.issuer,
        sub: grant.user.as_str(),
        email: grant.email.as_str(),
        email_verified: true,
        aud: order.issuer,
        client_id: order.client.as_str(),
        resource: &order.resource,
        scope: &order.scopes,
        jti: base64url(random::<16>()?),
        iat: now,
        exp: now + LIFE,
        cnf: key.map(|jkt| Confirmation { jkt }),
    };
    let body = json!({
        "issued_token_type": ID_JAG,
        "access_token": access::sign(server, ID_JAG_TYPE, &claims)?,
        "token_type": "N_A",
        "expires_in": LIFE.as_secs(),
        "scope": order.scopes,
    });
    access::finish(server, key, &body)
}
