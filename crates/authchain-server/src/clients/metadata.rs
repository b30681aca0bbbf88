//! What a client says of itself at registration (RFC 7591, section 2), read leniently where clients differ and strictly
//! where safety hangs on it.

use authchain::core::Scopes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    keys::ClientKeys,
    redirect::{self, Destination},
};
use crate::{ServerOptions, errors::OAuthError, scopes, token::grant};

/// A client with more redirect URIs than this is none that we have seen.
const MAX_REDIRECT_URIS: usize = 20;
/// Longer names are cut: a name is for people.
const MAX_NAME: usize = 80;
/// How a client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AuthMethod {
    /// A public client: it has no secret.
    #[serde(rename = "n")]
    None,
    /// `client_secret_basic`.
    #[serde(rename = "b")]
    Basic,
    /// `client_secret_post`.
    #[serde(rename = "p")]
    Post,
    /// `private_key_jwt` (OpenID Connect Core 1.0, section 9; RFC 7523): it signs with a key of its own.
    #[serde(rename = "j")]
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The word of the standard.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// What we keep of it. It travels inside the client id, so there is nothing in it that we do not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "r")]
    pub(crate) redirect_uris: Vec<String>,
    #[serde(rename = "a")]
    pub(crate) auth: AuthMethod,
    /// `application_type`, only to be said back.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub(super) application_type: Option<ApplicationType>,
    /// What a client with `private_key_jwt` signs with.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<ClientKeys>,
    /// Whether it asks from a device without a browser, too.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) device: bool,
}

/// OpenID Connect Registration 1.0, section 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ApplicationType {
    #[serde(rename = "n")]
    Native,
    #[serde(rename = "w")]
    Web,
}

impl ApplicationType {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Web => "web",
        }
    }
}

impl Metadata {
    #[cfg(test)]
    pub(super) fn new(name: &str, redirect_uris: Vec<String>, auth: AuthMethod) -> Self {
        Self { name: Some(name.into()), redirect_uris, auth, application_type: None, keys: None, device: false }
    }

    /// That of a client that the configuration names.
    pub(super) fn configured(
        name: &str,
        redirect_uris: Vec<String>,
        auth: AuthMethod,
        keys: Option<ClientKeys>,
        device: bool,
    ) -> Self {
        let name = Some(readable_name(name)).filter(|name| !name.is_empty());
        Self { name, redirect_uris, auth, application_type: None, keys, device }
    }

