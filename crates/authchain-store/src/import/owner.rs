//! Whose a credential is: what the file's name says, what the file says, what the id token in it says; where they
//! disagree, nobody guesses.

use std::path::Path;

use authchain_core::{Email, TokenGroup};

use super::Flaw;

/// What says whose a credential is, before it is decided.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) name: Option<NameClaim>,
    pub(super) account: Option<Email>,
    pub(super) id_token: Option<Email>,
}

/// What a file's name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NameClaim {
    /// This address.
    Exact(Email),
    /// One of several addresses that become the same name; the plainest of them.
    Plainest(Email, String),
}

/// The owner, and how that is known.
pub(super) type Owner = Option<(Email, &'static str)>;

impl Claims {
    /// The owner, as far as the claims agree; `user` is for those that say nothing, or to settle which of two it is.
    pub(super) fn decide(&self, user: Option<&Email>) -> Result<Owner, Flaw> {
        let exact = match &self.name {
            Some(NameClaim::Exact(email)) => Some((email, "file name")),
            _ => None,
        };
        let said =
            [exact, self.account.as_ref().map(|e| (e, "account")), self.id_token.as_ref().map(|e| (e, "id token"))];
        let said: Vec<(&Email, &'static str)> = said.into_iter().flatten().collect();
        let chosen = match said.first() {
            None => match (&self.name, user) {
                (Some(NameClaim::Plainest(_, safe)), Some(user)) if safe_name(user) == *safe => (user, "--user"),
                (Some(NameClaim::Plainest(email, _)), _) => (email, "file name"),
                (_, Some(user)) => (user, "--user"),
                (_, None) => return Ok(None),
            },
            Some(first) => {
                let other = said.iter().find(|(email, _)| *email != first.0);
                let settled = user.and_then(|user| said.iter().find(|(email, _)| *email == user));
                match (other, settled) {
                    (None, _) => *first,
                    (Some(_), Some(settled)) => *settled,
                    (Some((email, from)), None) => return Err(disagree(first.0, first.1, email, from)),
                }
            }
        };
        match &self.name {
            Some(NameClaim::Plainest(named, safe)) if safe_name(chosen.0) != *safe => {
                Err(disagree(named, "file name", chosen.0, chosen.1))
            }
            _ => Ok(Some((chosen.0.clone(), chosen.1))),
        }
    }
}

fn disagree(one: &Email, from: &str, other: &Email, other_from: &str) -> Flaw {
    Flaw::new(
        format!("its {from} says that it is of {one}, its {other_from} that it is of {other}"),
        format!("Say whose it is with --user {other}, or give the file its right name"),
    )
}

/// What the name of a file says.
pub(super) fn name_claim(path: &Path) -> Option<NameClaim> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".enc"))?;
    let prefixed = ["token_", "creds_", "fastmcp_", "unified_"].iter().find_map(|prefix| stem.strip_prefix(prefix));
    let suffixed = ["_credentials", "_backup"].iter().find_map(|suffix| stem.strip_suffix(suffix));
    let base = suffixed.or(prefixed).unwrap_or(stem);
    if base.contains('@') || base.contains('%') {
        return Email::new(&percent_decoded(base)?).ok().map(NameClaim::Exact);
    }
    if prefixed.is_none() && suffixed.is_none() {
        return None;
    }
    let (local, domain) = base.rsplit_once("_at_")?;
    let plainest = Email::new(&format!("{}@{}", local.replace('_', "."), domain.replace('_', "."))).ok()?;
    Some(NameClaim::Plainest(plainest, base.to_lowercase()))
}

/// What earlier programs made of an address.
fn safe_name(email: &Email) -> String {
    email.as_str().replace('@', "_at_").replace('.', "_")
}

/// Whether another address may become the same name.
pub(super) fn is_ambiguous(claim: &NameClaim) -> bool {
    matches!(claim, NameClaim::Plainest(email, _) if email.as_str().split('@').next().is_some_and(|l| l.contains('.')))
}

