//! What of the stand-in a switch or a counter is about.

use serde::{Deserialize, Serialize};

/// A part of the stand-in. `Any` is all of them; `Token` is both `Code` and `Refresh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Endpoint {
    /// Everything but the remote control.
    Any,
    /// `/.well-known/openid-configuration`
    Discovery,
    /// `/o/oauth2/v2/auth` and its pages
    Authorize,
    /// `/token`, whatever the grant type
    Token,
    /// `/token` with `grant_type=authorization_code`
    Code,
    /// `/token` with `grant_type=refresh_token`
    Refresh,
    /// `/revoke`
    Revoke,
    /// `/tokeninfo`
    TokenInfo,
    /// `/oauth2/v3/userinfo`
    UserInfo,
    /// `/oauth2/v3/certs`
    Certs,
    /// `/drive/v3/...`
    Drive,
    /// `/gmail/v1/...`, uploads too
    Gmail,
    /// `/calendar/v3/...`
    Calendar,
}

impl Endpoint {
    /// All of them, in order.
    pub const ALL: &'static [Self] = &[
        Self::Any,
        Self::Discovery,
        Self::Authorize,
        Self::Token,
        Self::Code,
        Self::Refresh,
        Self::Revoke,
        Self::TokenInfo,
        Self::UserInfo,
        Self::Certs,
        Self::Drive,
        Self::Gmail,
        Self::Calendar,
    ];

    /// Whether a request to `self` is also one to `other`.
    pub fn is_part_of(self, other: Self) -> bool {
        self == other || other == Self::Any || (other == Self::Token && matches!(self, Self::Code | Self::Refresh))
    }

    /// The endpoint of a path; of `/token`, the grant type decides.
    pub(crate) fn of(path: &str, grant_type: Option<&str>) -> Self {
        let path = path.strip_prefix("/resumable").unwrap_or(path);
        let path = path.strip_prefix("/upload").unwrap_or(path);
        match path {
            "/.well-known/openid-configuration" => Self::Discovery,
            "/token" => match grant_type {
                Some("authorization_code") => Self::Code,
                Some("refresh_token") => Self::Refresh,
                _ => Self::Token,
            },
            "/revoke" => Self::Revoke,
            "/tokeninfo" => Self::TokenInfo,
            "/oauth2/v3/userinfo" => Self::UserInfo,
            "/oauth2/v3/certs" => Self::Certs,
            _ if path.starts_with("/o/oauth2/v2/auth") => Self::Authorize,
            _ if path.starts_with("/drive/v3/") => Self::Drive,
            _ if path.starts_with("/gmail/v1/") => Self::Gmail,
            _ if path.starts_with("/calendar/v3/") => Self::Calendar,
            _ => Self::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_a_token_request_and_no_code_exchange() {
        let refresh = Endpoint::of("/token", Some("refresh_token"));
        assert!(refresh.is_part_of(Endpoint::Token) && refresh.is_part_of(Endpoint::Any));
        assert!(!refresh.is_part_of(Endpoint::Code));
    }

    #[test]
    fn uploads_belong_to_their_api() {
        assert_eq!(Endpoint::of("/upload/gmail/v1/users/me/messages/send", None), Endpoint::Gmail);
        assert_eq!(Endpoint::of("/resumable/upload/gmail/v1/users/me/messages/send", None), Endpoint::Gmail);
    }
}
