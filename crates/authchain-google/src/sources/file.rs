//! Google's credential files: a service account key, or what `gcloud auth application-default login` leaves behind.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use authchain_core::{Email, OAuthClient, Secret};
use aws_lc_rs::signature::RsaKeyPair;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Deserialize;
use url::{Host, Url};
use zeroize::Zeroizing;

/// gcloud's own OAuth client. Google does not let it ask for Workspace scopes.
const GCLOUDS_CLIENT: &str = "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com";
const USUAL_NAME: &str = "application_default_credentials.json";

/// Why a credential file cannot be used. Nothing of what is in the file is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It is not JSON, or lacks a field.
    #[error("this is not one of Google's credential files: {0}")]
    Malformed(&'static str),
    /// It is of a kind that is not supported.
    #[error("credentials of the type {0:?} are not supported: authorized_user and service_account are")]
    OtherType(String),
    /// The private key is not an RSA key in PKCS #8.
    #[error("its `private_key` is not an RSA key in PEM (PKCS #8)")]
    BadKey,
    /// The token endpoint would be sent secrets in the clear.
    #[error("its `token_uri` is neither https nor on this machine")]
    PlainTokenUri,
}

/// A credential file of either kind.
#[derive(Clone, Debug)]
pub enum AdcFile {
    /// One person's, with a refresh token.
    AuthorizedUser(AuthorizedUser),
    /// A service account's key.
    ServiceAccount(ServiceAccountKey),
}

/// One person's credential, as gcloud writes it.
#[derive(Clone, Debug)]
pub struct AuthorizedUser {
    /// The client that it was granted to.
    pub client: OAuthClient,
    /// What access tokens are made from.
    pub refresh_token: Secret,
    /// Whose it is; gcloud often leaves it empty.
    pub account: Option<Email>,
    /// Where it is refreshed, when the file names it.
    pub token_uri: Option<Url>,
    /// The project that calls count for (`quota_project_id`), where the file names one.
    pub quota_project: Option<Arc<str>>,
}

impl AuthorizedUser {
    /// Whether it was granted to gcloud's own client, which Google gives no Workspace scopes.
    pub fn is_gclouds_own(&self) -> bool {
        self.client.id == GCLOUDS_CLIENT
    }
}

/// A service account key, parsed once. Cheap to clone.
#[derive(Clone)]
pub struct ServiceAccountKey {
    /// The service account's address.
    pub client_email: String,
    /// Its numeric id: what an administrator enters to allow it domain-wide delegation.
    pub client_id: Option<String>,
    /// The key's id, the `kid` of what it signs.
    pub key_id: Option<String>,
    /// Where assertions are exchanged for access tokens.
    pub token_uri: Url,
    /// The project that calls count for (`quota_project_id`), where the file names one.
    pub quota_project: Option<Arc<str>>,
    pub(super) signer: Arc<RsaKeyPair>,
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountKey").field("client_email", &self.client_email).finish_non_exhaustive()
    }
}

/// All fields that are looked at, of either type.
#[derive(Deserialize)]
struct Fields {
    r#type: String,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    refresh_token: Option<Secret>,
    account: Option<String>,
    client_email: Option<String>,
    private_key: Option<Secret>,
    private_key_id: Option<String>,
    quota_project_id: Option<String>,
    token_uri: Option<String>,
}

/// Where gcloud leaves its application default credentials within its folder.
pub fn default_file(gcloud: &Path) -> PathBuf {
    gcloud.join(USUAL_NAME)
}

impl AdcFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|error| FileError::Unreadable { path: path.into(), why: error.to_string() })?;
        Self::parse(&Zeroizing::new(bytes))
    }

    /// Takes what is in a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn parse(json: &[u8]) -> Result<Self, FileError> {
        // serde's message is left out: it could quote what is in the file.
        let fields: Fields = serde_json::from_slice(json)
            .map_err(|_| FileError::Malformed("it is not a JSON object with a `type`, or a field is no text"))?;
        match fields.r#type.as_str() {
            "authorized_user" => authorized_user(fields).map(Self::AuthorizedUser),
            "service_account" => service_account(fields).map(Self::ServiceAccount),
            _ => Err(FileError::OtherType(fields.r#type)),
        }
    }
}

impl ServiceAccountKey {
    /// Takes what is in a key file.
    ///
    /// # Errors
    /// [`FileError`]; a credential of another type is [`FileError::OtherType`].
    pub fn parse(json: &[u8]) -> Result<Self, FileError> {
        match AdcFile::parse(json)? {
            AdcFile::ServiceAccount(key) => Ok(key),
            AdcFile::AuthorizedUser(_) => {
                Err(FileError::Malformed("it is a person's (authorized_user), not a service account's key"))
            }
        }
    }
}

