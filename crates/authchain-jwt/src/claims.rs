//! Claims: a first look that costs little and refuses much, and the whole reading after the signature was found good.

use authchain_core::{ClientId, Email, ProviderId, Scopes, Timestamp};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    ClaimNames, JwtError, TrustedIssuer, json,
    jws::{Text, reading},
};

/// The last second of the year 9999; what lies beyond is no date.
const LAST_SECOND: i64 = 253_402_300_799;

/// What a verified token says. Only [`Verifier`](crate::Verifier) makes one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// `iss`.
    pub issuer: String,
    /// The provider that the issuer stands for.
    pub provider: ProviderId,
    /// Who it is about: 1 to 1024 bytes.
    pub subject: String,
    /// The address, unless the issuer says that it is not verified.
    pub email: Option<Email>,
    /// What it allows.
    pub scopes: Scopes,
    /// The OAuth client that acts.
    pub client: Option<ClientId>,
    /// The grant or session that it belongs to.
    pub grant: Option<String>,
    /// `exp`. Leeway is not added.
    pub expires_at: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// All claims as they are.
    pub claims: Map<String, Value>,
}

/// The registered claims (RFC 7519, section 4.1) that decide whether a signature is worth checking. Borrows from the
/// payload; doubled ones are refused by serde.
#[derive(Deserialize)]
pub(crate) struct Registered<'a> {
    #[serde(borrow)]
    iss: Option<Text<'a>>,
    #[serde(borrow)]
    aud: Option<Audience<'a>>,
    exp: Option<Date>,
    nbf: Option<Date>,
    iat: Option<Date>,
}

impl<'a> Registered<'a> {
    /// Takes the first look.
    pub(crate) fn read(payload: &'a str) -> Result<Self, JwtError> {
        // Serde would take an array for the struct, too.
        if !payload.starts_with('{') {
            return Err(JwtError::Malformed);
        }
        serde_json::from_str(payload).map_err(|e| reading(&e))
    }

    /// `iss`.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.iss.as_ref().map(|iss| &*iss.0)
    }

    /// Whether one of `audiences` is named.
    pub(crate) fn is_for(&self, audiences: &[String]) -> bool {
        let named = |name: &str| audiences.iter().any(|audience| audience == name);
        match &self.aud {
            Some(Audience::One(name)) => named(name),
            Some(Audience::Many(names)) => names.iter().any(|name| named(name)),
            None => false,
        }
    }

    /// Checks `exp`, `nbf` and `iat` at `now` with a leeway in seconds.
    pub(crate) fn in_time(&self, now: Timestamp, leeway: std::time::Duration) -> Result<(), JwtError> {
        let expires = self.exp.ok_or(JwtError::NoExpiry)?.0;
        let latest = now + leeway;
        if expires + leeway <= now {
            return Err(JwtError::Expired);
        }
        if self.nbf.is_some_and(|Date(begins)| begins > latest) {
            return Err(JwtError::NotYetValid);
        }
        if self.iat.is_some_and(|Date(issued)| issued > latest || issued > expires) {
            return Err(JwtError::IssuedInTheFuture);
        }
        Ok(())
    }

    /// The whole reading, after the signature was found good.
    pub(crate) fn verified(self, payload: &str, issuer: &TrustedIssuer) -> Result<Verified, JwtError> {
        let claims = json::object(payload.as_bytes())?;
        let names = &issuer.claims;
        let subject = text(&claims, &names.subject).ok_or(JwtError::NoSubject)?;
        if subject.is_empty() || subject.len() > 1024 {
            return Err(JwtError::NoSubject);
        }
        Ok(Verified {
            issuer: issuer.issuer.clone(),
            provider: issuer.provider.clone(),
            subject: subject.to_owned(),
            email: email(&claims, names),
            scopes: scopes(&claims, names),
            client: text(&claims, &names.client).and_then(|id| ClientId::new(id).ok()),
            grant: text(&claims, &names.grant).map(str::to_owned),
            expires_at: self.exp.ok_or(JwtError::NoExpiry)?.0,
            not_before: self.nbf.map(|date| date.0),
            issued_at: self.iat.map(|date| date.0),
            claims,
        })
    }
}

fn first<'c>(claims: &'c Map<String, Value>, names: &[String]) -> Option<&'c Value> {
    names.iter().find_map(|name| claims.get(name).filter(|value| !value.is_null()))
}

fn text<'c>(claims: &'c Map<String, Value>, names: &[String]) -> Option<&'c str> {
    first(claims, names)?.as_str()
}

fn email(claims: &Map<String, Value>, names: &ClaimNames) -> Option<Email> {
    let vouched_for = match first(claims, &names.email_verified) {
        None => !names.email_must_be_verified,
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(verified)) => verified == "true",
        Some(_) => false,
    };
    if !vouched_for {
        return None;
    }
    Email::new(text(claims, &names.email)?).ok()
}