/// The token group of a file below `token_groups/<group>/`.
pub(super) fn group_of(path: &Path) -> Option<TokenGroup> {
    let folder = path.parent()?;
    let above = folder.parent()?.file_name()?;
    (above == "token_groups").then(|| TokenGroup::new(folder.file_name()?.to_str()?).ok()).flatten()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            u8::try_from(digit(rest.next())? << 4 | digit(rest.next())?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> Email {
        Email::new(text).unwrap()
    }

    fn said(name: &str, account: Option<&str>, id_token: Option<&str>, user: Option<&str>) -> Result<Owner, Flaw> {
        let claims =
            Claims { name: name_claim(Path::new(name)), account: account.map(email), id_token: id_token.map(email) };
        claims.decide(user.map(email).as_ref())
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let owner = |name: &str| said(name, None, None, None).unwrap().map(|(email, _)| email.to_string());
        assert_eq!(owner("ann@example.com.json").as_deref(), Some("ann@example.com"));
        assert_eq!(owner("ann%2Bwork@example.com.json").as_deref(), Some("ann+work@example.com"));
        assert_eq!(owner("token_ann@example.com.json").as_deref(), Some("ann@example.com"));
        assert_eq!(owner("unified_ann_at_example_com.json").as_deref(), Some("ann@example.com"));
        assert_eq!(owner("ann_lee_at_example_co_uk_credentials.enc").as_deref(), Some("ann.lee@example.co.uk"));
        for nobody in ["token.json", "credentials.enc", "credentials.json", "a%zz@example.com.json", "ann_at_x.json"] {
            assert_eq!(owner(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn the_file_name_comes_first_then_the_account_then_the_id_token_then_the_person() {
        let from = |name, account, id_token, user| said(name, account, id_token, user).unwrap().map(|(_, from)| from);
        let ann = Some("ann@example.com");
        assert_eq!(from("ann@example.com.json", ann, ann, ann), Some("file name"));
        assert_eq!(from("token.json", ann, ann, ann), Some("account"));
        assert_eq!(from("token.json", None, ann, ann), Some("id token"));
        assert_eq!(from("token.json", None, None, ann), Some("--user"));
        assert_eq!(from("token.json", None, None, None), None);
    }

    #[test]
    fn where_two_say_different_things_nobody_guesses() {
        let bob = Some("bob@example.com");
        let refused = said("ann@example.com.json", bob, None, None).unwrap_err();
        assert!(refused.why.contains("ann@example.com") && refused.why.contains("bob@example.com"), "{refused:?}");
        let settled = said("ann@example.com.json", bob, None, bob).unwrap().unwrap();
        assert_eq!(settled.0, email("bob@example.com"));
        assert!(said("ann@example.com.json", bob, None, Some("eve@example.com")).is_err());
        assert!(said("ann_at_example_com_credentials.enc", bob, None, None).is_err());
    }

    #[test]
    fn a_name_that_several_become_goes_to_the_one_that_the_file_or_the_person_names() {
        let name = "ann_lee_at_example_com_credentials.enc";
        let owner = |account, user| said(name, account, None, user).unwrap().unwrap().0.to_string();
        assert_eq!(owner(None, None), "ann.lee@example.com");
        assert_eq!(owner(Some("ann_lee@example.com"), None), "ann_lee@example.com");
        assert_eq!(owner(None, Some("ann_lee@example.com")), "ann_lee@example.com");
        assert_eq!(owner(None, Some("bob@example.com")), "ann.lee@example.com");
        assert!(is_ambiguous(&name_claim(Path::new(name)).unwrap()));
    }

    #[test]
    fn a_group_is_the_folder_below_token_groups() {
        assert_eq!(group_of(Path::new("c/token_groups/photos/a.enc")), TokenGroup::new("photos").ok());
        assert_eq!(group_of(Path::new("c/photos/a.enc")), None);
    }
}
