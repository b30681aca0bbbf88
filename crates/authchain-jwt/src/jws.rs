//! The JWS compact form, read strictly: three parts, base64url without padding or loose bits, a header that has no say.
//!
//! RFC 7515, sections 3.1 and 4.1; RFC 8725, section 3. A header parameter that would change how a token is read or
//! which key checks it is refused where a lenient reader would ignore or follow it.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError, RwLock},
};

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use crate::{Algorithm, JwtError};

/// A `kid` longer than this is nobody's.
const LONGEST_KEY_ID: usize = 256;

/// The three parts of a token, still encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compact<'a> {
    /// Header and payload with the dot between them: what is signed.
    pub(crate) signed: &'a [u8],
    /// The header, for [`KnownHeaders`].
    pub(crate) header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Splits a token.
    pub(crate) fn split(token: &'a [u8], longest: usize) -> Result<Self, JwtError> {
        if token.len() > longest {
            return Err(JwtError::TooLong);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(JwtError::Malformed);
        };
        let [Some(signed), Some(header), Some(payload), Some(signature)] =
            [token.get(..second), token.get(..first), token.get(first + 1..second), token.get(second + 1..)]
        else {
            return Err(JwtError::Malformed);
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(JwtError::Malformed);
        }
        Ok(Self { signed, header, payload, signature })
    }

    /// The header, decoded.
    pub(crate) fn header(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.header)
    }

    /// The payload, which need not be text yet.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.payload)
    }

    /// The beginning of the payload, enough for an issuer that stands first, put into `buffer`; nothing where it is not
    /// base64url.
    pub(crate) fn beginning<'b>(&self, buffer: &'b mut Beginning) -> Option<&'b [u8]> {
        let part = self.payload.get(..buffer.len() / 3 * 4).unwrap_or(self.payload);
        URL_SAFE_NO_PAD.decode(part, buffer.as_mut_slice().as_out()).ok().map(|decoded| &*decoded)
    }

    /// The signature's bytes.
    pub(crate) fn signature(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.signature)
    }
}

/// Room for the beginning of a payload: a multiple of three bytes.
pub(crate) type Beginning = [u8; 144];

/// Base64url (RFC 4648, section 5) without padding; characters of other alphabets, white space and loose bits at the end
/// are refused, so that one token has one spelling.
fn decode(part: &[u8]) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode_to_vec(part).map_err(|_| JwtError::Malformed)
}

/// The text of JSON that was decoded. One check of the whole is cheaper than one of every string in it.
pub(crate) fn text(json: &[u8]) -> Result<&str, JwtError> {
    std::str::from_utf8(json).map_err(|_| JwtError::Malformed)
}

/// What counts in a header.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    /// One of ours; whether it may be used is up to issuer and key.
    pub(crate) algorithm: Algorithm,
    /// A look-up key and nothing else.
    pub(crate) key_id: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
}

/// Text that borrows from the JSON where nothing in it is escaped.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Serde refuses a doubled member of these by itself.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    alg: Option<Text<'a>>,
    #[serde(borrow)]
    kid: Option<Text<'a>>,
    #[serde(borrow)]
    typ: Option<Text<'a>>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
}

impl<'a> Header<'a> {
    /// Reads a header.
    pub(crate) fn read(json: &'a str) -> Result<Self, JwtError> {
        // Serde would take an array for the struct, too.
        if !json.starts_with('{') {
            return Err(JwtError::Malformed);
        }
        let members: Members<'_> = serde_json::from_str(json).map_err(|e| reading(&e))?;
        let meddling =
            [members.crit, members.b64, members.jwk, members.jku, members.x5u, members.x5c, members.enc, members.zip];
        if meddling.iter().any(Option::is_some) {
            return Err(JwtError::HeaderNotAllowed);
        }
        let name = members.alg.ok_or(JwtError::Malformed)?;
        let algorithm = Algorithm::from_header(&name.0).ok_or(JwtError::AlgorithmNotAllowed)?;
        let key_id = members.kid.map(|kid| kid.0);
        if key_id.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > LONGEST_KEY_ID) {
            return Err(JwtError::UnknownKey);
        }
        Ok(Self { algorithm, key_id, kind: members.typ.map(|typ| typ.0) })
    }

    /// Whether `typ` is one of `types`, which are in lower case, without `application/`, `""` for an absent one (RFC
    /// 7515, section 4.1.9).
    pub(crate) fn is_of(&self, types: &[String]) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        let kind = match kind.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => kind,
        };
        types.iter().any(|accepted| accepted.eq_ignore_ascii_case(kind))
    }
}

