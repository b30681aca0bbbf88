//! The same files in the language of the programs that authchain takes over from: Python's `cryptography` and `google-auth`
//! write what we read, and read what we write.
//!
//! `scripts/test` puts both packages into `target/python`; another interpreter is named by `AUTHCHAIN_TEST_PYTHON`. Without
//! either, these tests say that they were skipped.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use authchain_core::{Credential, CredentialStore, Email, Expect, OAuthClient, Scopes, Secret, Timestamp};
use authchain_store::{
    FileForm, FileStore, export,
    import::{self, Finding, Means, Verdict},
};
use authchain_testkit::suite::{self, credential};

use super::{ann, earlier::is_the_earlier_one, folder, keyring, only_file, plain, sealed, write_private};

/// An interpreter that has the packages.
pub(super) struct Python(PathBuf);

impl Python {
    /// `None`, with a word about it, where there is none.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was not tested")]
    pub(super) fn find() -> Option<Self> {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
        let found = env::var_os("AUTHCHAIN_TEST_PYTHON").map(PathBuf::from).or(Some(installed).filter(|p| p.exists()));
        if found.is_none() {
            eprintln!("skipped: no target/python; `scripts/test --setup` installs it");
        }
        found.map(Self)
    }

    /// Runs a script in a folder, and gives back what it prints.
    pub(super) fn run(&self, dir: &Path, arguments: &[&str]) -> String {
        let ran = Command::new(&self.0).args(arguments).current_dir(dir).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }
}

fn fixtures(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).display().to_string()
}

/// What programs with `cryptography` do with an encrypted file.
const OPEN: &str = "
import base64, json, sys
from cryptography.fernet import Fernet
key, path = open(sys.argv[1], 'rb').read(), sys.argv[2]
content = json.loads(Fernet(key).decrypt(base64.urlsafe_b64decode(open(path, 'rb').read())))
print(content['refresh_token'], content.get('storage_mode'), content.get('encrypted_at', '')[-1:])
";

#[tokio::test]
async fn cryptography_opens_the_files_that_are_written_for_it() {
    let Some(python) = Python::find() else { return };
    let dir = folder();
    let store = FileStore::open(dir.path(), FileForm::Fernet(keyring(dir.path()))).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let file = only_file(dir.path()).display().to_string();
    assert_eq!(python.run(dir.path(), &["-c", OPEN, ".auth_encryption_key", &file]), "1//refresh-0 file_encrypted Z");

    let exported = export::fernet(&ann(), &credential(0), &keyring(dir.path())).unwrap();
    fs::write(dir.path().join("exported"), exported).unwrap();
    assert_eq!(python.run(dir.path(), &["-c", OPEN, ".auth_encryption_key", "exported"]), "1//refresh-0 None");
}

#[tokio::test]
async fn what_cryptography_encrypts_in_this_moment_is_read() {
    let Some(python) = Python::find() else { return };
    let made = folder();
    python.run(made.path(), &[&fixtures("make.py")]);
    for (from, to) in [
        ("version_1.enc", "ann_at_example_com_credentials.enc"),
        ("version_1.enc", "ann_at_example_com_backup.enc"),
        ("version_2.enc", "ann_at_example_com_credentials.enc"),
    ] {
        let dir = folder();
        for (from, to) in [("auth_encryption_key", ".auth_encryption_key"), (from, to)] {
            write_private(&dir.path().join(to), fs::read(made.path().join(from)).unwrap());
        }
        is_the_earlier_one(&sealed(dir.path()).get(&ann()).await.unwrap().expect(to).value);
    }
}

#[test]
fn the_vectors_of_the_sealed_format_are_what_its_second_implementation_prints() {
    let Some(python) = Python::find() else { return };
    let page = include_str!("../../../../docs/sealed-format.md");
    let printed = python.run(folder().path(), &[&fixtures("sealed_format.py")]);
    let mut vectors = 0;
    for vector in printed.split("\n").collect::<Vec<_>>().chunk_by(|_, line| line.starts_with("    ")) {
        let (title, lines) = vector.split_first().unwrap();
        assert!(page.contains(&format!("\n{title}:\n\n{}\n", lines.join("\n"))), "{title}");
        vectors += 1;
    }
    assert!(vectors >= 13, "{printed}");
}

/// What a finding says, apart from where the file is.
fn said(folder: &Path, finding: &Finding) -> (PathBuf, String) {
    let verdict = match &finding.verdict {
        Verdict::Credential(found) => format!("{:?} {:?} {:?}", found.owner, found.group, Exposed(&found.credential)),
        Verdict::Refused { why, .. } => format!("refused: {}", why.replace(&folder.display().to_string(), "")),
        Verdict::PassedOver { why } => format!("passed over: {why}"),
    };
    let path = finding.path.strip_prefix(folder).unwrap().to_owned();
    (path, format!("{:?} {} {verdict}", finding.part, finding.format))
}

/// A credential with its secrets, which its own `Debug` hides.
struct Exposed<'a>(&'a Credential);

impl std::fmt::Debug for Exposed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(credential) = self;
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let secrets = [&credential.access_token, &credential.refresh_token, &credential.client.secret].map(secret);
        write!(f, "{credential:?} {secrets:?}")
    }
}

