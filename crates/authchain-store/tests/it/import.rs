//! Files of other programs, written by Python (`tests/fixtures/import/make.py`): what is recognized, whose it is, what is
//! refused and in which words; and that no word is a secret.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use authchain_core::{CredentialStore, OAuthClient, Scopes, Secret, Timestamp};
use authchain_store::{
    FileForm, FileStore,
    import::{self, Finding, Found, Means, Verdict},
    transfer::{self, Arrival, Collision},
};
use authchain_testkit::suite;

use super::{folder, plain, sealed, write_private};

/// Before the tokens in the files expire.
const NOW: Timestamp = Timestamp(1_763_700_000);
/// After that.
const LATER: Timestamp = Timestamp(1_763_720_000);
/// When they expire: 2025-11-21T08:00:00Z.
const EXPIRY: Option<Timestamp> = Some(Timestamp(1_763_712_000));

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

fn look_with(name: &str, means: &Means) -> Vec<Finding> {
    let findings = import::look(&[fixture(name)], means);
    for finding in &findings {
        let said = match &finding.verdict {
            Verdict::Credential(found) => format!("{:?} {:?}", found.notes, found.owner),
            Verdict::Refused { why, fix } => format!("{why} {fix}"),
            Verdict::PassedOver { why } => why.clone(),
        };
        assert!(!said.contains("SECRET"), "{finding} says {said}");
        assert!(!format!("{finding:?}").contains("ya29.SECRET"), "{finding}");
    }
    findings
}

fn look(name: &str) -> Vec<Finding> {
    look_with(name, &Means::none(NOW))
}

/// The findings by the path below the fixture and the part, each as its format and one word.
fn summary(name: &str, findings: &[Finding]) -> BTreeMap<String, String> {
    let word = |finding: &Finding| match &finding.verdict {
        Verdict::Credential(found) => found.owner.as_ref().map_or("nobody's".to_owned(), ToString::to_string),
        Verdict::Refused { .. } => "refused".into(),
        Verdict::PassedOver { .. } => "passed over".into(),
    };
    let place = |finding: &Finding| {
        let path = finding.path.strip_prefix(fixture(name)).unwrap().display().to_string();
        [path, finding.part.clone().unwrap_or_default()].join(" ").trim().to_owned()
    };
    findings.iter().map(|finding| (place(finding), format!("{}: {}", finding.format, word(finding)))).collect()
}

fn expected<const N: usize>(rows: [(&str, &str); N]) -> BTreeMap<String, String> {
    rows.into_iter().map(|(place, what)| (place.to_owned(), what.to_owned())).collect()
}

/// The credential of the only finding.
fn only(findings: Vec<Finding>) -> Found {
    assert_eq!(findings.len(), 1, "{findings:?}");
    match findings.into_iter().next().unwrap().verdict {
        Verdict::Credential(found) => *found,
        other => panic!("{other:?}"),
    }
}

fn refusal(name: &str, means: &Means) -> (String, String) {
    match look_with(name, means).into_iter().next().unwrap().verdict {
        Verdict::Refused { why, fix } => (why, fix),
        other => panic!("{name}: {other:?}"),
    }
}

fn is_whole(found: &Found, who: &str) {
    let credential = &found.credential;
    assert_eq!(credential.access_token.as_ref().unwrap().expose(), format!("ya29.SECRET-{who}"));
    assert_eq!(credential.refresh_token.as_ref().unwrap().expose(), format!("1//SECRET-{who}"));
    assert_eq!(credential.client.id, "client.apps.example.com");
    assert_eq!(credential.client.secret.as_ref().unwrap().expose(), "client-SECRET");
    assert_eq!(credential.scopes, Scopes::from("openid https://www.googleapis.com/auth/drive"));
    assert_eq!(credential.token_uri, "https://oauth2.googleapis.com/token");
    assert_eq!(credential.expires_at, EXPIRY);
}

