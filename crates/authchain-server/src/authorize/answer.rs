//! The answer to an authorization request: a redirect to the client with a code or an error, and always with `iss`
//! (RFC 6749, section 4.1.2; RFC 9207).

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY},
};
use url::form_urlencoded;

use crate::server::Shared;

/// Sends the person back with a code.
pub(crate) fn redirect_with_code(server: &Shared, redirect_uri: &str, state: Option<&str>, code: &str) -> Response {
    see(&address(redirect_uri, &[("code", Some(code)), ("state", state), ("iss", Some(&server.urls.issuer))]))
}

/// Sends the person back with an error.
pub(crate) fn redirect_with_error(
    server: &Shared,
    redirect_uri: &str,
    state: Option<&str>,
    error: &str,
    description: &str,
) -> Response {
    see(&return_address(server, redirect_uri, state, error, description))
}

/// The address that takes an error back to the client.
pub(crate) fn return_address(
    server: &Shared,
    redirect_uri: &str,
    state: Option<&str>,
    error: &str,
    description: &str,
) -> String {
    let iss = Some(server.urls.issuer.as_str());
    address(
        redirect_uri,
        &[("error", Some(error)), ("error_description", Some(description)), ("state", state), ("iss", iss)],
    )
}

/// Adds parameters to a redirect URI, which itself stays as it is to the byte. A space is `%20`: some apps that own a
/// private-use scheme do not read `+` as one.
fn address(redirect_uri: &str, params: &[(&str, Option<&str>)]) -> String {
    let mut address = redirect_uri.to_owned();
    let mut joint = match redirect_uri.split_once('?') {
        None => '?',
        Some((_, "")) => '\0',
        Some(_) => '&',
    };
    for (name, value) in params {
        let Some(value) = value else { continue };
        if joint != '\0' {
            address.push(joint);
        }
        joint = '&';
        address.push_str(name);
        address.push('=');
        for piece in form_urlencoded::byte_serialize(value.as_bytes()) {
            address.push_str(if piece == "+" { "%20" } else { piece });
        }
    }
    address
}

/// 303: whatever the request was, the next one is a GET (RFC 9110, section 15.4.4).
fn see(address: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(address) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redirect_uri_stays_as_it_is_and_the_state_comes_back_byte_for_byte() {
        let state = "a=b/c+d e&f%20ü";
        for (redirect_uri, begins) in [
            ("http://127.0.0.1:33418/", "http://127.0.0.1:33418/?state="),
            ("http://127.0.0.1:33418", "http://127.0.0.1:33418?state="),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback?state="),
            ("https://a.example/cb?x=1", "https://a.example/cb?x=1&state="),
            ("https://a.example/cb?", "https://a.example/cb?state="),
        ] {
            let address = address(redirect_uri, &[("code", None), ("state", Some(state))]);
            let rest = address.strip_prefix(begins).unwrap_or_else(|| panic!("{address}"));
            assert!(!rest.contains('+') && !rest.contains(' '), "{rest}");
            let (_, value) = form_urlencoded::parse(format!("state={rest}").as_bytes()).into_owned().next().unwrap();
            assert_eq!(value, state);
        }
    }
}
