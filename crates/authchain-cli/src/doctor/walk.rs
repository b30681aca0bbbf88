//! What MCP clients fetch before they sign in, in their order, and what each of them insists on.

#![expect(clippy::indexing_slicing, reason = "what a JSON value lacks is null")]

use std::time::{Duration, SystemTime};

use authchain::core::with_causes;
use reqwest::{Client, Method, Response, header};
use serde_json::Value;
use url::{Host, Url};

use super::{Finding, Grade};
use crate::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(10);
/// Tokens are taken with a leeway of a minute.
const CLOCKS_MAY_DIFFER: Duration = Duration::from_secs(60);

const PUBLIC_URL: &str =
    "Set server.public_url (and server.mcp_path) to the address that people configure in their clients.";
const PROXY: &str = "Have the reverse proxy pass this path on unchanged, without a redirect and with all headers.";
const ENDPOINT: &str = "Name the MCP endpoint itself, as the server prints it: it mostly ends in /mcp. If this is it, have the \
     reverse proxy pass this path on unchanged.";

/// The checks of one endpoint.
pub(super) struct Walk {
    http: Client,
    url: Url,
    findings: Vec<Finding>,
}

impl Walk {
    pub(super) fn new(url: Url) -> Result<Self, Failure> {
        // A redirect is what is looked for: some clients drop the token on the way.
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build();
        let http =
            http.map_err(|error| Failure::new(format!("the HTTP client cannot be built: {error}"), "See the cause."))?;
        Ok(Self { http, url, findings: Vec::new() })
    }

    /// Everything, as far as it goes: without an answer from the server there is nothing further to look at.
    pub(super) async fn all(mut self) -> Result<Vec<Finding>, Failure> {
        self.scheme();
        self.endpoint().await?;
        let issuer = self.resource_metadata().await;
        self.server_metadata(issuer.as_deref().unwrap_or(&self.origin())).await;
        self.unknown_paths().await;
        self.cross_origin().await;
        Ok(self.findings)
    }

    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    fn path(&self) -> String {
        self.url.path().trim_end_matches('/').to_owned()
    }

    fn add(&mut self, grade: Grade, what: impl Into<String>, found: impl Into<String>, fix: &'static str) {
        self.findings.push(Finding { grade, what: what.into(), found: found.into(), fix });
    }

    fn check(&mut self, good: bool, what: impl Into<String>, found: impl Into<String>, fix: &'static str) {
        self.add(if good { Grade::Good } else { Grade::Bad }, what, found, fix);
    }

    fn scheme(&mut self) {
        let loopback = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let good = self.url.scheme() == "https" || loopback;
        let found = if loopback { "a loopback address" } else { self.url.scheme() }.to_owned();
        self.check(good, "transport", found, "Serve it over https: clients refuse to send tokens otherwise.");
    }

