//! Dev keys: a key pair in a folder and tokens signed with it, so that a server can be tried without signing in anywhere.
//!
//! A server accepts them only when its operator says so, and only on loopback: whoever can read the folder is everybody.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use authchain_core::{Clock, Email, ProviderId, Scopes, Secret, SystemClock};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{Algorithm, ClaimNames, KeyError, KeySource, SigningKeys, TrustedIssuer};

/// `iss` of dev tokens. Nothing is fetched from there.
pub const ISSUER: &str = "https://authchain.dev/dev-keys";
/// The file in the folder.
pub const FILE_NAME: &str = "dev_signing_keys.json";
/// More than this is no key file.
const LARGEST_FILE: u64 = 64 * 1024;

/// A dev key pair (EdDSA).
#[derive(Clone)]
pub struct DevKeys {
    keys: Arc<SigningKeys>,
    clock: Arc<dyn Clock>,
}

impl DevKeys {
    /// Opens the keys in `folder`, or makes them: a file that only its owner can read. Of several processes that do so at
    /// once all get the same keys. Blocks on files. The time in tokens is that of the machine; see
    /// [`DevKeys::with_clock`].
    ///
    /// # Errors
    /// [`KeyError::File`] when the file cannot be read or written, [`KeyError::Insecure`] when others can read it,
    /// [`KeyError::Unreadable`] when it is something else.
    pub fn open_or_create(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE_NAME);
        let bytes = match read(&path)? {
            Some(bytes) => bytes,
            None => {
                let made = SigningKeys::generate(Algorithm::EdDSA)?.to_bytes();
                publish(folder, &path, &made).map_err(|source| file_error(&path, source))?;
                // Another process may have been first: what is in the file counts.
                read(&path)?.ok_or_else(|| file_error(&path, io::ErrorKind::NotFound.into()))?
            }
        };
        Ok(Self { keys: Arc::new(SigningKeys::from_bytes(&bytes)?), clock: Arc::new(SystemClock) })
    }

    /// The same keys with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// A token for `email` that says what a Google sign-in would: issuer, subject `google-user-{email}`, verified email.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when there is no randomness for its id.
    pub fn mint(&self, email: &Email, scopes: &Scopes, audience: &str, ttl: Duration) -> Result<Secret, KeyError> {
        let now = self.clock.now();
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| KeyError::Crypto("make randomness"))?;
        let claims = json!({
            "iss": ISSUER,
            "sub": format!("google-user-{email}"),
            "aud": audience,
            "iat": now.0,
            "exp": (now + ttl).0,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "scope": scopes.to_string(),
            "email": email.as_str(),
            "email_verified": true,
            "google_email": email.as_str(),
            "auth_type": "google_oauth",
            "platform": "authchain",
        });
        self.keys.sign("JWT", &claims).map(Secret::new)
    }

    /// What a server has to trust to accept these tokens for `audience`.
    pub fn trusted_issuer(&self, audience: &str) -> TrustedIssuer {
        TrustedIssuer {
            issuer: ISSUER.into(),
            audiences: vec![audience.into()],
            types: vec!["jwt".into()],
            keys: KeySource::Own(self.keys.clone()),
            claims: ClaimNames { email: vec!["email".into(), "google_email".into()], ..ClaimNames::default() },
            algorithms: vec![self.keys.algorithm()],
            provider: ProviderId::google(),
        }
    }

    /// The public keys, for other programs that should accept these tokens.
    pub fn jwks(&self) -> Value {
        self.keys.jwks()
    }
}

/// The file's bytes; `None` when there is no file.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(file_error(path, e)),
    };
    let about = file.metadata().map_err(|e| file_error(path, e))?;
    if is_open_to_others(&about) {
        return Err(KeyError::Insecure { path: path.to_owned() });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(|e| file_error(path, e))?;
    Ok(Some(bytes))
}

/// Writes a new file that is whole from the moment it has its name. Where another is there already, that one stays.
fn publish(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut make_folder = DirBuilder::new();
    make_folder.recursive(true);
    let mut make_file = OpenOptions::new();
    make_file.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        make_folder.mode(0o700);
        make_file.mode(0o600);
    }
    make_folder.create(folder)?;
    let mut suffix = [0; 8];
    aws_lc_rs::rand::fill(&mut suffix).map_err(|_| io::Error::other("no randomness"))?;
    let beside = path.with_extension(format!("{}.tmp", URL_SAFE_NO_PAD.encode(suffix)));
    let written = make_file
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| match fs::hard_link(&beside, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let _best_effort = fs::remove_file(&beside);
    written
}

#[cfg(unix)]
fn is_open_to_others(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    about.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_about: &fs::Metadata) -> bool {
    false
}

fn file_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::File { path: PathBuf::from(path), source }
}

impl std::fmt::Debug for DevKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevKeys").field("keys", &self.keys).finish_non_exhaustive()
    }
}