#[test]
fn a_token_json_of_google_auth_is_read_with_what_it_has_beside() {
    let found = only(look("token.json"));
    is_whole(&found, "token");
    assert_eq!((found.owner.unwrap().as_str(), found.owner_from), ("ann@example.com", "account"));
    assert_eq!(found.credential.extra["universe_domain"], "googleapis.com");
    assert!(!found.credential.extra.contains_key("token"), "{:?}", found.credential.extra.keys());
}

#[test]
fn a_folder_of_google_workspace_mcp_gives_its_accounts_and_the_broken_one_with_its_reason() {
    let findings = look("google_workspace_mcp");
    assert_eq!(
        summary("google_workspace_mcp", &findings),
        expected([
            ("bob%2Bwork@example.com.json", "authorized_user: bob+work@example.com"),
            ("broken@example.com.json", "unknown: refused"),
            ("eve@example.com.json", "authorized_user: eve@example.com"),
            ("oauth_states.json", "oauth_states: passed over"),
        ])
    );
    let Verdict::Refused { why, .. } = &findings[1].verdict else { panic!() };
    assert!(why.contains("line 1"), "{why}");
}

#[test]
fn the_default_credentials_of_gcloud_come_with_a_warning_and_without_an_owner() {
    let found = only(look("application_default_credentials.json"));
    assert_eq!(found.owner, None, "its account is empty");
    assert_eq!(found.credential.refresh_token.as_ref().unwrap().expose(), "1//SECRET-adc");
    assert_eq!(found.credential.access_token, None);
    assert_eq!(found.credential.extra["quota_project_id"], "project");
    assert!(found.notes.iter().any(|note| note.contains("gcloud's own client")), "{:?}", found.notes);

    let means = Means { user: Some("ann@example.com".parse().unwrap()), ..Means::none(NOW) };
    let found = only(look_with("application_default_credentials.json", &means));
    assert_eq!((found.owner.unwrap().as_str(), found.owner_from), ("ann@example.com", "--user"));
}

#[test]
fn a_cache_of_yup_oauth2_takes_its_client_from_the_file_beside_it() {
    let findings = look("yup");
    assert_eq!(
        summary("yup", &findings),
        expected([
            ("client_secret_1.json", "client_secrets: passed over"),
            ("tokencache.json entry 1", "yup_oauth2: yup@example.com"),
            ("tokencache.json entry 2", "yup_oauth2: nobody's"),
        ])
    );
    let entries: Vec<&Found> = findings
        .iter()
        .filter_map(|f| if let Verdict::Credential(found) = &f.verdict { Some(&**found) } else { None })
        .collect();
    is_whole(entries[0], "yup");
    assert_eq!(entries[1].credential.expires_at, EXPIRY, "two hours east of Greenwich");

    let alone = folder();
    let copy = alone.path().join("tokencache.json");
    fs::copy(fixture("yup/tokencache.json"), &copy).unwrap();
    let findings = import::look(std::slice::from_ref(&copy), &Means::none(NOW));
    assert!(
        findings.iter().all(|f| matches!(&f.verdict, Verdict::Refused { fix, .. } if fix.contains("--client-secrets")))
    );
    let client = import::client_secrets(&fixture("yup/client_secret_1.json")).unwrap();
    let findings = import::look(&[copy], &Means { client: Some(client), ..Means::none(NOW) });
    assert!(findings.iter().all(|f| matches!(f.verdict, Verdict::Credential(_))), "{findings:?}");
}

