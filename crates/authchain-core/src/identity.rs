//! Names of people, providers and clients: a string with a meaning is a type of its own.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// An identifier was empty, or longer than its kind may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is empty or too long")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $most:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Takes any text of 1 to ", $most, " bytes.")]
            ///
            /// # Errors
            /// [`InvalidId`] for an empty or an overlong text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                if text.is_empty() || text.len() > $most { Err(InvalidId) } else { Ok(Self(text.into())) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().into()
            }
        }
    };
}

id! {
    /// An account at a provider, as authchain files it: for Google the verified email in lower case. Any text is allowed;
    /// nothing may be derived from it, least of all a path.
    UserId, 1024
}
id! {
    /// An upstream provider by its configured name: `google`, `github`, ...
    ProviderId, 1024
}
id! {
    /// An OAuth client by the id that it presents (RFC 6749, section 2.2). It may be long: ids of ours carry the client's
    /// registration. Twice as long would no longer fit into the header lines that proxies let through.
    ClientId, 4096
}

impl ProviderId {
    /// The provider `google`.
    pub fn google() -> Self {
        Self("google".into())
    }
}

/// An email address, trimmed and in lower case. It names an account only when a credential vouches for it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(Arc<str>);

/// What was given is not an email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an email address: it needs one @ with text on both sides, at most 254 bytes and no spaces")]
pub struct InvalidEmail;

impl Email {
    /// Checks the form: one `@`, text on both sides, no white space or control characters, at most 254 bytes
    /// (RFC 5321, section 4.5.3.1.3).
    ///
    /// # Errors
    /// [`InvalidEmail`] when the form is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let well_formed = text.len() <= 254
            && text
                .split_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if well_formed { Ok(Self(text.to_lowercase().into())) } else { Err(InvalidEmail) }
    }

    /// The address in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        Self::new(text)
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;
    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        Self::new(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0.as_ref().into()
    }
}

impl From<&Email> for UserId {
    fn from(email: &Email) -> Self {
        Self(email.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_compared_in_lower_case() {
        assert_eq!(Email::new(" Ann@Example.COM ").unwrap(), Email::new("ann@example.com").unwrap());
    }

    #[test]
    fn what_is_no_email_is_refused() {
        for bad in ["", "ann", "@x", "ann@", "a@b@c", "a b@c", "a\0@c", &format!("{}@x", "a".repeat(254))] {
            assert_eq!(Email::new(bad), Err(InvalidEmail), "{bad:?}");
        }
    }

    #[test]
    fn an_identifier_is_neither_empty_nor_endless() {
        assert!(UserId::new("").is_err());
        assert!(UserId::new("a".repeat(1025)).is_err());
        assert!(UserId::new("../\0ü").is_ok());
    }
}