    /// The name that the client gave itself; nobody has verified it.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("MCP client")
    }

    /// Whether the client cannot prove who it is.
    pub(crate) fn is_public(&self) -> bool {
        self.auth == AuthMethod::None
    }

    /// Whether the client has a secret that we gave it.
    pub(crate) fn has_secret(&self) -> bool {
        matches!(self.auth, AuthMethod::Basic | AuthMethod::Post)
    }

    /// The grant types that it may use.
    pub(super) fn grant_types(&self, options: &ServerOptions) -> Vec<&'static str> {
        let device = self.device && options.grants.device_code;
        let types = [
            ("authorization_code", !self.redirect_uris.is_empty()),
            ("refresh_token", true),
            (grant::DEVICE_CODE, device),
        ];
        types.into_iter().filter(|(_, may)| *may).map(|(name, _)| name).collect()
    }

    /// Whether an answer can only go to a program on the person's own computer: any program there could take it.
    pub(crate) fn only_this_computer(&self) -> bool {
        self.redirect_uris.iter().all(|uri| matches!(redirect::destination(uri), Destination::ThisComputer(_)))
    }

    /// The redirect URI that a request means; one may be left out where only one is registered (RFC 6749, section 3.1.2.3).
    pub(crate) fn redirect_uri(&self, presented: Option<&str>) -> Option<String> {
        match (presented, self.redirect_uris.as_slice()) {
            (Some(presented), registered) => {
                registered.iter().any(|r| redirect::matches(r, presented)).then(|| presented.into())
            }
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }

    /// Reads the body of a registration.
    ///
    /// # Errors
    /// `invalid_redirect_uri` and `invalid_client_metadata`, as RFC 7591, section 3.2.2, has them.
    pub(super) fn read(body: &Map<String, Value>, options: &ServerOptions) -> Result<Self, OAuthError> {
        let auth = match text(body, "token_endpoint_auth_method")? {
            Some("none") => AuthMethod::None,
            // The default of RFC 7591, section 2.
            None | Some("client_secret_basic") => AuthMethod::Basic,
            Some("client_secret_post") => AuthMethod::Post,
            Some("private_key_jwt") => AuthMethod::PrivateKeyJwt,
            Some(_) => {
                return Err(bad_metadata(
                    "token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt",
                ));
            }
        };
        Self::rest(body, auth, options)
    }

    /// Reads a client's own document. There is nobody that a secret could be handed to, so it is public or signs.
    ///
    /// # Errors
    /// As [`Metadata::read`].
    pub(super) fn of_document(body: &Map<String, Value>, options: &ServerOptions) -> Result<Self, OAuthError> {
        let auth = match text(body, "token_endpoint_auth_method")? {
            None | Some("none") => AuthMethod::None,
            Some("private_key_jwt") => AuthMethod::PrivateKeyJwt,
            Some(_) => {
                return Err(bad_metadata("token_endpoint_auth_method in a document must be none or private_key_jwt"));
            }
        };
        if body.contains_key("client_secret") {
            return Err(bad_metadata("a document must not hold a client_secret"));
        }
        Self::rest(body, auth, options)
    }

    fn rest(body: &Map<String, Value>, auth: AuthMethod, options: &ServerOptions) -> Result<Self, OAuthError> {
        if let Some(types) = words(body, "response_types")?
            && !types.is_empty()
            && !types.contains(&"code")
        {
            return Err(bad_metadata("the only response type here is code"));
        }
        // Grant types that we do not offer are left out of the answer; they are no reason to turn a client away.
        let grant_types = words(body, "grant_types")?.unwrap_or_default();
        let device = options.grants.device_code && grant_types.contains(&grant::DEVICE_CODE);
        let sends_nobody_back = device && words(body, "redirect_uris")?.unwrap_or_default().is_empty();
        let keys = match auth {
            AuthMethod::PrivateKeyJwt => Some(ClientKeys::read(body, options).map_err(bad_metadata)?),
            _ => None,
        };
        Ok(Self {
            name: text(body, "client_name")?.map(readable_name).filter(|name| !name.is_empty()),
            redirect_uris: if sends_nobody_back {
                Vec::new()
            } else {
                redirect_uris(body, auth == AuthMethod::None, &options.editor_schemes)?
            },
            auth,
            application_type: match text(body, "application_type")? {
                Some("native") => Some(ApplicationType::Native),
                Some("web") => Some(ApplicationType::Web),
                _ => None,
            },
            keys,
            device,
        })
    }
}

/// The scope that a registration is answered with: what the client named, narrowed, or the default set.
pub(super) fn registered_scope(body: &Map<String, Value>, options: &ServerOptions) -> Result<Scopes, OAuthError> {
    Ok(scopes::narrow(text(body, "scope")?, &options.scopes_supported, &options.default_scopes))
}

fn redirect_uris(body: &Map<String, Value>, public: bool, editors: &[String]) -> Result<Vec<String>, OAuthError> {
    let uris = words(body, "redirect_uris")?.unwrap_or_default();
    if uris.is_empty() {
        return Err(bad_redirect("redirect_uris must name at least one redirect URI"));
    }
    if uris.len() > MAX_REDIRECT_URIS {
        return Err(bad_redirect("at most 20 redirect URIs can be registered at once"));
    }
    let mut kept: Vec<String> = Vec::with_capacity(uris.len());
    let mut left_out = None;
    for uri in uris {
        match redirect::check(uri, public, editors) {
            Ok(()) if kept.iter().any(|k| k == uri) => {}
            Ok(()) => kept.push(uri.to_owned()),
            // A scheme that only this client's kind may not use must not block the good ones beside it.
            Err(why @ redirect::Refusal::UnknownScheme) => left_out = Some(why),
            Err(why) => return Err(bad_redirect(why.describe())),
        }
    }
    match left_out {
        Some(why) if kept.is_empty() => Err(bad_redirect(why.describe())),
        _ => Ok(kept),
    }
}

