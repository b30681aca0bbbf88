//! File names: from a key to a name and back.
//!
//! `google~ann@example.com~default.enc`: provider, user and token group, in lower-case letters, digits and `-+@._`;
//! every other byte is `%` and two digits. So no name leaves its folder, and none meets another, not even where letters
//! differ in case only. What would be too long is named by its SHA-256, `long%~<64 digits>`, and says in itself whose it is.
//!
//! The names of earlier programs, `ann_example_com`-like, are recognized; they always end in an underscored word after the
//! last `~`, and ours never do.

use std::fmt::Write;

use authchain_core::{CredentialKey, Email, ProviderId, TokenGroup, UserId};
use aws_lc_rs::digest;

use crate::record::associated;

/// The longest name without its ending. Some encrypting file systems allow 143 bytes, and a name may get a word more.
const LONGEST: usize = 120;

const LONG: &str = "long%~";

/// What a file name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A record of this key.
    Key(CredentialKey),
    /// A record whose key it says itself.
    Long,
    /// A file of an earlier program, of the user whose address turns into this.
    Old(String),
}

/// The name of a key's file without its ending.
pub(super) fn stem(key: &CredentialKey) -> String {
    let mut name = String::with_capacity(64);
    encode(key.provider.as_str(), b"-", &mut name);
    name.push('~');
    encode(key.user.as_str(), b"-+@._", &mut name);
    name.push('~');
    encode(key.group.as_str(), b"-", &mut name);
    if name.len() > LONGEST { long_stem(key) } else { name }
}

fn long_stem(key: &CredentialKey) -> String {
    let hash = digest::digest(&digest::SHA256, &associated(key));
    let mut name = LONG.to_owned();
    hex(hash.as_ref(), &mut name);
    name
}

/// Appends bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

