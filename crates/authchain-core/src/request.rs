//! What the chain sees of a request: its head, never its body.

use http::{HeaderMap, Method, Uri, header::AUTHORIZATION};

use crate::AuthError;

/// The credential that a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// None at all.
    Nothing,
    /// `Authorization: Bearer`, RFC 6750, section 2.1.
    Bearer(Token<'a>),
    /// `Authorization: DPoP`, RFC 9449, section 7.1: worth nothing without the proof in the header `DPoP`.
    Dpop(Token<'a>),
}

/// A token as it came, not yet looked at: what is known to the byte need not be read as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// The bytes that were presented.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The token as text; nothing where it is none, which [`AuthRequest::well_formed`] refuses.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Token<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

impl<'a> Presented<'a> {
    /// The bearer token, when there is one.
    pub fn bearer(self) -> Option<Token<'a>> {
        match self {
            Self::Bearer(token) => Some(token),
            Self::Nothing | Self::Dpop(_) => None,
        }
    }
}

/// The head of a request, with the presented credential picked out.
#[derive(Clone, Copy, Debug)]
pub struct AuthRequest<'a> {
    /// The HTTP method.
    pub method: &'a Method,
    /// Path and query. A token in the query is refused before the chain begins.
    pub uri: &'a Uri,
    /// All headers, for tiers that read others than `Authorization`.
    pub headers: &'a HeaderMap,
    /// The credential, taken from `Authorization`.
    pub presented: Presented<'a>,
}

impl<'a> AuthRequest<'a> {
    /// Looks at the head of a request.
    ///
    /// # Errors
    /// [`AuthError::InvalidRequest`] for doubled `Authorization` headers, a scheme other than `Bearer` and `DPoP`, no
    /// token, or a token in the query string (RFC 6750, section 2.3; MCP forbids it).
    pub fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Result<Self, AuthError> {
        if uri.query().is_some_and(has_token_parameter) {
            return Err(AuthError::InvalidRequest("a token in the query string"));
        }
        Ok(Self { method, uri, headers, presented: presented(headers)? })
    }

    /// Whether the token has the characters of one (RFC 6750, section 2.1). The chain asks this of every token that is not
    /// known to the byte already, before a tier does any work on it; a warm request is spared the walk over its token.
    ///
    /// # Errors
    /// [`AuthError::InvalidRequest`] for a token with characters outside `token68`.
    pub fn well_formed(&self) -> Result<(), AuthError> {
        match self.presented {
            Presented::Bearer(token) | Presented::Dpop(token) if !are_token68(token.0) => {
                Err(AuthError::InvalidRequest("a token with characters outside token68"))
            }
            _ => Ok(()),
        }
    }

    /// The head of an `http::Request`.
    ///
    /// # Errors
    /// As [`AuthRequest::new`].
    pub fn of<B>(request: &'a http::Request<B>) -> Result<Self, AuthError> {
        Self::new(request.method(), request.uri(), request.headers())
    }

    /// The `Mcp-Method` header (MCP 2026-07-28), when the client sent one.
    pub fn mcp_method(&self) -> Option<&'a str> {
        self.headers.get("mcp-method").and_then(|v| v.to_str().ok())
    }

    /// The `Mcp-Name` header (MCP 2026-07-28): the tool, prompt or resource that is asked for.
    pub fn mcp_name(&self) -> Option<&'a str> {
        self.headers.get("mcp-name").and_then(|v| v.to_str().ok())
    }
}

fn presented(headers: &HeaderMap) -> Result<Presented<'_>, AuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(Presented::Nothing) };
    if values.next().is_some() {
        return Err(AuthError::InvalidRequest("more than one Authorization header"));
    }
    let text = value.as_bytes();
    let of_scheme = text.split_first_chunk::<7>();
    if let Some(token) = of_scheme.and_then(|(scheme, token)| scheme.eq_ignore_ascii_case(b"bearer ").then_some(token))
    {
        return clean(token).map(Presented::Bearer);
    }
    match text.split_first_chunk::<5>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"dpop ") => clean(token).map(Presented::Dpop),
        _ => Err(AuthError::InvalidRequest("an Authorization header that is no bearer token")),
    }
}

fn clean(token: &[u8]) -> Result<Token<'_>, AuthError> {
    match token.trim_ascii() {
        [] => Err(AuthError::InvalidRequest("an Authorization header without a token")),
        token => Ok(Token(token)),
    }
}

/// RFC 6750, section 2.1: the characters of a bearer token.
fn is_token68(byte: u8) -> bool {
    let alphanumeric = byte.is_ascii_digit() | (byte | 0x20).is_ascii_lowercase();
    // From `-` to `9` stand `.`, `/` and the digits.
    alphanumeric | matches!(byte, b'-'..=b'9') | (byte == b'_') | (byte == b'~') | (byte == b'+') | (byte == b'=')
}

/// Piece by piece, and each piece whole: without a branch for each character many are looked at together.
fn are_token68(token: &[u8]) -> bool {
    token.chunks(64).all(|piece| piece.iter().fold(true, |good, byte| good & is_token68(*byte)))
}

fn has_token_parameter(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("access_token")))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn look(request: http::request::Builder) -> Result<Option<String>, AuthError> {
        let request = request.body(()).unwrap();
        let head = AuthRequest::of(&request)?;
        head.well_formed()?;
        Ok(head.presented.bearer().map(|token| token.as_str().into()))
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_the_scheme() {
        for header in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert_eq!(look(Request::get("/").header("authorization", header)).unwrap().as_deref(), Some("abc"));
        }
    }

    #[test]
    fn the_characters_of_a_token_are_those_of_the_rfc_wherever_they_stand() {
        for byte in 0..=u8::MAX {
            let allowed = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            assert_eq!(is_token68(byte), allowed, "{byte}");
            for place in [0, 63, 64, 99] {
                let mut token = [b'a'; 100];
                token[place] = byte;
                assert_eq!(are_token68(&token), allowed, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn n19_a_token_that_comes_with_dpop_is_no_bearer_token() {
        let request = Request::get("/").header("authorization", "dpop  abc ").body(()).unwrap();
        let presented = AuthRequest::of(&request).unwrap().presented;
        assert_eq!((presented, presented.bearer()), (Presented::Dpop(Token(b"abc")), None));
        for header in ["DPoP", "DPoP ", "DPoP a b", "DPoPabc"] {
            assert!(look(Request::get("/").header("authorization", header)).is_err(), "{header:?}");
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(look(Request::get("/?a=b")).unwrap(), None);
    }

    #[test]
    fn what_is_not_one_clean_bearer_token_is_refused() {
        for header in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer a@b", "Bearer a[b", "Basic abc", "abc"]
        {
            assert!(look(Request::get("/").header("authorization", header)).is_err(), "{header:?}");
        }
        assert!(
            look(Request::get("/").header("authorization", "Bearer a").header("authorization", "Bearer a")).is_err()
        );
    }

    #[test]
    fn n20_a_token_in_the_query_is_refused() {
        assert!(look(Request::get("/mcp?x=1&access_token=abc").header("authorization", "Bearer abc")).is_err());
        assert!(look(Request::get("/mcp?Access_Token=abc")).is_err());
    }
}