#[test]
fn a_folder_of_an_earlier_server_is_read_whatever_its_files_are_sealed_with() {
    let findings = look("earlier");
    assert_eq!(
        summary("earlier", &findings),
        expected([
            (".auth_encryption_key", "key_file: passed over"),
            (".oauth_authentication.json", "last_sign_in: passed over"),
            ("back_up_at_example_com_backup.enc", "earlier_sealed_1: back.up@example.com"),
            ("migration_log.json", "migration_log: passed over"),
            ("one_at_example_com_chat_sa.enc", "earlier_settings: passed over"),
            ("one_at_example_com_credentials.enc", "earlier_sealed_1: one@example.com"),
            ("plain_at_example_com_credentials.json", "earlier_plaintext: plain@example.com"),
            ("token_groups/photos/one_at_example_com_credentials.enc", "earlier_sealed_1: one@example.com"),
            ("two_at_example_com_credentials.enc", "earlier_sealed_2: two@example.com"),
        ])
    );
    for finding in &findings {
        let Verdict::Credential(found) = &finding.verdict else { continue };
        let in_group = finding.path.to_string_lossy().contains("token_groups");
        assert_eq!(found.group.as_str(), if in_group { "photos" } else { "default" });
        let name = finding.path.file_name().unwrap().to_string_lossy().into_owned();
        let who = if in_group { "photos" } else { name.split("_at_").next().unwrap() };
        is_whole(found, if who == "back_up" { "backup" } else { who });
        let doubtful = found.notes.iter().any(|note| note.contains("right one"));
        assert_eq!(doubtful, who == "back_up", "{name}: {:?}", found.notes);
    }
}

#[test]
fn a_file_sealed_for_one_user_opens_with_the_passphrase() {
    let name = "passphrase/own_at_example_com_credentials.enc";
    let (why, fix) = refusal(name, &Means::none(NOW));
    assert!(why.contains("does not open") && fix.contains("--key-file"), "{why} {fix}");
    let mut means = Means::none(NOW);
    means.add_passphrase(&Secret::new("a SECRET passphrase"));
    is_whole(&only(look_with(name, &means)), "own");
}

#[test]
fn a_sealed_file_without_its_key_says_which_file_is_missing() {
    let dir = folder();
    let copy = dir.path().join("one_at_example_com_credentials.enc");
    fs::copy(fixture("earlier/one_at_example_com_credentials.enc"), &copy).unwrap();
    let look = |means: &Means| import::look(std::slice::from_ref(&copy), means).remove(0).verdict;
    let Verdict::Refused { why, .. } = look(&Means::none(NOW)) else { panic!() };
    assert!(why.contains(".auth_encryption_key"), "{why}");
    let key = fs::read_to_string(fixture("earlier/.auth_encryption_key")).unwrap();
    let means = Means { keys: vec![Secret::new(key)], ..Means::none(NOW) };
    assert!(matches!(look(&means), Verdict::Credential(_)));
}

#[test]
fn every_form_of_the_format_bridge_is_read_bare_and_wrapped() {
    let findings = look("bridge");
    assert_eq!(
        summary("bridge", &findings),
        expected([
            ("creds_authorized@example.com.json", "bridge_legacy: authorized@example.com"),
            ("fastmcp_fast@example.com.json", "bridge_fastmcp: fast@example.com"),
            ("token_legacy@example.com.json", "bridge_legacy: legacy@example.com"),
            ("unified_uni@example.com.json", "bridge_unified: uni@example.com"),
            ("wrapped_fastmcp.json", "bridge_wrapped: wrapped.fastmcp@example.com"),
            ("wrapped_legacy.json", "bridge_wrapped: wrapped.legacy@example.com"),
            ("wrapped_unified.json", "bridge_wrapped: wrapped.unified@example.com"),
        ])
    );
    let whose = ["creds", "fast", "legacy", "uni", "fast", "legacy", "uni"];
    for (finding, who) in findings.iter().zip(whose) {
        let Verdict::Credential(found) = &finding.verdict else { panic!("{finding}") };
        is_whole(found, who);
    }
}

#[test]
fn the_sealed_file_of_gws_opens_with_the_key_beside_it() {
    let findings = look("gws");
    assert_eq!(
        summary("gws", &findings),
        expected([(".encryption_key", "key_file: passed over"), ("credentials.enc", "gws_sealed: gws@example.com")])
    );
    let dir = folder();
    let copy = dir.path().join("credentials.enc");
    fs::copy(fixture("gws/credentials.enc"), &copy).unwrap();
    let verdict = import::look(std::slice::from_ref(&copy), &Means::none(NOW)).remove(0).verdict;
    assert!(matches!(&verdict, Verdict::Refused { fix, .. } if fix.contains("gws auth export")), "{verdict:?}");
}

