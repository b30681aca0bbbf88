//! Which redirect URIs a client may register, and which of them a request means (number 7 of the checklist; RFC 8252,
//! sections 7 and 8; RFC 9700, section 2.1).
//!
//! The rules look at the text itself and ask a URL library only for a second opinion: where the two disagree about the
//! host, a browser might disagree as well, and the URI is refused.

use std::borrow::Cow;

use url::Url;

/// Longer ones occur nowhere.
const MAX_LENGTH: usize = 2000;

/// Schemes that run code, read files, or belong to other programs of the browser.
const DANGEROUS: [&str; 18] = [
    "javascript",
    "data",
    "file",
    "vbscript",
    "blob",
    "about",
    "view-source",
    "filesystem",
    "ftp",
    "ws",
    "wss",
    "mailto",
    "tel",
    "sms",
    "intent",
    "jar",
    "chrome",
    "ms-msdt",
];

/// The three names of this machine that a loopback redirect may use.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Why a redirect URI is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooLong,
    Characters,
    Relative,
    Fragment,
    Wildcard,
    UserInfo,
    Host,
    Port,
    PlainHttp,
    Dangerous,
    UnknownScheme,
}

impl Refusal {
    /// The sentence for the developer of the client.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::TooLong => "a redirect URI has at most 2000 characters",
            Self::Characters => "a redirect URI has only the characters of RFC 3986: no spaces, backslashes, quotes",
            Self::Relative => "a redirect URI is absolute: it begins with a scheme",
            Self::Fragment => "a redirect URI has no fragment (#)",
            Self::Wildcard => "a redirect URI has no wildcard (*)",
            Self::UserInfo => "a redirect URI has no user name or password",
            Self::Host => "the host of a redirect URI cannot be read or is ambiguous",
            Self::Port => "the port of a redirect URI is not a number from 1 to 65535",
            Self::PlainHttp => "plain http is for loopback only: 127.0.0.1, [::1] or localhost; use https",
            Self::Dangerous => "a redirect URI must not use a scheme that runs code or reads files",
            Self::UnknownScheme => {
                "this private-use scheme is for public clients only (token_endpoint_auth_method none)"
            }
        }
    }
}

/// Whether a client may register this redirect URI.
pub(crate) fn check(uri: &str, public_client: bool, editor_schemes: &[String]) -> Result<(), Refusal> {
    if uri.len() > MAX_LENGTH {
        return Err(Refusal::TooLong);
    }
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    if !uri.bytes().all(plain) {
        return Err(Refusal::Characters);
    }
    let (scheme, rest) = split_scheme(uri).ok_or(Refusal::Relative)?;
    let scheme = scheme.to_ascii_lowercase();
    if DANGEROUS.contains(&scheme.as_str()) {
        return Err(Refusal::Dangerous);
    }
    if uri.contains('#') {
        return Err(Refusal::Fragment);
    }
    if uri.contains('*') {
        return Err(Refusal::Wildcard);
    }
    let url = Url::parse(uri).map_err(|_| Refusal::Host)?;
    match scheme.as_str() {
        "https" | "http" => {
            let parts = split_authority(rest)?;
            if url.host_str().is_none_or(|host| !host.eq_ignore_ascii_case(parts.host)) || parts.host.ends_with('.') {
                return Err(Refusal::Host);
            }
            if scheme == "http" && !is_loopback_name(parts.host) { Err(Refusal::PlainHttp) } else { Ok(()) }
        }
        _ => {
            if rest.starts_with("//") && rest.split(['/', '?']).nth(2).is_some_and(|authority| authority.contains('@'))
            {
                return Err(Refusal::UserInfo);
            }
            if rest.is_empty() {
                return Err(Refusal::Relative);
            }
            let known = scheme.contains('.') || editor_schemes.iter().any(|s| s.eq_ignore_ascii_case(&scheme));
            if public_client || known { Ok(()) } else { Err(Refusal::UnknownScheme) }
        }
    }
}

/// Whether a request's redirect URI is a registered one: the same to the byte, except that the port of a loopback redirect
/// may vary (RFC 8252, section 7.3; `localhost` counts, for clients use it).
pub(crate) fn matches(registered: &str, presented: &str) -> bool {
    registered == presented
        || match (loopback_parts(registered), loopback_parts(presented)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => false,
        }
}

/// A redirect URI as approvals of it are kept: to the byte, and without the port of a loopback one, which may vary.
pub(crate) fn without_port(uri: &str) -> Cow<'_, str> {
    match loopback_parts(uri) {
        Some((host, tail)) => Cow::Owned(format!("http://{host}{tail}")),
        None => Cow::Borrowed(uri),
    }
}

