//! Whose certificates outgoing TLS trusts: decided once, from the configuration, and handed down to whatever connects
//! (the provider's client, the hubs, the fetches of keys and documents, the database).
//!
//! Every TLS library reads `SSL_CERT_FILE` as the file of those to trust. In the environment of the system that authchain
//! replaces the same name is the certificate that the server itself shows. Where it was taken for that, the libraries
//! must not hear of it: they would trust this server and nobody else.

mod places;

use std::{ffi::OsStr, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};

pub use places::Places;

/// Whose certificates outgoing connections trust. Clones share what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// What TLS libraries trust by themselves: `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set, else the system.
    #[default]
    AsTheEnvironmentSays,
    /// Those in these places, whatever `SSL_CERT_FILE` says.
    Only(Arc<Places>),
}

impl Trust {
    /// The system's own places instead of `SSL_CERT_FILE`; or, since that name still means what it says, the folders of
    /// `SSL_CERT_DIR`. `None` where the system keeps its certificates in no files (Windows, Apple's).
    pub fn without_the_file(ssl_cert_dir: Option<&OsStr>) -> Option<Self> {
        let places = match ssl_cert_dir {
            Some(folders) if !folders.is_empty() => Some(Places::folders(folders)),
            _ => Places::of_the_system(),
        };
        places.map(|places| Self::Only(Arc::new(places)))
    }

    /// The certificates, for a library that does by itself what the environment says; `None` where it shall.
    pub fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::AsTheEnvironmentSays => None,
            Self::Only(places) => Some(places.certificates()),
        }
    }

    /// The same for rustls; empty where there are none. Reads files, a few milliseconds' worth.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        match self.certificates() {
            Some(certificates) => roots.add_parsable_certificates(certificates.iter().cloned()),
            None => {
                let found = rustls_native_certs::load_native_certs();
                places::say_unread(&found.errors, found.certs.is_empty());
                roots.add_parsable_certificates(found.certs)
            }
        };
        roots
    }
}

/// How TLS is spoken to others: rustls on aws-lc, its safe versions, no certificate of our own.
///
/// # Errors
/// Those of rustls, when the versions and the ciphers do not fit together.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into());
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests;