#[test]
fn rclone_gives_its_google_remotes_from_its_file_and_from_its_dump() {
    let findings = look("rclone");
    let remotes = |file: &str| {
        let rows = [
            ("rclone@example.com", "rclone@example.com"),
            ("borrowed", "nobody's"),
            ("pictures", "nobody's"),
            ("bucket", "passed over"),
        ];
        rows.map(|(part, whose)| (format!("{file} {part}"), format!("rclone: {whose}")))
    };
    let mut wanted: BTreeMap<String, String> = remotes("rclone.conf").into_iter().chain(remotes("dump.json")).collect();
    wanted.insert("encrypted.conf".into(), "rclone: refused".into());
    assert_eq!(summary("rclone", &findings), wanted);
    let found = |part: &str| {
        let finding = findings.iter().find(|f| f.part.as_deref() == Some(part)).unwrap();
        let Verdict::Credential(found) = &finding.verdict else { panic!("{finding}") };
        found
    };
    let own = &found("rclone@example.com").credential;
    assert_eq!(own.expires_at, EXPIRY);
    let scopes = "https://www.googleapis.com/auth/drive.readonly https://www.googleapis.com/auth/drive.appdata";
    assert_eq!(own.scopes, Scopes::from(scopes));
    assert!(found("borrowed").notes.iter().any(|note| note.contains("rclone's own client")));
    let pictures = Scopes::from("https://www.googleapis.com/auth/photoslibrary.readonly");
    assert_eq!(found("pictures").credential.scopes, pictures);
    assert!(refusal("rclone/encrypted.conf", &Means::none(NOW)).1.contains("rclone config dump"));
}

#[test]
fn the_store_of_fastmcp_opens_with_whatever_its_key_was_made_from() {
    let client = OAuthClient { id: "client.apps.example.com".into(), secret: Some(Secret::new("client-SECRET")) };
    for (name, secret) in
        [("client", None), ("given", Some("the SECRET signing key itself")), ("phrase", Some("a SECRET phrase"))]
    {
        let means = Means { client: Some(client.clone()), fastmcp: secret.map(Secret::from), ..Means::none(NOW) };
        let findings = look_with(&format!("fastmcp/{name}"), &means);
        assert_eq!(findings.len(), 2);
        assert!(matches!(&findings[0].verdict, Verdict::PassedOver { .. }), "a client of it is no credential");
        let Verdict::Credential(found) = &findings[1].verdict else { panic!("{name}: {findings:?}") };
        is_whole(found, name);
        assert_eq!(found.owner.as_ref().unwrap().as_str(), format!("{name}@example.com"));
    }
    let wrong = Means { client: Some(client), fastmcp: Some("another".into()), ..Means::none(NOW) };
    let verdict = look_with("fastmcp/given", &wrong).pop().unwrap().verdict;
    assert!(matches!(&verdict, Verdict::Refused { why, .. } if why.contains("does not open")), "{verdict:?}");
    let verdict = look("fastmcp/given").pop().unwrap().verdict;
    assert!(matches!(&verdict, Verdict::Refused { fix, .. } if fix.contains("--signing-key-file")), "{verdict:?}");
}