fn scopes(claims: &Map<String, Value>, names: &ClaimNames) -> Scopes {
    match first(claims, &names.scope) {
        Some(Value::String(list)) => list.as_str().into(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Scopes::none(),
    }
}

/// A `NumericDate` (RFC 7519, section 2): seconds, possibly with a fraction, which is dropped.
#[derive(Clone, Copy)]
struct Date(Timestamp);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = Date;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("seconds since 1970")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Date, E> {
                self.visit_i64(i64::try_from(value).map_err(|_| E::custom("no date"))?)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Date, E> {
                if (0..=LAST_SECOND).contains(&value) { Ok(Date(Timestamp(value))) } else { Err(E::custom("no date")) }
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Date, E> {
                #[expect(clippy::cast_possible_truncation, reason = "the fraction goes; what is too big saturates")]
                self.visit_i64(value.floor() as i64)
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

/// `aud`: one string or a list of strings (RFC 7519, section 4.1.3).
enum Audience<'a> {
    One(std::borrow::Cow<'a, str>),
    Many(Vec<std::borrow::Cow<'a, str>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audience<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Audience::One(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Audience::One(value.to_owned().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(Text(name)) = sequence.next_element()? {
                    names.push(name);
                }
                Ok(Audience::Many(names))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// `exp`, where a payload is so plain that it can be told without reading the rest: one flat object, nothing escaped in it,
/// so that a quotation mark always begins or ends a text and the member can be no part of another. Good for refusing only.
pub(crate) fn plain_expiry(payload: &[u8]) -> Option<Timestamp> {
    const NAME: &[u8] = b"\"exp\":";
    if memchr::memchr(b'\\', payload).is_some() || memchr::memchr_iter(b'{', payload).count() != 1 {
        return None;
    }
    let mut places = memchr::memmem::find_iter(payload, NAME);
    let (place, None) = (places.next()?, places.next()) else { return None };
    let number = payload.get(place + NAME.len()..)?;
    let (number, rest) = number.split_at_checked(number.iter().position(|byte| !byte.is_ascii_digit())?)?;
    if !matches!(rest.first(), Some(b',' | b'}')) {
        return None;
    }
    std::str::from_utf8(number).ok()?.parse().ok().map(Timestamp)
}

/// `iss`, where it is the first claim of a payload and is written plainly, as in our own tokens and Google's: the rest need
/// not be read to tell whose a token is.
pub(crate) fn leading_issuer(beginning: &[u8]) -> Option<&str> {
    let rest = beginning.strip_prefix(br#"{"iss":""#)?;
    let issuer = std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()?;
    (!issuer.contains('\\')).then_some(issuer)
}

/// `iss` of a payload that nothing is known of yet.
pub(crate) fn claimed_issuer(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        iss: Text<'a>,
    }
    serde_json::from_str::<Only<'_>>(payload).ok().map(|only| only.iss.0.into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{Algorithm, KeySet, KeySource};

    const NOW: Timestamp = Timestamp(1_800_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_expiry_is_told_at_once_only_where_it_can_be_no_other_claims() {
        let told = |payload: &str| plain_expiry(payload.as_bytes()).map(|at| at.0);
        assert_eq!(told(r#"{"iss":"a","exp":17,"iat":3}"#), Some(17));
        assert_eq!(told(r#"{"exp":17}"#), Some(17));
        for other in [
            r#"{"iss":"a"}"#,
            r#"{"exp":17.5}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":"17"}"#,
            r#"{"exp":17"#,
            r#"{"act":{"exp":17},"iat":3}"#,
            r#"{"exp":17,"exp":18}"#,
            r#"{"note":"\",\"exp\":17","exp":99999999999}"#,
            r#"{"exp":99999999999999999999}"#,
        ] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    fn in_time(claims: &Value) -> Result<(), &'static str> {
        let payload = claims.to_string();
        Registered::read(&payload).and_then(|c| c.in_time(NOW, MINUTE)).map_err(|e| e.reason())
    }

    fn verified(claims: Value, names: ClaimNames) -> Result<Verified, JwtError> {
        let issuer = TrustedIssuer {
            issuer: "https://issuer.example".into(),
            audiences: vec!["me".into()],
            types: vec![String::new()],
            keys: KeySource::Pinned(KeySet::default()),
            claims: names,
            algorithms: Algorithm::ALL.to_vec(),
            provider: ProviderId::google(),
        };
        let mut all = json!({"iss": "https://issuer.example", "sub": "1", "exp": NOW.0 + 60});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let payload = all.to_string();
        Registered::read(&payload)?.verified(&payload, &issuer)
    }

    #[test]
    fn an_expiry_counts_with_a_minute_of_leeway() {
        assert_eq!(in_time(&json!({"exp": NOW.0 + 1})), Ok(()));
        assert_eq!(in_time(&json!({"exp": NOW.0 - 59})), Ok(()));
        assert_eq!(in_time(&json!({"exp": NOW.0 - 60})), Err("the token has expired"));
        assert_eq!(in_time(&json!({"exp": 0})), Err("the token has expired"));
    }

    #[test]
    fn a_clock_that_runs_ahead_is_forgiven_for_a_minute() {
        let exp = NOW.0 + 3600;
        assert_eq!(in_time(&json!({"exp": exp, "nbf": NOW.0 + 60, "iat": NOW.0 + 60})), Ok(()));
        assert_eq!(in_time(&json!({"exp": exp, "nbf": NOW.0 + 61})), Err("the token is not valid yet"));
        assert_eq!(in_time(&json!({"exp": exp, "iat": NOW.0 + 61})), Err("the token was issued in the future"));
        assert_eq!(in_time(&json!({"exp": NOW.0 + 1, "iat": NOW.0 + 2})), Err("the token was issued in the future"));
    }

    #[test]
    fn an_expiry_is_required_and_is_a_date() {
        assert_eq!(in_time(&json!({})), Err("the token has no expiry"));
        assert_eq!(in_time(&json!({"exp": null})), Err("the token has no expiry"));
        for bad in [json!("1900000000"), json!(-1), json!(u64::MAX), json!(1e300), json!([]), json!(true)] {
            assert_eq!(in_time(&json!({"exp": bad})), Err("the token is not a well-formed signed JWT"), "{bad}");
        }
        assert_eq!(in_time(&json!({"exp": 1_800_000_000.5, "iat": 1_799_999_999.25})), Ok(()));
    }

    #[test]
    fn an_audience_is_a_string_or_a_list_and_compared_as_it_is() {
        let audiences = ["https://me.example/mcp".to_owned()];
        let is_for = |aud: Value| {
            let payload = json!({"aud": aud}).to_string();
            Registered::read(&payload).is_ok_and(|c| c.is_for(&audiences))
        };
        assert!(is_for(json!("https://me.example/mcp")));
        assert!(is_for(json!(["other", "https://me.example/mcp"])));
        for bad in
            [json!("https://me.example/mcp/"), json!("https://ME.example/mcp"), json!([]), json!(null), json!(["x", 1])]
        {
            assert!(!is_for(bad.clone()), "{bad}");
        }
        assert!(!Registered::read(r#"{"aud":"x"}"#).unwrap().is_for(&[]));
    }

    #[test]
    fn a_doubled_claim_is_refused_before_and_after_the_signature() {
        for name in ["iss", "aud", "exp", "nbf", "iat"] {
            let payload = format!(r#"{{"{name}":null,"{name}":null}}"#);
            assert!(matches!(Registered::read(&payload), Err(JwtError::Ambiguous)), "{name}");
        }
        let payload = r#"{"exp":1900000000,"sub":"1","email":"a@b","email":"c@d"}"#;
        let issuer = TrustedIssuer {
            issuer: String::new(),
            audiences: vec![],
            types: vec![],
            keys: KeySource::Pinned(KeySet::default()),
            claims: ClaimNames::default(),
            algorithms: vec![],
            provider: ProviderId::google(),
        };
        let read = Registered::read(payload).unwrap().verified(payload, &issuer);
        assert!(matches!(read, Err(JwtError::Ambiguous)));
    }

    #[test]
    fn a_payload_is_one_json_object() {
        for bad in ["", "[]", r#"["a","b",1,2,3]"#, "null", "{}{}", "1"] {
            assert!(matches!(Registered::read(bad), Err(JwtError::Malformed)), "{bad:?}");
        }
    }

    #[test]
    fn an_address_counts_unless_the_issuer_says_that_it_is_not_verified() {
        let email = |claims: Value, names: fn() -> ClaimNames| {
            verified(claims, names()).unwrap().email.map(|email| email.to_string())
        };
        let ann = || Some("ann@example.com".to_owned());
        let plain = ClaimNames::default;
        assert_eq!(email(json!({"email": "Ann@example.com"}), plain), ann());
        assert_eq!(email(json!({"email": "ann@example.com", "email_verified": true}), plain), ann());
        assert_eq!(email(json!({"email": "ann@example.com", "email_verified": "true"}), plain), ann());
        for unverified in [json!(false), json!("false"), json!(0), json!("yes"), json!([true])] {
            assert_eq!(email(json!({"email": "ann@example.com", "email_verified": unverified}), plain), None);
        }
        assert_eq!(email(json!({"email": "ann@example.com"}), ClaimNames::google), None);
        assert_eq!(email(json!({"email": "no address"}), plain), None);
    }

    #[test]
    fn scopes_are_a_string_or_a_list() {
        let scopes = |claims| verified(claims, ClaimNames::default()).unwrap().scopes;
        assert_eq!(scopes(json!({"scope": "a b"})), Scopes::from("a b"));
        assert_eq!(scopes(json!({"scp": ["a", "b"]})), Scopes::from("a b"));
        assert_eq!(scopes(json!({})), Scopes::none());
        assert_eq!(scopes(json!({"scope": 7})), Scopes::none());
    }

    #[test]
    fn a_subject_is_required() {
        for bad in [json!(""), json!(null), json!(7), json!("x".repeat(1025))] {
            assert!(matches!(verified(json!({"sub": bad}), ClaimNames::default()), Err(JwtError::NoSubject)));
        }
    }
}