fn encode(text: &str, allowed: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || allowed.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            hex(&[byte], out);
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

/// What the name of a file with this ending says; `None` if it is none of ours.
pub(super) fn parse(name: &str, extension: &str) -> Option<Name> {
    let stem_of = name.strip_suffix(extension)?.strip_suffix('.')?;
    if let Some(hash) = stem_of.strip_prefix(LONG) {
        return (hash.len() == 64).then_some(Name::Long);
    }
    let mut parts = stem_of.split('~');
    if let (Some(provider), Some(user), Some(group), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        && let Some(key) = parse_key(provider, user, group)
        // One key has one name: what decodes but would be written otherwise is not ours.
        && stem(&key) == stem_of
    {
        return Some(Name::Key(key));
    }
    let safe = old_endings(extension).iter().find_map(|ending| name.strip_suffix(ending))?;
    Some(Name::Old(safe.to_owned()))
}

fn parse_key(provider: &str, user: &str, group: &str) -> Option<CredentialKey> {
    Some(CredentialKey {
        provider: ProviderId::new(decode(provider)?).ok()?,
        user: UserId::new(decode(user)?).ok()?,
        group: TokenGroup::new(&decode(group)?).ok()?,
    })
}

fn old_endings(extension: &str) -> &'static [&'static str] {
    if extension == "enc" { &["_credentials.enc", "_backup.enc"] } else { &["_credentials.json"] }
}

/// The names under which earlier programs may have filed a key's credential.
pub(super) fn old_names(key: &CredentialKey, extension: &str) -> Vec<String> {
    // They knew one provider and one group.
    if key.provider.as_str() != "google" || key.group != TokenGroup::default() {
        return Vec::new();
    }
    let safe = safe(key.user.as_str());
    if safe.len() > 200 || safe.contains(['/', '\0']) {
        return Vec::new();
    }
    old_endings(extension).iter().map(|ending| format!("{safe}{ending}")).collect()
}

/// The name that earlier programs look for, if it most plainly stands for this key: then nobody else can have it.
pub(super) fn plain_old_name(key: &CredentialKey, extension: &str) -> Option<String> {
    let plainly = old_owner(&safe(key.user.as_str()), None).as_ref() == Some(key);
    old_names(key, extension).into_iter().next().filter(|_| plainly)
}

/// What earlier programs made of an address: `@` is `_at_`, `.` is `_`. Several addresses become the same.
fn safe(user: &str) -> String {
    user.to_lowercase().replace('@', "_at_").replace('.', "_")
}

/// Whether an earlier program's file name is one that this key may have.
pub(super) fn fits_old(safe_name: &str, key: &CredentialKey) -> bool {
    safe(key.user.as_str()) == safe_name
}

/// Whose file an earlier program's is: of the one it names inside, or else of the address that its name most plainly
/// stands for, where every `_` was a dot. Nobody else is given it: an address that only happens to become the same
/// name (`a_b@` beside `a.b@`) may be somebody else's.
pub(super) fn old_owner(safe_name: &str, named: Option<&Email>) -> Option<CredentialKey> {
    let owner = match named {
        Some(email) => email.clone(),
        None => {
            let (local, domain) = safe_name.rsplit_once("_at_")?;
            Email::new(&format!("{}@{}", local.replace('_', "."), domain.replace('_', "."))).ok()?
        }
    };
    (safe(owner.as_str()) == safe_name).then(|| CredentialKey::new(ProviderId::google(), (&owner).into()))
}

#[cfg(test)]
mod tests {
    use authchain_testkit::suite::{awkward_ids, key};

    use super::*;

    #[test]
    fn a_name_reads_as_what_it_is() {
        assert_eq!(stem(&key("google", "ann@example.com", "default")), "google~ann@example.com~default");
        assert_eq!(stem(&key("google", "Ann/..\0", "a_B")), "google~%41nn%2f..%00~a%5f%42");
    }

    #[test]
    fn every_key_has_its_own_name_even_where_case_does_not_count() {
        let ids = awkward_ids();
        let names: std::collections::HashSet<String> =
            ids.iter().map(|id| stem(&key("google", id, "default")).to_lowercase()).collect();
        assert_eq!(names.len(), ids.len());
    }

    #[test]
    fn a_name_stays_in_its_folder_and_fits_a_file_system() {
        for id in awkward_ids() {
            let name = stem(&key("..", &id, "default"));
            assert!(name.len() <= LONGEST, "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'\\'), "{name}");
            assert!(!name.starts_with(['.', '-']), "{name}");
        }
    }

    #[test]
    fn a_name_leads_back_to_its_key() {
        for id in awkward_ids() {
            let key = key("git.hub", &id, "a_B-c");
            let name = stem(&key);
            let wanted = if name.starts_with(LONG) { Name::Long } else { Name::Key(key) };
            assert_eq!(parse(&format!("{name}.enc"), "enc"), Some(wanted), "{name}");
            assert_eq!(parse(&format!("{name}.enc"), "json"), None);
        }
    }

    #[test]
    fn a_name_that_only_looks_like_ours_is_not() {
        for name in [
            "google~ann~default",
            "google~Ann~default.enc",
            "google~%61nn~default.enc",
            "google~%4Ann~default.enc",
            "google~%4~default.enc",
            "google~%+1~default.enc",
            "google~~default.enc",
            "google~ann.enc",
            "google~a~b~default.enc",
            "README.md",
            ".enc",
            "long%~abc.enc",
        ] {
            assert_eq!(parse(name, "enc"), None, "{name}");
        }
    }

    #[test]
    fn an_old_name_is_never_one_of_ours() {
        let old = |name: &str, extension| match parse(name, extension) {
            Some(Name::Old(safe)) => safe,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(old("ann_at_example_com_credentials.enc", "enc"), "ann_at_example_com");
        assert_eq!(old("ann_at_example_com_backup.enc", "enc"), "ann_at_example_com");
        assert_eq!(old("ann_at_example_com_credentials.json", "json"), "ann_at_example_com");
        assert_eq!(old("a~b~c_at_example_com_credentials.json", "json"), "a~b~c_at_example_com");
        assert_eq!(parse("ann_at_example_com_backup.json", "json"), None);
    }

    #[test]
    fn an_old_file_goes_to_the_plainest_reading_of_its_name() {
        let owner = |safe: &str| old_owner(safe, None).map(|key| key.user.to_string());
        assert_eq!(owner("ann_lee_at_example_co_uk").as_deref(), Some("ann.lee@example.co.uk"));
        assert_eq!(owner("pat_at_home_at_example_com").as_deref(), Some("pat.at.home@example.com"));
        assert_eq!(owner("nobody"), None);
    }

    #[test]
    fn an_old_file_that_names_its_owner_goes_to_that_one_only() {
        let email = Email::new("a_b@example.com").unwrap();
        let owner = old_owner("a_b_at_example_com", Some(&email)).unwrap();
        assert_eq!(owner.user.as_str(), "a_b@example.com");
        assert_eq!(old_owner("bob_at_example_com", Some(&email)), None, "a copied file is nobody's");
    }
}
