//! Where certificates lie that a system trusts, and those that were found there.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustls::{RootCertStore, pki_types::CertificateDer};
use rustls_native_certs::{CertificateResult, Error, load_certs_from_paths};
use tracing::{debug, warn};

/// The one file in which a system keeps all that it trusts. Only what some system has and its folders have not: the
/// folders are read besides.
const BUNDLES: [&str; 9] = [
    "/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch, SmartOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",                  // RHEL 6
    "/etc/ssl/ca-bundle.pem",                            // openSUSE
    "/etc/ssl/cert.pem",                                 // OpenBSD, Alpine without ca-certificates
    "/usr/local/etc/ssl/cert.pem",                       // FreeBSD's ports
    "/usr/local/share/certs/ca-root-nss.crt",            // DragonFly
    "/etc/openssl/certs/ca-certificates.crt",            // NetBSD
    "/etc/certs/ca-certificates.crt",                    // illumos, Solaris
];

/// Files and folders of certificates in PEM. They are read when somebody asks for the first time, and then no more.
#[derive(Debug)]
pub struct Places {
    bundles: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    read: OnceLock<Vec<CertificateDer<'static>>>,
}

/// Equal are those that look in the same places.
impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        (&self.bundles, &self.folders) == (&other.bundles, &other.folders)
    }
}

impl Eq for Places {}

impl Places {
    /// The first of the bundles that exists, and all of the folders.
    pub fn new(bundles: Vec<PathBuf>, folders: Vec<PathBuf>) -> Self {
        Self { bundles, folders, read: OnceLock::new() }
    }

    /// Folders as `SSL_CERT_DIR` lists them.
    pub fn folders(list: &OsStr) -> Self {
        let folders = std::env::split_paths(list).filter(|folder| !folder.as_os_str().is_empty());
        Self::new(Vec::new(), folders.collect())
    }

    /// Where this kind of system keeps them; `None` where that is not in files.
    pub fn of_the_system() -> Option<Self> {
        let in_files = cfg!(unix) && !cfg!(target_vendor = "apple") && !cfg!(target_os = "android");
        let folders = || openssl_probe::candidate_cert_dirs().map(Path::to_owned).collect();
        in_files.then(|| Self::new(BUNDLES.map(PathBuf::from).into(), folders()))
    }

    /// What lies there and is a certificate that can be trusted, each once.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.read.get_or_init(|| self.read())
    }

    fn read(&self) -> Vec<CertificateDer<'static>> {
        let bundle = self.bundles.iter().find(|file| file.exists());
        let mut folders = self.folders.iter().map(PathBuf::as_path);
        // Together, because the bundle often lies in the folder: it is read once then.
        let CertificateResult { mut certs, mut errors, .. } =
            load_certs_from_paths(bundle.map(PathBuf::as_path), folders.next());
        for folder in folders {
            let more = load_certs_from_paths(None, Some(folder));
            certs.extend(more.certs);
            errors.extend(more.errors);
        }
        certs.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        certs.dedup();
        certs.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        say_unread(&errors, certs.is_empty());
        if certs.is_empty() {
            warn!("nobody is trusted, so HTTPS reaches nobody: install ca-certificates, or set SSL_CERT_DIR");
        }
        debug!(certificates = certs.len(), "outgoing TLS trusts the system, not SSL_CERT_FILE");
        certs
    }
}

/// One broken file among many is not worth a line at each start; where nothing is left, it is the reason.
pub(crate) fn say_unread(errors: &[Error], nothing_is_left: bool) {
    for error in errors {
        if nothing_is_left {
            warn!(%error, "certificates to trust cannot be read");
        } else {
            debug!(%error, "a certificate to trust cannot be read");
        }
    }
}