/// The headers of tokens that were verified lately. An issuer's tokens have one header per key, so that it need not be
/// read anew for each; what nobody vouched for does not get in.
#[derive(Debug, Default)]
pub(crate) struct KnownHeaders(RwLock<Vec<KnownHeader>>);

/// As it stands in tokens, and what it says.
type KnownHeader = (Box<[u8]>, Arc<Header<'static>>);

impl KnownHeaders {
    /// More than this no issuer has in use at once; a look goes through all of them.
    const MOST: usize = 8;

    /// The header that this text stands for, if it is known.
    pub(crate) fn get(&self, part: &[u8]) -> Option<Arc<Header<'static>>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(text, _)| **text == *part).map(|(_, header)| header.clone())
    }

    /// Remembers the header of a token that was verified, in place of the oldest.
    pub(crate) fn insert(&self, part: &[u8], header: Header<'_>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|(text, _)| **text == *part) {
            return;
        }
        if known.len() >= Self::MOST {
            known.remove(0);
        }
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let header =
            Header { algorithm: header.algorithm, key_id: header.key_id.map(owned), kind: header.kind.map(owned) };
        known.push((part.into(), Arc::new(header)));
    }
}

/// Tells a doubled member from any other fault of the JSON.
pub(crate) fn reading(error: &serde_json::Error) -> JwtError {
    if error.is_data() && error.to_string().starts_with("duplicate field") {
        JwtError::Ambiguous
    } else {
        JwtError::Malformed
    }
}