#[test]
fn the_files_of_other_programs_are_taken_as_well_when_they_are_made_in_this_moment() {
    let Some(python) = Python::find() else { return };
    let (made, kept) = (folder(), PathBuf::from(fixtures("import")));
    python.run(made.path(), &[&fixtures("import/make.py")]);
    let client = OAuthClient { id: "client.apps.example.com".into(), secret: Some("client-SECRET".into()) };
    let mut means = Means { client: Some(client), ..Means::none(Timestamp(1_763_700_000)) };
    means.add_passphrase(&"a SECRET passphrase".into());
    let look = |folder: &Path| -> Vec<_> {
        let findings = import::look(&[folder.to_owned()], &means);
        findings.iter().filter(|f| !f.path.ends_with("make.py")).map(|finding| said(folder, finding)).collect()
    };
    let (fresh, kept) = (look(made.path()), look(&kept));
    assert!(fresh.len() > 60, "{} findings", fresh.len());
    // Modes are this machine's own: a checkout may have made a file that others can read.
    assert_eq!(fresh, kept);
}

/// Google's library reads a file, changes it, and writes it as it writes every `token.json`.
const REFRESH: &str = "
import datetime, sys
from google.oauth2.credentials import Credentials
path = sys.argv[1]
read = Credentials.from_authorized_user_file(path)
print(read.token, read.refresh_token, read.client_id, read.client_secret, read.token_uri, read.expiry.isoformat(),
      ' '.join(sorted(read.scopes)), read.account, sep='|')
read.token = 'ya29.by-python'
read.expiry = datetime.datetime(2025, 11, 21, 9, 0, 0, 500000)
open(path, 'w').write(read.to_json())
";

#[tokio::test]
async fn google_auth_reads_a_plain_file_and_what_it_writes_is_read() {
    let Some(python) = Python::find() else { return };
    let dir = folder();
    let store = plain(dir.path());
    let mut granted = credential(0);
    granted.email = Some("ann@example.com".parse::<Email>().unwrap());
    granted.expires_at = Some(Timestamp(1_763_712_000));
    granted.scopes = Scopes::from("openid https://www.googleapis.com/auth/drive");
    let version = store.put(&ann(), &granted, Expect::Absent).await.unwrap();
    let file = only_file(dir.path()).display().to_string();
    let secret = |secret: &Option<Secret>| secret.as_ref().unwrap().expose().to_owned();
    let wanted = [
        &secret(&granted.access_token),
        &secret(&granted.refresh_token),
        &granted.client.id,
        &secret(&granted.client.secret),
        // Google's library puts its own in place of whatever the file says.
        "https://oauth2.googleapis.com/token",
        "2025-11-21T08:00:00",
        "https://www.googleapis.com/auth/drive openid",
        "ann@example.com",
    ];
    assert_eq!(python.run(dir.path(), &["-c", REFRESH, &file]), wanted.join("|"));

    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!(secret(&read.value.access_token), "ya29.by-python");
    assert_eq!(secret(&read.value.refresh_token), secret(&granted.refresh_token));
    assert_eq!(read.value.expires_at, Some(Timestamp(1_763_715_600)));
    assert_eq!((&read.value.scopes, &read.value.email), (&granted.scopes, &granted.email));
    assert!(store.put(&ann(), &granted, Expect::Version(version)).await.is_err(), "its write is not lost silently");
    store.put(&ann(), &read.value, Expect::Version(read.version)).await.unwrap();
    assert!(python.run(dir.path(), &["-c", REFRESH, &file]).starts_with("ya29.by-python|"), "and the other way again");
}

/// Google's library makes a file from nothing, as a program does after its first sign-in.
const SIGN_IN: &str = "
import datetime
from google.oauth2.credentials import Credentials
made = Credentials('ya29.first', refresh_token='1//first', token_uri='https://oauth2.googleapis.com/token',
    client_id='client.apps.example.com', client_secret='client-secret', scopes=['openid'],
    expiry=datetime.datetime(2025, 11, 21, 8, 0, 0), account='bob@example.com')
open('token.json', 'w').write(made.to_json())
";

#[tokio::test]
async fn a_token_file_of_google_auth_is_imported() {
    let Some(python) = Python::find() else { return };
    let dir = folder();
    python.run(dir.path(), &["-c", SIGN_IN]);
    let finding = import::look(&[dir.path().join("token.json")], &Means::none(Timestamp(0))).remove(0);
    let Verdict::Credential(found) = finding.verdict else { panic!("{finding:?}") };
    assert_eq!((found.owner.unwrap().as_str(), found.owner_from), ("bob@example.com", "account"));
    let taken = &found.credential;
    assert_eq!(taken.refresh_token.as_ref().unwrap().expose(), "1//first");
    assert_eq!((taken.expires_at, &taken.scopes), (Some(Timestamp(1_763_712_000)), &Scopes::from("openid")));
    let store = plain(dir.path());
    let bob = suite::key("google", "bob@example.com", "default");
    store.put(&bob, taken, Expect::Absent).await.unwrap();
    assert_eq!(store.get(&bob).await.unwrap().unwrap().value, *taken);
}
