//! What a caller means by the account that they name.

use authchain_core::{AuthError, Email, Principal, UserId};

use super::{Account, not_yours};

/// Which of a person's accounts.
pub(super) enum Wanted {
    Primary,
    Active,
    Other(Account),
}

/// What a caller means. It names one of their accounts and never says who the caller is.
pub(super) fn wanted(owner: &Account, own: Option<&Email>, requested: Option<&str>) -> Result<Wanted, AuthError> {
    let named = match requested.map(str::trim) {
        None | Some("") => return Ok(Wanted::Active),
        Some(me) if me.eq_ignore_ascii_case("me") || me.eq_ignore_ascii_case("myself") => return Ok(Wanted::Active),
        Some(named) => named,
    };
    let email = Email::new(named).map_err(|_| AuthError::NotYourAccount(named.into()))?;
    let user = UserId::from(&email);
    if user == owner.user || own == Some(&email) {
        return Ok(Wanted::Primary);
    }
    Ok(Wanted::Other(Account { provider: owner.provider.clone(), user }))
}

/// What a caller without linked accounts means: their primary account, or it is refused.
pub(crate) fn primary_only(caller: &Principal, requested: Option<&str>) -> Result<Account, AuthError> {
    let owner = Account::of(caller);
    match wanted(&owner, caller.email.as_ref(), requested)? {
        Wanted::Primary | Wanted::Active => Ok(owner),
        Wanted::Other(account) => Err(not_yours(&account)),
    }
}