#[test]
fn what_cannot_be_imported_is_named_and_refused_with_what_to_do() {
    for (file, in_why, in_fix) in [
        ("service_account.json", "service account", "google.credentials"),
        ("external_account.json", "workload identity", "authchain login"),
        ("external_account_authorized_user.json", "workforce identity", "authchain login"),
        ("impersonated_service_account.json", "impersonates", "domain-wide delegation"),
        ("gdch_service_account.json", "Distributed Cloud", "authchain login"),
        ("token.pickle", "runs the code", "credentials.to_json()"),
        ("pickled.json", "runs the code", "credentials.to_json()"),
        ("credentials.db", "gcloud's own accounts", "authchain login"),
        (".mcp-inspector/storage/oauth.json", "other servers", "Sign in"),
        (".claude/.credentials.json", "other servers", "Sign in"),
        ("other_type.json", "type:", "login"),
        ("no_client.json", "client_id", "--client-secrets"),
        ("other_provider.json", "provider:", "Google"),
        ("expired.json", "expired", "authchain login"),
        ("empty.json", "none of the formats", "documentation"),
        ("wrong_token.json", "token: it is no string", ""),
        ("wrong_refresh_token.json", "refresh_token: it is no string", ""),
        ("wrong_scopes.json", "scopes: it is no list of strings", ""),
        ("wrong_expiry.json", "expiry: it is no time", ""),
        ("wrong_client_id.json", "client_id: it is no string", ""),
        ("wrong_token_uri.json", "token_uri: it is no string", ""),
        ("wrong_token_group.json", "token_group:", ""),
    ] {
        let (why, fix) = refusal(&format!("refused/{file}"), &Means::none(LATER));
        assert!(why.contains(in_why) && fix.contains(in_fix), "{file}: {why} / {fix}");
    }
}

#[test]
fn every_file_of_a_folder_is_mentioned() {
    let findings = look("");
    let mut files = Vec::new();
    let mut folders = vec![fixture("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for file in &files {
        assert!(findings.iter().any(|finding| finding.path == *file), "{} is not mentioned", file.display());
    }
}

#[test]
fn a_link_is_not_followed_and_a_missing_file_is_said() {
    let dir = folder();
    std::os::unix::fs::symlink(fixture("token.json"), dir.path().join("link.json")).unwrap();
    let findings = import::look(&[dir.path().to_owned(), dir.path().join("missing.json")], &Means::none(NOW));
    assert!(matches!(&findings[0].verdict, Verdict::PassedOver { why } if why.contains("symbolic link")));
    assert!(matches!(findings[1].verdict, Verdict::Refused { .. }));
}

#[test]
fn a_file_that_others_can_read_comes_with_the_command_that_closes_it() {
    let dir = folder();
    let path = dir.path().join("token.json");
    write_private(&path, fs::read(fixture("token.json")).unwrap());
    let notes = |path: &Path| only(import::look(&[path.to_owned()], &Means::none(NOW))).notes;
    assert!(notes(&path).is_empty());
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(notes(&path)[0].contains("chmod 600"));
}

#[tokio::test]
async fn files_of_authchain_itself_are_taken_with_the_key_beside_them() {
    let dir = folder();
    let keys = [super::ann(), suite::key("google", "bob@example.com", "photos")];
    for key in &keys {
        sealed(dir.path()).put(key, &suite::credential(0), authchain_core::Expect::Absent).await.unwrap();
        plain(dir.path()).put(key, &suite::credential(0), authchain_core::Expect::Absent).await.unwrap();
    }
    let findings = import::look(&[dir.path().to_owned()], &Means::none(NOW));
    let found: Vec<_> = findings
        .iter()
        .filter_map(|f| if let Verdict::Credential(found) = &f.verdict { Some((f.format, found)) } else { None })
        .collect();
    assert_eq!(found.len(), 4, "{findings:?}");
    for (format, found) in found {
        assert!(["authchain", "authchain_sealed"].contains(&format));
        assert_eq!(found.credential, suite::credential(0));
        let group = if found.owner.as_ref().unwrap().as_str() == "bob@example.com" { "photos" } else { "default" };
        assert_eq!(found.group.as_str(), group);
    }
}

#[tokio::test]
async fn what_was_found_comes_into_a_store_and_a_second_time_changes_nothing() {
    let dir = folder();
    let keyring = super::keyring(dir.path());
    let store = FileStore::open(dir.path(), FileForm::Sealed(keyring)).unwrap();
    let found = only(look("token.json"));
    let key = super::ann();
    let bring = || transfer::bring(&store, &key, &found.credential, Collision::Refuse);
    assert_eq!(bring().await.unwrap(), Arrival::Written);
    assert_eq!(bring().await.unwrap(), Arrival::AlreadyThere);
    assert_eq!(store.get(&key).await.unwrap().unwrap().value, found.credential);
}