/// Whether a bearer token has the form of a signed JWT: three parts, of which the first begins like a JSON object.
/// Verifies nothing; opaque tokens of providers and session tokens are told apart by it.
pub fn looks_like_jwt(token: &str) -> bool {
    token.starts_with("ey") && Compact::split(token.as_bytes(), usize::MAX).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(token: &str) -> Result<Compact<'_>, JwtError> {
        Compact::split(token.as_bytes(), 100)
    }

    fn header(json: &str) -> Result<Header<'_>, JwtError> {
        Header::read(json)
    }

    #[test]
    fn a_token_has_exactly_three_parts_with_something_in_each() {
        assert_eq!(split("aa.bb.cc").unwrap().signed, b"aa.bb");
        for bad in ["", ".", "..", "aa", "aa.bb", "aa.bb.", ".bb.cc", "aa..cc", "aa.bb.cc.dd", "aa.bb.cc.dd.ee"] {
            assert!(matches!(split(bad), Err(JwtError::Malformed)), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_not_endless() {
        assert!(matches!(split(&"a".repeat(101)), Err(JwtError::TooLong)));
    }

    #[test]
    fn base64url_is_read_strictly() {
        assert_eq!(decode(b"_-8").unwrap(), [0xff, 0xef]);
        for bad in ["_-8=", "/+8", "_-8\n", " _-8", "_-9", "A", "é"] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn base64url_is_read_as_another_reader_reads_it_whatever_the_length_and_whatever_stands_wrong() {
        use base64::Engine;
        let other = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        for length in 0..100_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(151).wrapping_add(length)).collect();
            let text = other.encode(&bytes);
            assert_eq!(decode(text.as_bytes()).unwrap(), bytes);
            for place in 0..text.len() {
                for wrong in ["A", "B", "_", "-", "+", "/", "=", ".", " ", "\n", "\0", "\x7f", "é"] {
                    let mut text = text.clone();
                    text.replace_range(place..=place, wrong);
                    assert_eq!(decode(text.as_bytes()).ok(), other.decode(&text).ok(), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_header_names_one_of_three_algorithms() {
        assert_eq!(header(r#"{"alg":"RS256"}"#).unwrap().algorithm, Algorithm::RS256);
        for bad in ["none", "None", "nOnE", "", "HS256", "HS512", "PS256", "RS1", "rs256", "ES512"] {
            let json = format!(r#"{{"alg":"{bad}"}}"#);
            assert!(matches!(header(&json), Err(JwtError::AlgorithmNotAllowed)), "{bad:?}");
        }
    }

    #[test]
    fn a_header_is_a_json_object_with_an_algorithm() {
        for bad in ["", "{}", "[]", r#"["RS256",null,null]"#, "null", r#"{"alg":1}"#, r#"{"alg":null}"#, "\u{feff}{}"] {
            assert!(matches!(header(bad), Err(JwtError::Malformed)), "{bad:?}");
        }
        assert!(matches!(header(r#"{"alg":"RS256"} {}"#), Err(JwtError::Malformed)));
        assert!(matches!(header(r#"{"alg":"RS256","kid":7}"#), Err(JwtError::Malformed)));
    }

    #[test]
    fn a_header_has_no_say_in_how_it_is_checked() {
        for name in ["crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"] {
            let json = format!(r#"{{"alg":"RS256","{name}":"https://evil.example/keys"}}"#);
            assert!(matches!(header(&json), Err(JwtError::HeaderNotAllowed)), "{name}");
        }
    }

    #[test]
    fn a_doubled_parameter_is_refused() {
        for name in ["alg", "kid", "typ"] {
            let json = format!(r#"{{"alg":"RS256","kid":"a","typ":"JWT","{name}":"b"}}"#);
            assert!(matches!(header(&json), Err(JwtError::Ambiguous)), "{name}");
        }
    }

    #[test]
    fn a_key_id_has_a_length() {
        for bad in [String::new(), "k".repeat(257)] {
            let json = format!(r#"{{"alg":"RS256","kid":"{bad}"}}"#);
            assert!(matches!(header(&json), Err(JwtError::UnknownKey)));
        }
    }

    #[test]
    fn known_headers_are_few_and_the_oldest_goes_first() {
        let known = KnownHeaders::default();
        for n in 0..=KnownHeaders::MOST {
            known.insert(n.to_string().as_bytes(), header(r#"{"alg":"RS256"}"#).unwrap());
            known.insert(n.to_string().as_bytes(), header(r#"{"alg":"RS256"}"#).unwrap());
        }
        assert!(known.get(b"0").is_none());
        assert!((1..=KnownHeaders::MOST).all(|n| known.get(n.to_string().as_bytes()).is_some()));
        assert_eq!(known.0.read().unwrap().len(), KnownHeaders::MOST);
    }

    #[test]
    fn a_type_is_compared_without_case_and_media_prefix() {
        let types = ["at+jwt".to_owned()];
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(header(&format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#)).unwrap().is_of(&types), "{typ}");
        }
        assert!(!header(r#"{"alg":"RS256","typ":"JWT"}"#).unwrap().is_of(&types));
        assert!(!header(r#"{"alg":"RS256"}"#).unwrap().is_of(&types));
        assert!(header(r#"{"alg":"RS256"}"#).unwrap().is_of(&[String::new()]));
    }

    #[test]
    fn a_jwt_is_told_from_an_opaque_token() {
        assert!(looks_like_jwt("eyJhbGciOiJub25lIn0.e30.c2ln"));
        for opaque in ["", "ya29.a0AfH6SMBx-abc", "acs_abcdef", "eyJhbGciOiJub25lIn0", "ey.a", "a.b.c"] {
            assert!(!looks_like_jwt(opaque), "{opaque:?}");
        }
    }
}