/// What a person is shown of a redirect URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A site, by its host.
    Site(String),
    /// A program on the person's own computer, reached over loopback by this name.
    ThisComputer(String),
    /// A program that owns a private-use scheme, by that scheme.
    App(String),
}

/// Where a checked redirect URI leads.
pub(crate) fn destination(uri: &str) -> Destination {
    let Some((scheme, rest)) = split_scheme(uri) else { return Destination::App(uri.into()) };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Destination::App(scheme.to_ascii_lowercase());
    }
    match split_authority(rest) {
        Ok(parts) if is_loopback_name(parts.host) => Destination::ThisComputer(parts.host.to_ascii_lowercase()),
        Ok(parts) => Destination::Site(parts.host.to_ascii_lowercase()),
        Err(_) => Destination::Site(rest.into()),
    }
}

struct Authority<'a> {
    host: &'a str,
    tail: &'a str,
}

/// Host and everything after the authority of the hierarchical part `//host:port/path?query`.
fn split_authority(rest: &str) -> Result<Authority<'_>, Refusal> {
    let rest = rest.strip_prefix("//").ok_or(Refusal::Host)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).ok_or(Refusal::Host)?;
    if authority.contains('@') {
        return Err(Refusal::UserInfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let close = bracketed.find(']').ok_or(Refusal::Host)?;
            let (host, port) = authority.split_at_checked(close + 2).ok_or(Refusal::Host)?;
            (host, port.strip_prefix(':').or(if port.is_empty() { Some("") } else { None }).ok_or(Refusal::Host)?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    if host.is_empty() || host.contains('%') {
        return Err(Refusal::Host);
    }
    let is_port = || port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    if port.is_empty() || is_port() { Ok(Authority { host, tail }) } else { Err(Refusal::Port) }
}

/// Host and tail of a loopback redirect, without its port; `None` for any other URI.
fn loopback_parts(uri: &str) -> Option<(String, &str)> {
    let (scheme, rest) = split_scheme(uri)?;
    if !scheme.eq_ignore_ascii_case("http") || check(uri, true, &[]).is_err() {
        return None;
    }
    let parts = split_authority(rest).ok()?;
    is_loopback_name(parts.host).then(|| (parts.host.to_ascii_lowercase(), parts.tail))
}

fn is_loopback_name(host: &str) -> bool {
    LOOPBACK.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// RFC 3986, section 3.1.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut bytes = scheme.bytes();
    let well_formed = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    well_formed.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_public(uri: &str) -> Result<(), Refusal> {
        check(uri, true, &[])
    }

    #[test]
    fn n07_what_real_clients_register_is_allowed() {
        for uri in [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "cursor://anysphere.cursor-retrieval/oauth/user-x/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
            "http://127.0.0.1:33418",
            "http://[::1]:8080/callback",
            "https://vscode.dev/redirect",
            "https://claude.ai/api/mcp/auth_callback",
            "https://chatgpt.com/connector_platform_oauth_redirect",
            "https://chatgpt.com/connector/oauth/AbC_123",
            "http://localhost:6274/oauth/callback/debug",
            "https://n8n.example.com:5678/rest/oauth2-credential/callback?x=1",
            "com.example.app:/cb",
            "vscode-insiders://vscode.github-authentication/did-authenticate",
        ] {
            assert_eq!(check_public(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn n07_r17_schemes_that_run_code_or_read_files_are_refused_in_any_case() {
        for uri in [
            "javascript:alert(1)",
            "JavaScript://example.com/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "blob:https://example.com/x",
            "view-source:https://example.com",
        ] {
            assert_eq!(check_public(uri), Err(Refusal::Dangerous), "{uri}");
        }
    }

    #[test]
    fn n07_r17_a_fragment_a_wildcard_and_a_user_name_are_refused() {
        assert_eq!(check_public("https://example.com/cb#x"), Err(Refusal::Fragment));
        assert_eq!(check_public("https://example.com/cb#"), Err(Refusal::Fragment));
        assert_eq!(check_public("https://*.example.com/cb"), Err(Refusal::Wildcard));
        for uri in ["https://user@example.com/", "https://good.com:x@evil.com/", "http://localhost@evil.com/"] {
            assert_eq!(check_public(uri), Err(Refusal::UserInfo), "{uri}");
        }
        assert_eq!(check_public("cursor://a@b/c"), Err(Refusal::UserInfo));
    }

    #[test]
    fn n07_r17_plain_http_is_for_the_three_loopback_names_only() {
        for uri in [
            "http://example.com/cb",
            "http://localhost.evil.com/cb",
            "http://127.0.0.1.evil.com/cb",
            "http://10.0.0.1/cb",
            "http://127.0.0.2/cb",
            "http://0.0.0.0/cb",
        ] {
            assert_eq!(check_public(uri), Err(Refusal::PlainHttp), "{uri}");
        }
    }

    #[test]
    fn n07_a_host_that_two_parsers_could_read_differently_is_refused() {
        for uri in [
            "http://2130706433/cb",
            "http://0x7f.1/cb",
            "http://127.1/cb",
            "http://[::ffff:127.0.0.1]/cb",
            "http://[0:0:0:0:0:0:0:1]/cb",
            "http://localhost./cb",
            "https://example.com./cb",
            "https://ex%61mple.com/cb",
            "https:///cb",
            "https:example.com/cb",
            "https://[::1/cb",
            "https://[::1]x/cb",
        ] {
            assert!(
                matches!(check_public(uri), Err(Refusal::Host | Refusal::PlainHttp)),
                "{uri}: {:?}",
                check_public(uri)
            );
        }
    }

    #[test]
    fn n07_characters_outside_rfc_3986_are_refused() {
        for uri in [
            "https://good.com\\@evil.com/",
            "https://example.com/a b",
            "https://exämple.com/",
            "https://a/\n",
            "https://a/\"x\"",
        ] {
            assert_eq!(check_public(uri), Err(Refusal::Characters), "{uri:?}");
        }
    }

    #[test]
    fn n07_what_is_not_absolute_is_refused() {
        for uri in ["", "/callback", "callback", "//example.com/cb", "1a:/x", "cursor:"] {
            assert_eq!(check_public(uri), Err(Refusal::Relative), "{uri:?}");
        }
        assert_eq!(check_public(&format!("https://example.com/{}", "a".repeat(2000))), Err(Refusal::TooLong));
        for uri in ["https://example.com:0/", "https://example.com:65536/", "http://localhost:+80/"] {
            assert!(check_public(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn n07_a_confidential_client_uses_only_schemes_that_are_known() {
        let editors = ["cursor".to_owned()];
        assert_eq!(check("cursor://x/cb", false, &editors), Ok(()));
        assert_eq!(check("com.example.app:/cb", false, &editors), Ok(()));
        assert_eq!(check("unheard-of://x/cb", false, &editors), Err(Refusal::UnknownScheme));
        assert_eq!(check("unheard-of://x/cb", true, &editors), Ok(()));
    }

    #[test]
    fn n07_a1_c7_the_port_of_a_loopback_redirect_may_vary_and_nothing_else() {
        assert!(matches("http://localhost:8787/callback", "http://localhost:51234/callback"));
        assert!(matches("http://localhost/callback", "http://localhost:1/callback"));
        assert!(matches("http://127.0.0.1:33418/", "http://127.0.0.1:9999/"));
        assert!(matches("http://[::1]/cb", "http://[::1]:8080/cb"));
        assert!(matches("http://127.0.0.1:1/callback?a=b", "http://127.0.0.1:2/callback?a=b"));
        for (registered, presented) in [
            ("http://localhost:8787/callback", "http://localhost:8787/callback/"),
            ("http://localhost:8787/callback", "http://localhost:8787/other"),
            ("http://localhost:8787/callback", "http://127.0.0.1:8787/callback"),
            ("http://localhost:8787/callback", "https://localhost:8787/callback"),
            ("http://localhost:8787/callback", "http://localhost:8787@evil.com/callback"),
            ("http://localhost:8787/callback", "http://localhost.evil.com:8787/callback"),
            ("http://localhost:8787/callback", "http://localhost:8787/callback?x=1"),
            ("http://127.0.0.1/cb", "http://127.1/cb"),
            ("https://example.com/cb", "https://example.com:8443/cb"),
            ("https://example.com/cb", "https://EXAMPLE.com/cb"),
            ("https://example.com/cb", "https://example.com/cb/../cb"),
            ("https://example.com/cb", "https://example.com/%63b"),
            ("cursor://a/cb", "cursor://a:1/cb"),
            ("cursor://a/cb", "CURSOR://a/cb"),
        ] {
            assert!(!matches(registered, presented), "{registered} / {presented}");
        }
    }

    #[test]
    fn an_approval_is_kept_without_the_port_of_a_loopback_redirect() {
        assert_eq!(without_port("http://localhost:8787/callback?a=b"), "http://localhost/callback?a=b");
        assert_eq!(without_port("http://[::1]:1/"), without_port("http://[::1]/"));
        for uri in ["https://example.com:8443/cb", "cursor://a:1/cb", "http://localhost.evil.com:1/cb"] {
            assert_eq!(without_port(uri), uri);
        }
    }

    #[test]
    fn a_person_is_shown_where_it_leads() {
        assert_eq!(destination("https://Claude.ai/api/cb"), Destination::Site("claude.ai".into()));
        assert_eq!(destination("http://localhost:1/cb"), Destination::ThisComputer("localhost".into()));
        assert_eq!(destination("cursor://anysphere.cursor-mcp/cb"), Destination::App("cursor".into()));
    }
}
