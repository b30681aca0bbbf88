//! What a sign-in on our page is for: for oneself or for a linked account, with the usual scopes or with more of them; and
//! what a client's grant or a session gets from it.

use authchain::{
    accounts::Account,
    core::{AuthError, Email, Scopes, UserId},
};
use http::HeaderMap;

use super::BrowserSession;
use crate::{
    audit::{Event, What},
    params::Params,
    scopes,
    server::Shared,
    ticket::More,
};

/// What a sign-in is for.
pub(super) struct Asked {
    /// Who has to sign in.
    pub(super) expected: Option<Email>,
    /// What the provider is asked for.
    pub(super) scopes: Scopes,
    /// What was asked for beside what is there: the page names it.
    pub(super) named: Option<Scopes>,
    /// The person whom the account is linked to.
    pub(super) link: Option<Account>,
    /// Who gets more with it.
    pub(super) more: Option<More>,
    /// What that client calls itself.
    pub(super) client: Option<String>,
}

impl Asked {
    /// Whether it is a sign-in as any other, which somebody who is signed in does not need.
    pub(super) fn is_plain(&self) -> bool {
        self.named.is_none() && self.link.is_none()
    }
}

/// Why a sign-in is not offered.
pub(super) enum Refused {
    /// None of these scopes is for this server's users.
    NotOffered(String),
    /// We cannot tell now.
    Failure(AuthError),
}

impl<E: Into<AuthError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// What the request of a sign-in page amounts to.
pub(super) async fn asked(
    server: &Shared,
    headers: &HeaderMap,
    params: &Params,
    expected: Option<Email>,
) -> Result<Asked, Refused> {
    let session = BrowserSession::of(server, headers).await?;
    let link = match (&session, &expected) {
        (Some(session), Some(expected)) if session.email != *expected => {
            let linked = server.parts.accounts.select_for(&session.person(), Some(expected.as_str())).await;
            match linked {
                Ok(_) => Some(session.person()),
                Err(AuthError::NotYourAccount(_)) => None,
                Err(error) => return Err(error.into()),
            }
        }
        _ => None,
    };
    let Some(names) = params.one("scopes").ok().flatten() else {
        let scopes = server.options.default_scopes.clone();
        return Ok(Asked { expected, scopes, named: None, link, more: None, client: None });
    };
    let named = wanted(server, names)?;
    let (more, client) = match params.one("grant").ok().flatten() {
        Some(id) => who_gets_more(server, id, expected.as_ref(), link.as_ref(), &named).await?,
        None => (None, None),
    };
    // Who is signed in here as somebody else is not told what it is called.
    let stranger = link.is_none() && session.as_ref().is_some_and(|session| Some(&session.email) != expected.as_ref());
    let client = client.filter(|_| !stranger);
    // Who is signed in here may see what their accounts have: all of it is asked for again, so that none of it is lost.
    let own = session.as_ref().map(|session| session.email.clone());
    let expected = expected.or_else(|| own.clone());
    let known = link.is_some() || (expected.is_some() && expected == own);
    let scopes = match &expected {
        Some(email) if known => named.union(&granted_before(server, email, &named).await?),
        _ => named.clone(),
    };
    Ok(Asked { expected, scopes, named: Some(named), link, more, client })
}

/// The part of these scopes that this server offers.
pub(super) fn wanted(server: &Shared, names: &str) -> Result<Scopes, Refused> {
    let supported = server.options.scopes_supported.union(&server.options.default_scopes);
    let wanted = scopes::offered(names, &supported);
    let apis = wanted.iter().any(|scope| !scopes::is_identity(scope));
    if apis { Ok(wanted) } else { Err(Refused::NotOffered(names.into())) }
}

/// What an account was granted in the token groups of `named`.
async fn granted_before(server: &Shared, email: &Email, named: &Scopes) -> Result<Scopes, AuthError> {
    let provider = server.parts.provider.provider();
    let mut granted = Scopes::none();
    for (group, part) in provider.groups(named) {
        if part.iter().all(scopes::is_identity) {
            continue;
        }
        let account = Account { provider: provider.id.clone(), user: UserId::from(email) };
        if let Some(credential) = server.parts.credentials.credential(&account.key_in(group)).await? {
            granted = granted.union(&credential.scopes);
        }
    }
    Ok(granted)
}

/// The grant or session that gets more. It belongs to the account that signs in, or to the person whom that is linked to.
async fn who_gets_more(
    server: &Shared,
    id: &str,
    expected: Option<&Email>,
    link: Option<&Account>,
    scopes: &Scopes,
) -> Result<(Option<More>, Option<String>), AuthError> {
    let owner = match (link, expected) {
        (Some(owner), _) => owner.user.clone(),
        (None, Some(expected)) => UserId::from(expected),
        (None, None) => return Ok((None, None)),
    };
    let client = match server.parts.grants.get(id).await? {
        Some(grant) if grant.value.user == owner => grant.value.client_name,
        Some(_) => return Ok((None, None)),
        None => match server.parts.sessions.list(&owner).await?.into_iter().find(|session| session.id == id) {
            Some(session) => session.label,
            None => return Ok((None, None)),
        },
    };
    Ok((Some(More { id: id.into(), owner, scopes: scopes.clone() }), Some(client)))
}

/// Gives a grant or a session what was agreed to, as far as the provider granted it.
pub(super) async fn give(server: &Shared, more: &More, granted: &Scopes) -> Result<(), AuthError> {
    let scopes = scopes::after_sign_in(&more.scopes, granted);
    let parts = &server.parts;
    let given = parts.grants.widen(&more.id, &more.owner, &scopes).await?
        || parts.sessions.widen(&more.owner, &more.id, &scopes).await?;
    let event = Event::new(What::GrantWidened).who(more.owner.as_str());
    if given {
        event.allowed()
    } else {
        event.refused("the grant has ended")
    }
    Ok(())
}