fn bad_redirect(why: &'static str) -> OAuthError {
    OAuthError::new(http::StatusCode::BAD_REQUEST, "invalid_redirect_uri", why)
}

pub(super) fn bad_metadata(why: &'static str) -> OAuthError {
    OAuthError::new(http::StatusCode::BAD_REQUEST, "invalid_client_metadata", why)
}

/// A text field; absent, `null` and empty are the same.
fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, OAuthError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad_metadata("a field that should be a text is something else")),
    }
}

/// A list of texts.
fn words<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, OAuthError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => values
            .iter()
            .map(|v| v.as_str().ok_or_else(|| bad_metadata("a list that should hold texts holds something else")))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(bad_metadata("a field that should be a list is something else")),
    }
}

/// A name as it may stand on a page: one line, no control characters, none that turn the direction of writing around or
/// have no width, and not endless.
fn readable_name(name: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}')
    };
    let shown: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !unseen(*c)).collect();
    let one_line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Metadata, String> {
        let options =
            ServerOptions::new("http://127.0.0.1:8002".parse().unwrap(), "http://127.0.0.1:8002/mcp".parse().unwrap());
        Metadata::read(body.as_object().unwrap(), &options).map_err(|e| e.error().to_owned())
    }

    #[test]
    fn a_name_cannot_write_beyond_its_line() {
        assert_eq!(readable_name(" Claude\u{202e}\n  Code\u{200b} "), "Claude Code");
        assert_eq!(readable_name(&"x".repeat(500)).len(), MAX_NAME);
    }

    #[test]
    fn a_client_without_a_method_has_the_one_of_the_standard() {
        let metadata = read(json!({"redirect_uris": ["https://a.example/cb"]})).unwrap();
        assert_eq!(metadata.auth, AuthMethod::Basic);
    }

    #[test]
    fn one_unknown_scheme_does_not_block_the_good_ones_beside_it() {
        let body = json!({"redirect_uris": ["strange://x/cb", "https://a.example/cb"], "token_endpoint_auth_method": "client_secret_post"});
        assert_eq!(read(body).unwrap().redirect_uris, ["https://a.example/cb"]);
    }

    #[test]
    fn a_dangerous_redirect_refuses_the_whole_registration() {
        let body = json!({"redirect_uris": ["https://a.example/cb", "javascript:alert(1)"]});
        assert_eq!(read(body), Err("invalid_redirect_uri".into()));
    }

    #[test]
    fn without_a_redirect_uri_there_is_no_registration() {
        for body in [json!({}), json!({"redirect_uris": []}), json!({"redirect_uris": null})] {
            assert_eq!(read(body), Err("invalid_redirect_uri".into()));
        }
    }

    #[test]
    fn fields_of_the_wrong_kind_are_refused() {
        for body in [
            json!({"redirect_uris": "https://a.example/cb"}),
            json!({"redirect_uris": [1]}),
            json!({"redirect_uris": ["https://a.example/cb"], "client_name": 5}),
            json!({"redirect_uris": ["https://a.example/cb"], "response_types": ["token"]}),
            json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "tls_client_auth"}),
        ] {
            assert_eq!(read(body), Err("invalid_client_metadata".into()));
        }
    }

    #[test]
    fn one_registered_redirect_need_not_be_named_again() {
        let one = Metadata::new("x", vec!["https://a.example/cb".into()], AuthMethod::None);
        assert_eq!(one.redirect_uri(None).as_deref(), Some("https://a.example/cb"));
        let two =
            Metadata::new("x", vec!["https://a.example/1".into(), "https://a.example/2".into()], AuthMethod::None);
        assert_eq!(two.redirect_uri(None), None);
        assert_eq!(two.redirect_uri(Some("https://a.example/2")).as_deref(), Some("https://a.example/2"));
        assert_eq!(two.redirect_uri(Some("https://a.example/3")), None);
    }
}