fn authorized_user(fields: Fields) -> Result<AuthorizedUser, FileError> {
    let id = fields.client_id.ok_or(FileError::Malformed("it has no `client_id`"))?;
    Ok(AuthorizedUser {
        client: OAuthClient { id, secret: fields.client_secret },
        refresh_token: fields.refresh_token.ok_or(FileError::Malformed("it has no `refresh_token`"))?,
        account: fields.account.filter(|account| !account.is_empty()).and_then(|account| Email::new(&account).ok()),
        token_uri: fields.token_uri.as_deref().map(safe_uri).transpose()?,
        quota_project: quota_project(fields.quota_project_id)?,
    })
}

fn service_account(fields: Fields) -> Result<ServiceAccountKey, FileError> {
    let pem = fields.private_key.ok_or(FileError::Malformed("it has no `private_key`"))?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| FileError::BadKey)?;
    let signer = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| FileError::BadKey)?;
    let token_uri = fields.token_uri.ok_or(FileError::Malformed("it has no `token_uri`"))?;
    Ok(ServiceAccountKey {
        client_email: fields.client_email.ok_or(FileError::Malformed("it has no `client_email`"))?,
        client_id: fields.client_id,
        key_id: fields.private_key_id,
        token_uri: safe_uri(&token_uri)?,
        quota_project: quota_project(fields.quota_project_id)?,
        signer: Arc::new(signer),
    })
}

/// It travels in a header.
fn quota_project(named: Option<String>) -> Result<Option<Arc<str>>, FileError> {
    match named.filter(|project| !project.is_empty()) {
        Some(project) if !project.chars().all(|c| c.is_ascii_graphic()) => {
            Err(FileError::Malformed("its `quota_project_id` is not the id of a project"))
        }
        project => Ok(project.map(Into::into)),
    }
}

/// Secrets travel by https, or do not leave this machine.
fn safe_uri(text: &str) -> Result<Url, FileError> {
    let url = Url::parse(text).map_err(|_| FileError::Malformed("its `token_uri` is not a URL"))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(FileError::PlainTokenUri),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<AdcFile, FileError> {
        AdcFile::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_persons_file_is_read_and_shows_no_secret() {
        let file = json!({
            "type": "authorized_user", "client_id": "id", "client_secret": "hush", "refresh_token": "1//hush",
            "account": "", "universe_domain": "googleapis.com", "quota_project_id": "p",
        });
        let Ok(AdcFile::AuthorizedUser(user)) = parse(file) else { panic!() };
        assert_eq!((user.client.id.as_str(), user.account.as_ref(), user.is_gclouds_own()), ("id", None, false));
        assert_eq!(user.quota_project.as_deref(), Some("p"));
        assert!(!format!("{user:?}").contains("hush"));
    }

    #[test]
    fn other_types_are_named_in_the_error() {
        for kind in ["external_account", "impersonated_service_account", "external_account_authorized_user"] {
            let error = parse(json!({ "type": kind })).unwrap_err();
            assert_eq!(error, FileError::OtherType(kind.into()));
            assert!(error.to_string().contains(kind));
        }
    }

    #[test]
    fn a_file_that_lacks_something_is_refused_without_quoting_it() {
        for (file, word) in [
            (json!("hush"), "type"),
            (json!({ "type": "authorized_user", "client_id": "hush" }), "refresh_token"),
            (json!({ "type": "authorized_user", "refresh_token": "hush" }), "client_id"),
            (json!({ "type": "service_account", "client_email": "hush" }), "private_key"),
            (json!({ "type": "service_account", "private_key": "hush" }), "PEM"),
            (json!({ "type": "authorized_user", "client_id": { "hush": 1 } }), "text"),
            (
                json!({ "type": "authorized_user", "client_id": "a", "refresh_token": "b", "quota_project_id": "hush\n" }),
                "quota_project_id",
            ),
        ] {
            let words = parse(file.clone()).unwrap_err().to_string();
            assert!(words.contains(word) && !words.contains("hush"), "{file}: {words}");
        }
    }

    #[test]
    fn a_token_endpoint_without_tls_is_refused_unless_it_is_here() {
        let with = |uri: &str| {
            parse(json!({ "type": "authorized_user", "client_id": "a", "refresh_token": "b", "token_uri": uri }))
        };
        assert!(with("https://oauth2.googleapis.com/token").is_ok() && with("http://127.0.0.1:1/token").is_ok());
        for bad in ["http://oauth2.googleapis.com/token", "ftp://127.0.0.1/", "http://localhost.example.com/"] {
            assert_eq!(with(bad).unwrap_err(), FileError::PlainTokenUri, "{bad}");
        }
        assert!(with("token").is_err());
    }
}
