//! Request parameters as OAuth defines them: a parameter without a value counts as absent, one that is sent twice is an
//! error (RFC 6749, sections 3.1 and 3.2), except `resource`, which may be repeated (RFC 8707, section 2).

use http::{HeaderMap, header::CONTENT_TYPE};
use url::form_urlencoded;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// What is wrong with a request's parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadParams {
    /// This one is there more than once.
    Repeated(&'static str),
    /// The body is not what its content type says.
    Unreadable,
    /// The content type is none that we read.
    ContentType,
}

impl Params {
    /// From a query string.
    pub(crate) fn query(query: Option<&str>) -> Self {
        Self::form(query.unwrap_or_default().as_bytes())
    }

    /// From the body of a form.
    pub(crate) fn form(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// From a body that is a form, as the standard has it, or a JSON object, as some clients send.
    pub(crate) fn body(headers: &HeaderMap, body: &[u8]) -> Result<Self, BadParams> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") || media_type.is_empty() {
            return Ok(Self::form(body));
        }
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(BadParams::ContentType);
        }
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(body).map_err(|_| BadParams::Unreadable)?;
        let mut pairs = Vec::with_capacity(object.len());
        for (name, value) in object {
            let values = match value {
                serde_json::Value::Array(values) => values,
                single => vec![single],
            };
            for value in values {
                match value {
                    serde_json::Value::String(text) => pairs.push((name.clone(), text)),
                    serde_json::Value::Number(number) => pairs.push((name.clone(), number.to_string())),
                    serde_json::Value::Null => {}
                    _ => return Err(BadParams::Unreadable),
                }
            }
        }
        Ok(Self(pairs))
    }

    /// The one value of a parameter.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, BadParams> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(BadParams::Repeated(name)) } else { Ok(first) }
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }
}

impl BadParams {
    /// The sentence for an `error_description`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Repeated(name) => format!("{name} is sent more than once"),
            Self::Unreadable => "the body cannot be read".into(),
            Self::ContentType => {
                "the content type must be application/x-www-form-urlencoded or application/json".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_type(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers
    }

    #[test]
    fn an_empty_value_is_no_value() {
        let params = Params::query(Some("scope=&client_id=a"));
        assert_eq!(params.one("scope"), Ok(None));
        assert_eq!(params.one("client_id"), Ok(Some("a")));
    }

    #[test]
    fn a_repeated_parameter_is_an_error_and_a_repeated_resource_is_not() {
        let params = Params::query(Some("a=1&a=2&resource=x&resource=y"));
        assert_eq!(params.one("a"), Err(BadParams::Repeated("a")));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn a_form_and_a_json_object_say_the_same() {
        let form = Params::body(&with_type("application/x-www-form-urlencoded; charset=utf-8"), b"a=1+2&b=c").unwrap();
        let json = Params::body(&with_type("application/json"), br#"{"a":"1 2","b":"c","n":null}"#).unwrap();
        for params in [form, json] {
            assert_eq!(params.one("a"), Ok(Some("1 2")));
            assert_eq!(params.one("b"), Ok(Some("c")));
            assert_eq!(params.one("n"), Ok(None));
        }
    }

    #[test]
    fn any_other_body_is_refused() {
        assert!(matches!(Params::body(&with_type("text/plain"), b"a=1"), Err(BadParams::ContentType)));
        for bad in [&b"[]"[..], b"{", br#"{"a":{"b":1}}"#, b"\xff"] {
            assert!(matches!(Params::body(&with_type("application/json"), bad), Err(BadParams::Unreadable)), "{bad:?}");
        }
    }
}