    /// With and without a slash at the end, with POST and GET: each is a challenge, and none a redirect.
    async fn endpoint(&mut self) -> Result<(), Failure> {
        let (origin, path) = (self.origin(), self.path());
        let mut reached = false;
        // At the root both are the same.
        let (path, slashed) =
            if path.is_empty() { ("/".into(), None) } else { (path.clone(), Some(format!("{path}/"))) };
        let post = [Some(path.clone()), slashed].into_iter().flatten().map(|path| (Method::POST, path));
        for (method, path) in post.chain([(Method::GET, path)]) {
            let what = format!("{method} {path} without a token");
            let answer = self.http.request(method, format!("{origin}{path}")).send().await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if !reached => {
                    let code = authchain::core::ErrorCode::UpstreamUnavailable;
                    let why = with_causes(&error.without_url());
                    return Err(Failure::of(code, format!("{origin} cannot be reached: {why}"))
                        .fix("Check the address, and that the server runs."));
                }
                Err(error) => {
                    self.check(false, what, with_causes(&error.without_url()), PROXY);
                    continue;
                }
            };
            if !reached {
                self.clock(&answer);
            }
            reached = true;
            self.challenge(what, &answer);
        }
        Ok(())
    }

    fn challenge(&mut self, what: String, answer: &Response) {
        let status = answer.status();
        if status.is_redirection() {
            let to = text_of(answer, header::LOCATION);
            return self.check(false, what, format!("{status} to {to}"), PROXY);
        }
        if status != 401 {
            let wrong_place = matches!(status.as_u16(), 404 | 405);
            return self.check(
                false,
                what,
                format!("{status} instead of 401"),
                if wrong_place { ENDPOINT } else { PROXY },
            );
        }
        let challenge = text_of(answer, header::WWW_AUTHENTICATE);
        let metadata = challenge.split_once("resource_metadata=\"").and_then(|(_, rest)| rest.split_once('"'));
        match metadata {
            None => {
                let fix = "Have the proxy pass the header WWW-Authenticate on: without it clients see no sign-in.";
                self.check(false, what, "401 without resource_metadata in WWW-Authenticate", fix);
            }
            Some((metadata, _)) => {
                let good = metadata.starts_with(&format!("{}/", self.origin()));
                self.check(good, what, format!("401, resource_metadata=\"{metadata}\""), PUBLIC_URL);
            }
        }
    }

    /// Both forms of RFC 9728, section 3.1, name the very address. Says which authorization server it names.
    async fn resource_metadata(&mut self) -> Option<String> {
        let mut issuer = None;
        let expected = self.url.as_str().to_owned();
        for suffix in [self.path(), String::new()] {
            let what = format!("/.well-known/oauth-protected-resource{suffix}");
            let Some(document) = self.document(&what).await else { continue };
            let resource = document["resource"].as_str().unwrap_or_default();
            let same = resource == expected || resource == expected.trim_end_matches('/');
            let found = if same { format!("resource {resource}") } else { differs("resource", resource, &expected) };
            self.check(same, what.clone(), found, PUBLIC_URL);
            match document["authorization_servers"][0].as_str() {
                Some(server) => issuer = Some(server.to_owned()),
                None => self.check(false, what, "it names no authorization server", PUBLIC_URL),
            }
        }
        issuer
    }

    /// The forms in which clients look for the authorization server's metadata (RFC 8414, section 3; OpenID Connect
    /// Discovery, section 4): all say the same.
    async fn server_metadata(&mut self, issuer: &str) {
        let path = self.path();
        let mut first: Option<Value> = None;
        for what in [
            "/.well-known/oauth-authorization-server".to_owned(),
            format!("/.well-known/oauth-authorization-server{path}"),
            "/.well-known/openid-configuration".to_owned(),
            format!("/.well-known/openid-configuration{path}"),
            format!("{path}/.well-known/openid-configuration"),
        ] {
            let Some(document) = self.document(&what).await else { continue };
            let named = document["issuer"].as_str().unwrap_or_default();
            let found = if named == issuer { format!("issuer {named}") } else { differs("issuer", named, issuer) };
            self.check(named == issuer, what.clone(), found, PUBLIC_URL);
            first.get_or_insert(document);
        }
        if let Some(document) = first {
            self.endpoints(&document);
            self.abilities(&document);
            self.keys(document["jwks_uri"].as_str().unwrap_or_default()).await;
        }
    }

    /// A proxy's inner address in the metadata is the usual mistake.
    fn endpoints(&mut self, document: &Value) {
        let base = document["issuer"].as_str().unwrap_or_default().to_owned();
        let foreign: Vec<_> = document
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri")
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
            .filter(|(_, address)| !address.starts_with(&format!("{base}/")))
            .map(|(name, address)| format!("{name} {address}"))
            .collect();
        let found = if foreign.is_empty() { "all below the issuer".to_owned() } else { foreign.join(", ") };
        self.check(foreign.is_empty(), "addresses in the metadata", found, PUBLIC_URL);
    }

    fn abilities(&mut self, document: &Value) {
        let names = |name: &str, wanted: &str| {
            document[name].as_array().into_iter().flatten().any(|value| value.as_str() == Some(wanted))
        };
        let pkce = names("code_challenge_methods_supported", "S256");
        let public = names("token_endpoint_auth_methods_supported", "none");
        let registers = document["registration_endpoint"].is_string();
        let documents = document["client_id_metadata_document_supported"] == true;
        self.check(
            pkce,
            "PKCE",
            if pkce { "S256" } else { "S256 is not announced" },
            "This server is not authchain's, or something rewrites its metadata.",
        );
        let how = match (registers, documents) {
            (true, true) => "registration and metadata documents",
            (true, false) => "registration",
            (false, true) => "metadata documents",
            (false, false) => "neither registration nor metadata documents",
        };
        let grade = if registers || documents { Grade::Good } else { Grade::Warning };
        self.add(
            grade,
            "clients that nobody configured",
            how,
            "Only clients of the configuration can sign in: `authchain clients create` makes one.",
        );
        let grade = if public { Grade::Good } else { Grade::Warning };
        let found = if public { "taken" } else { "not announced" };
        self.add(grade, "clients without a secret", found, "Claude, Cursor and VS Code are such: announce `none`.");
    }

    async fn keys(&mut self, address: &str) {
        let what = "signing keys";
        let fix = "Have the proxy pass /oauth/jwks on.";
        let Ok(answer) = self.http.get(address).send().await else {
            return self.check(false, what, format!("{address} cannot be fetched"), fix);
        };
        let status = answer.status();
        let keys = answer.json::<Value>().await.ok().and_then(|set| set["keys"].as_array().map(Vec::len)).unwrap_or(0);
        self.check(status == 200 && keys > 0, what, format!("{status}, keys: {keys}"), fix);
    }

    /// A page where JSON is expected ends as the client's error message.
    async fn unknown_paths(&mut self) {
        let path = "/.well-known/authchain-doctor-looks";
        let Ok(answer) = self.http.get(format!("{}{path}", self.origin())).send().await else { return };
        let kind = text_of(&answer, header::CONTENT_TYPE);
        let good = answer.status() == 404 && kind.starts_with("application/json");
        let grade = if good { Grade::Good } else { Grade::Warning };
        let found = format!("{} {kind}", answer.status());
        self.add(
            grade,
            "unknown paths below /.well-known/",
            found,
            "Have the proxy pass all of /.well-known/ on to the server.",
        );
    }

    /// Clients in a browser ask before they call, and must be let read the challenge.
    async fn cross_origin(&mut self) {
        let headers = "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name";
        let asked = self
            .http
            .request(Method::OPTIONS, self.url.clone())
            .header(header::ORIGIN, "https://inspector.example")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, headers);
        let fix = "Have the proxy pass OPTIONS requests and the Access-Control headers on: browser clients need them.";
        let (grade, found) = match asked.send().await {
            Ok(answer) => {
                let allowed = text_of(&answer, header::ACCESS_CONTROL_ALLOW_HEADERS).to_lowercase();
                let missing: Vec<_> = headers.split(", ").filter(|name| !allowed.contains(name)).collect();
                match (answer.status().is_success(), missing.as_slice()) {
                    (true, []) => (Grade::Good, "allowed".to_owned()),
                    (true, missing) => {
                        (Grade::Warning, format!("these headers are not allowed: {}", missing.join(", ")))
                    }
                    (false, _) => (Grade::Warning, format!("the preflight is answered with {}", answer.status())),
                }
            }
            Err(error) => (Grade::Warning, with_causes(&error.without_url())),
        };
        self.add(grade, "clients in a browser", found, fix);
    }

    fn clock(&mut self, answer: &Response) {
        let Some(theirs) = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok()) else { return };
        let Ok(theirs) = httpdate::parse_http_date(theirs) else { return };
        let now = SystemTime::now();
        let apart = now.duration_since(theirs).or_else(|_| theirs.duration_since(now)).unwrap_or_default();
        let grade = if apart <= CLOCKS_MAY_DIFFER { Grade::Good } else { Grade::Warning };
        let fix = "Set the clocks by NTP: tokens are refused when they differ by more than a minute.";
        self.add(grade, "clocks", format!("{} s apart", apart.as_secs()), fix);
    }

    /// A JSON document, or a finding that there is none.
    async fn document(&mut self, path: &str) -> Option<Value> {
        let found = match self.http.get(format!("{}{path}", self.origin())).send().await {
            Ok(answer) if answer.status() == 200 => match answer.json().await {
                Ok(document) => return Some(document),
                Err(_) => "200, but it is no JSON".to_owned(),
            },
            Ok(answer) => answer.status().to_string(),
            Err(error) => with_causes(&error.without_url()),
        };
        self.check(false, path, found, PROXY);
        None
    }
}

fn text_of(answer: &Response, name: header::HeaderName) -> String {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Clients compare to the byte, so people have to see which one it is.
fn differs(what: &str, found: &str, expected: &str) -> String {
    let same = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    format!("{what} is {found:?} where clients expect {expected:?}: they differ from byte {} on", same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_that_differs_is_named() {
        let said = differs("resource", "https://a.example/mcp/", "https://a.example/mcp");
        assert!(said.ends_with("they differ from byte 22 on"), "{said}");
    }
}
