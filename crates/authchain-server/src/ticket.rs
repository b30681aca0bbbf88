//! Tickets: what a page carries from its first load to the press of a button.
//!
//! A ticket is the whole request, sealed into a hidden field of the form, and bound to a cookie that this load of the page
//! set. So a load stores nothing here, two loads do not disturb each other, a ticket of one browser is worth nothing in
//! another, and a form that another site posts has no ticket at all (the CSRF token is the ticket itself).

use authchain::{
    accounts::Account,
    core::{AuthError, Email, Scopes, Timestamp, UserId, constant_time_eq},
};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::{
    authorize::AuthorizeRequest,
    device::DeviceRequest,
    keys::{base64url, from_base64url, hashed, random},
    server::Shared,
};

const ASSOCIATED: &[u8] = b"authchain ticket 1";

/// What a transaction is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// A client asks for access.
    Authorize(AuthorizeRequest),
    /// A device without a browser asks for access.
    Device(DeviceRequest),
    /// A person signs in without a client.
    Local {
        /// Who is expected; anybody else is refused.
        expected: Option<Email>,
        /// What to ask the provider for.
        scopes: Scopes,
        /// The person, signed in at this browser, to whom the account that signs in is linked.
        link: Option<Account>,
        /// A client's grant, or a session, that gets more with this sign-in.
        more: Option<More>,
    },
}

/// Scopes that a grant or a session gets once the person has agreed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct More {
    /// The grant or session.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) owner: UserId,
    /// What it gets, as far as the provider grants it too.
    pub(crate) scopes: Scopes,
}

/// One transaction, from the page to the return from the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// Random; names the cookie.
    pub(crate) id: String,
    /// The hash of that cookie's value.
    pub(crate) browser: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) purpose: Purpose,
}

/// A ticket as it goes out.
pub(crate) struct Issued {
    pub(crate) ticket: Ticket,
    /// For the hidden field.
    pub(crate) sealed: String,
    /// For `Set-Cookie`.
    pub(crate) cookie: HeaderValue,
}

/// Why a ticket is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTicket {
    /// We did not make it, or it was changed.
    Foreign,
    /// The page was open for too long.
    Expired,
    /// The browser does not have the cookie that belongs to it.
    OtherBrowser,
}

/// Makes a ticket and its cookie.
pub(crate) fn issue(server: &Shared, purpose: Purpose) -> Result<Issued, AuthError> {
    let (id, secret) = (base64url(random::<9>()?), base64url(random::<24>()?));
    let broken = |why: &str| AuthError::Configuration(format!("a ticket cannot be made: {why}"));
    let cookie = server.cookies.set_transaction(&id, &secret).map_err(|_| broken("the cookie is not a header"))?;
    let ticket = Ticket { id, browser: hashed(&secret), issued_at: server.parts.clock.now(), purpose };
    let text = serde_json::to_vec(&ticket).map_err(|e| broken(&e.to_string()))?;
    let sealed = server.parts.keyring.seal(ASSOCIATED, &text)?;
    Ok(Issued { sealed: base64url(sealed), ticket, cookie })
}

/// Opens a ticket that came back, if it came back from the browser that it was given to.
pub(crate) fn open(server: &Shared, sealed: &str, headers: &HeaderMap) -> Result<Ticket, BadTicket> {
    let bytes = from_base64url(sealed).ok_or(BadTicket::Foreign)?;
    let text = server.parts.keyring.open(ASSOCIATED, &bytes, "a form's ticket").map_err(|_| BadTicket::Foreign)?;
    let ticket: Ticket = serde_json::from_slice(&text).map_err(|_| BadTicket::Foreign)?;
    if server.parts.clock.now() > ticket.issued_at + server.options.transaction_life {
        return Err(BadTicket::Expired);
    }
    if is_browser_of(server, &ticket.id, &ticket.browser, headers) { Ok(ticket) } else { Err(BadTicket::OtherBrowser) }
}

/// Whether a request comes from the browser that holds a transaction's cookie.
pub(crate) fn is_browser_of(server: &Shared, transaction: &str, browser: &str, headers: &HeaderMap) -> bool {
    server
        .cookies
        .read(headers, &server.cookies.transaction(transaction))
        .is_some_and(|secret| constant_time_eq(hashed(secret).as_bytes(), browser.as_bytes()))
}
