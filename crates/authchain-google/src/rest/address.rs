//! From a path template and its values to a URL. Whatever the values are, the URL stays on the API's host: that is where
//! the token may go and nowhere else.

use url::Url;

use super::RestError;
use crate::Endpoints;

/// Where an API is.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    /// Where its paths begin.
    pub(crate) base: Url,
    /// Where its host begins: for a stand-in not the root of its own host.
    root: Url,
}

impl Addresses {
    /// Those of the API whose own base address is `base`.
    pub(crate) fn new(base: &str, endpoints: &Endpoints) -> Option<Self> {
        let google = Url::parse(base).ok()?;
        let root = google.join("/").ok()?;
        let locate = |url: &Url| Url::parse(&endpoints.locate(url.as_str())).ok();
        Some(Self { base: locate(&google)?, root: locate(&root)? })
    }
}

/// Fills in a template and puts it under the base, or under the base's host when it begins with `/`.
pub(super) fn address(
    at: &Addresses,
    template: &str,
    values: &[(String, String)],
    query: &[(String, String)],
) -> Result<Url, RestError> {
    // The template decides where the path begins, never a value.
    let (from, template) = match template.strip_prefix('/') {
        Some(template) => (at.root.path(), template),
        None => (at.base.path(), template),
    };
    let path = fill(template, values)?;
    if path.contains(['?', '#', '\\']) {
        return Err(RestError::Invalid(format!("{template:?}: parameters belong into `query`")));
    }
    let mut url = at.base.clone();
    url.set_path(&format!("{from}{path}"));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

fn fill(template: &str, values: &[(String, String)]) -> Result<String, RestError> {
    let mut filled = String::new();
    let mut rest = template;
    let mut used = 0;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| RestError::Invalid(format!("{template:?} lacks a closing brace")))?;
        let (name, several) = name.strip_prefix('+').map_or((name, false), |name| (name, true));
        let value = values.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = value.ok_or_else(|| RestError::Invalid(format!("{template:?} needs a value for {name}")))?;
        filled.push_str(before);
        encode(value, several, &mut filled)?;
        used += 1;
        rest = after;
    }
    filled.push_str(rest);
    if used < values.len() {
        return Err(RestError::Invalid(format!("{template:?} has no place for all of its values")));
    }
    if filled.split('/').any(is_dots) {
        return Err(RestError::Invalid(format!("{template:?}: `.` and `..` lead elsewhere")));
    }
    Ok(filled)
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3), and but `/` where several segments are meant.
fn encode(value: &str, several: bool, into: &mut String) -> Result<(), RestError> {
    if value.is_empty() || value.split('/').any(is_dots) {
        return Err(RestError::Invalid(format!("{value:?} is not a name in a path")));
    }
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => into.push(byte.into()),
            b'/' if several => into.push('/'),
            other => into.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(())
}

/// A segment that URL parsers resolve, in any of its spellings.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(template: &str, values: &[(&str, &str)]) -> Result<String, RestError> {
        let at = Addresses::new("https://www.googleapis.com/drive/v3/", &Endpoints::google()).unwrap();
        let values: Vec<_> = values.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        address(&at, template, &values, &[]).map(Into::into)
    }

    #[test]
    fn a_template_is_filled_in() {
        assert_eq!(
            url("files/{id}", &[("id", "a b/c?")]).unwrap(),
            "https://www.googleapis.com/drive/v3/files/a%20b%2Fc%3F"
        );
        assert_eq!(
            url("v1/{+name}", &[("name", "spaces/A")]).unwrap(),
            "https://www.googleapis.com/drive/v3/v1/spaces/A"
        );
        assert_eq!(url("/upload/drive/v3/files", &[]).unwrap(), "https://www.googleapis.com/upload/drive/v3/files");
    }

    #[test]
    fn no_value_leads_off_the_host_or_out_of_the_path() {
        for bad in ["..", ".", "../x", "a/../../b", "%2e%2E", ""] {
            assert!(url("v1/{+name}", &[("name", bad)]).is_err(), "{bad:?}");
        }
        for template in ["../x", "a/%2e%2e/b", "x?y=1", "x#y", "a\\b"] {
            assert!(url(template, &[]).is_err(), "{template:?}");
        }
        for template in ["https://evil.example/x", "//evil.example/x", "@evil.example/"] {
            assert!(url(template, &[]).is_ok_and(|url| url.starts_with("https://www.googleapis.com/")), "{template:?}");
        }
        assert!(url("{+n}", &[("n", "//evil.example/x")]).unwrap().starts_with("https://www.googleapis.com/drive/v3/"));
    }

    #[test]
    fn a_stand_in_with_a_path_of_its_own_keeps_it() {
        let endpoints = Endpoints::under(Url::parse("http://127.0.0.1:9000/google").unwrap());
        let at = Addresses::new("https://www.googleapis.com/drive/v3/", &endpoints).unwrap();
        let url = |template| address(&at, template, &[], &[]).unwrap().to_string();
        assert_eq!(url("files"), "http://127.0.0.1:9000/google/drive/v3/files");
        assert_eq!(url("/upload/drive/v3/files"), "http://127.0.0.1:9000/google/upload/drive/v3/files");
    }

    #[test]
    fn a_value_too_many_or_too_few_is_refused() {
        assert!(url("files/{id}", &[]).is_err());
        assert!(url("files", &[("id", "1")]).is_err());
        assert!(url("files/{id", &[("id", "1")]).is_err());
    }
}
