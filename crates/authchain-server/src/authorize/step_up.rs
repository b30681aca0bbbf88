//! Asking for more: a client that has a grant and asks for scopes beyond it keeps what it had. A client that asks for no
//! more than it had gets what it asks for; so one can also ask for less.

use authchain::{
    accounts::Account,
    core::{AuthError, ClientId, Scopes},
};

use crate::{scopes::is_identity, server::Shared};

/// What `client` keeps of what `person` allowed it before, when it asks for `asked`: what the provider still grants.
/// `just_granted` is what the provider said a moment ago, where it was asked.
pub(crate) async fn kept(
    server: &Shared,
    person: &Account,
    client: &ClientId,
    asked: &Scopes,
    just_granted: Option<&Scopes>,
) -> Result<Scopes, AuthError> {
    // What the provider grants beyond this request, if anything: without that there is no need to look for grants.
    let at_provider = granted(server, person, just_granted).await?;
    let beyond: Scopes = at_provider.difference(asked).iter().filter(|scope| !is_identity(scope)).collect();
    if beyond.is_empty() {
        return Ok(Scopes::none());
    }
    let grants = server.parts.grants.list(&person.user).await?;
    let own = grants.iter().filter(|grant| grant.client == *client && grant.provider == person.provider);
    let before = own.fold(Scopes::none(), |all, grant| all.union(&grant.scopes));
    let is_more = asked.iter().any(|scope| !is_identity(scope) && !before.contains(scope));
    Ok(if is_more { before.intersection(&beyond) } else { Scopes::none() })
}

/// What the provider grants of a person's account, in all token groups.
async fn granted(server: &Shared, person: &Account, just_granted: Option<&Scopes>) -> Result<Scopes, AuthError> {
    let mut granted = just_granted.cloned().unwrap_or_default();
    let usual = just_granted.is_none().then(|| person.key());
    let apart = server.parts.provider.provider().exclusive.iter().map(|apart| person.key_in(apart.group.clone()));
    for key in usual.into_iter().chain(apart) {
        if let Some(credential) = server.parts.credentials.credential(&key).await? {
            granted = granted.union(&credential.scopes);
        }
    }
    Ok(granted)
}
