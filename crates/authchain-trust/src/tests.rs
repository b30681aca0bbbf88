//! Handshakes in memory with certificates that are made for the occasion.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConnection, ConnectionCommon, ServerConfig, ServerConnection,
    pki_types::{PrivateKeyDer, ServerName},
};
use tempfile::TempDir;

use super::*;

/// Whoever proves to be `localhost`, with a certificate of its own authority or one that it signed itself.
struct Peer {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    /// Who has to be trusted for that, in PEM.
    to_trust: String,
}

impl Peer {
    fn of_an_authority() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        Self { chain: vec![leaf.der().clone()], key, to_trust: authority.pem() }
    }

    fn by_itself() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { chain: vec![made.cert.der().clone()], to_trust: made.cert.pem(), key: made.signing_key }
    }

    /// Whether somebody with these roots gets through the handshake.
    fn is_trusted_by(&self, trust: &Trust) -> bool {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let client = client_config(trust.roots()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            if hand_over(&mut client, &mut server).is_err() || hand_over(&mut server, &mut client).is_err() {
                return false;
            }
        }
        true
    }
}

fn hand_over<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Result<(), rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

fn folder_with(name: &str, pem: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), pem).unwrap();
    folder
}

fn only(bundles: &[&Path], folders: &[&Path]) -> Trust {
    let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect();
    Trust::Only(Arc::new(Places::new(owned(bundles), owned(folders))))
}

#[test]
fn whoever_is_certified_by_an_authority_of_the_places_is_trusted_and_nobody_else() {
    let (google, ourselves) = (Peer::of_an_authority(), Peer::by_itself());
    let system = folder_with("bundle.crt", &google.to_trust);
    let bundle = system.path().join("bundle.crt");
    for trust in [only(&[&bundle], &[]), only(&[], &[system.path()]), only(&[&bundle], &[system.path()])] {
        assert!(google.is_trusted_by(&trust), "{trust:?}");
        assert!(!ourselves.is_trusted_by(&trust), "{trust:?}");
        assert_eq!(trust.certificates().map(<[_]>::len), Some(1), "each certificate counts once");
    }
}

#[test]
fn the_first_bundle_that_exists_is_read_and_every_folder() {
    let peers = [Peer::of_an_authority(), Peer::of_an_authority(), Peer::of_an_authority(), Peer::of_an_authority()];
    let folders = peers.each_ref().map(|peer| folder_with("all.pem", &peer.to_trust));
    let bundles = [&folders[0], &folders[1]].map(|folder| folder.path().join("all.pem"));
    let trust = only(
        &[Path::new("/nowhere.pem"), &bundles[0], &bundles[1]],
        &[folders[2].path(), Path::new("/nowhere"), folders[3].path()],
    );
    assert_eq!(peers.each_ref().map(|peer| peer.is_trusted_by(&trust)), [true, false, true, true]);
}

#[test]
fn ssl_cert_dir_goes_on_naming_whom_to_trust() {
    let (one, other) = (Peer::of_an_authority(), Peer::of_an_authority());
    let folders = [folder_with("1.pem", &one.to_trust), folder_with("2.pem", &other.to_trust)];
    let list = std::env::join_paths(folders.each_ref().map(TempDir::path)).unwrap();
    let trust = Trust::without_the_file(Some(&list)).unwrap();
    assert!(one.is_trusted_by(&trust) && other.is_trusted_by(&trust));
    assert_eq!(trust.certificates().map(<[_]>::len), Some(2), "and the system is not asked besides");
}

#[test]
fn what_is_no_certificate_spoils_nothing_and_where_none_is_nobody_is_trusted() {
    let google = Peer::of_an_authority();
    let broken = "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n";
    let mixed = folder_with("mixed.pem", &format!("{broken}{}", google.to_trust));
    fs::write(mixed.path().join("README"), "not a certificate").unwrap();
    assert!(google.is_trusted_by(&only(&[], &[mixed.path()])));
    let nobody = only(&[], &[]);
    assert!(nobody.roots().is_empty() && !google.is_trusted_by(&nobody));
}

#[test]
fn clones_share_what_was_read() {
    let folder = folder_with("all.pem", &Peer::of_an_authority().to_trust);
    let trust = only(&[], &[folder.path()]);
    let clone = trust.clone();
    assert_eq!(trust.certificates().map(<[_]>::len), Some(1));
    drop(folder);
    assert_eq!((clone.certificates().map(<[_]>::len), clone == trust), (Some(1), true));
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_is_asked_where_ssl_cert_dir_says_nothing() {
    for says_nothing in [None, Some(OsStr::new(""))] {
        let trust = Trust::without_the_file(says_nothing).unwrap();
        assert_eq!(trust, Trust::Only(Arc::new(Places::of_the_system().unwrap())));
    }
    assert_eq!(Trust::default().certificates(), None, "by default a library does as the environment says");
}
