//! Every kind of file that the earlier systems and their neighbours leave, one row each: what it is called, and what becomes
//! of it. What is inside the taken ones is compared in `import.rs`.

use std::{collections::BTreeSet, fs, path::Path};

use authchain_core::{OAuthClient, Timestamp};
use authchain_store::import::{self, Means, Verdict};

use super::folder;

/// Where a row's file comes from.
enum File {
    /// One that Python has written (`tests/fixtures/import/make.py`).
    Made(&'static str),
    /// This name with this content.
    Written(&'static str, &'static str),
}
use File::{Made, Written};

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Taken,
    Refused,
    PassedOver,
}
use Fate::{PassedOver, Refused, Taken};

const CLIENT_FILE: &str = r#"{"web":{"client_id":"c","client_secret":"SECRET","auth_uri":"a","token_uri":"t"}}"#;
const REGISTRATION: &str = r#"{"client_id":"mcp_1","client_secret":"SECRET","client_secret_expires_at":0,
    "registration_access_token":"SECRET","registration_client_uri":"https://a/oauth/register/mcp_1"}"#;
const GROUPED: &str = r#"{"token":"ya29.SECRET","refresh_token":"1//SECRET","client_id":"c","client_secret":"SECRET",
    "scopes":["openid"],"expiry":"2025-11-21T08:00:00.123456","saved_at":"2025-11-20T10:30:00.000001",
    "user_email":"ann@example.com","token_group":"photos"}"#;

/// What it is, the file, what it is recognized as, what becomes of it.
#[rustfmt::skip]
const ROWS: [(&str, File, &str, Fate); 51] = [
    // google-auth, gcloud and Google's downloads
    ("authorized_user JSON of google-auth", Made("token.json"), "authorized_user", Taken),
    ("the same under a person's name", Written("ann@example.com.json", GROUPED), "earlier_plaintext", Taken),
    ("application default credentials of gcloud", Made("application_default_credentials.json"), "gcloud_adc", Taken),
    ("gcloud's accounts", Made("refused/credentials.db"), "gcloud_accounts", Refused),
    ("gcloud's access tokens", Written("access_tokens.db", "SQLite format 3\0SECRET"), "gcloud_accounts", Refused),
    ("a service account's key", Made("refused/service_account.json"), "service_account", Refused),
    ("workload identity", Made("refused/external_account.json"), "external_account", Refused),
    ("workforce identity", Made("refused/external_account_authorized_user.json"), "external_account_authorized_user", Refused),
    ("impersonation", Made("refused/impersonated_service_account.json"), "impersonated_service_account", Refused),
    ("an account of Distributed Cloud", Made("refused/gdch_service_account.json"), "gdch_service_account", Refused),
    ("a client's file, installed", Made("yup/client_secret_1.json"), "client_secrets", PassedOver),
    ("a client's file, web", Written("credentials.json", CLIENT_FILE), "client_secrets", PassedOver),
    ("a pickle", Made("refused/token.pickle"), "pickle", Refused),
    ("a pickle under another name", Made("refused/pickled.json"), "pickle", Refused),
    // the server with five tiers
    ("a plain file", Made("earlier/plain_at_example_com_credentials.json"), "earlier_plaintext", Taken),
    ("a plain file with a token group", Written("ann_at_example_com_credentials.json", GROUPED), "earlier_plaintext", Taken),
    ("a plain file set aside as corrupt", Written("ann_at_example_com_credentials.json.corrupt", "{\"token\": \"SECRET"), "unknown", PassedOver),
    ("version 1", Made("earlier/one_at_example_com_credentials.enc"), "earlier_sealed_1", Taken),
    ("version 1 in a token group", Made("earlier/token_groups/photos/one_at_example_com_credentials.enc"), "earlier_sealed_1", Taken),
    ("a backup", Made("earlier/back_up_at_example_com_backup.enc"), "earlier_sealed_1", Taken),
    ("version 2, for the server", Made("earlier/two_at_example_com_credentials.enc"), "earlier_sealed_2", Taken),
    ("version 2, for one user's passphrase", Made("passphrase/own_at_example_com_credentials.enc"), "earlier_sealed_2", Taken),
    ("the key file", Made("earlier/.auth_encryption_key"), "key_file", PassedOver),
    ("the marker of the last sign-in", Made("earlier/.oauth_authentication.json"), "last_sign_in", PassedOver),
    ("the legacy form, token_", Made("bridge/token_legacy@example.com.json"), "bridge_legacy", Taken),
    ("the legacy form, creds_", Made("bridge/creds_authorized@example.com.json"), "bridge_legacy", Taken),
    ("the fastmcp form", Made("bridge/fastmcp_fast@example.com.json"), "bridge_fastmcp", Taken),
    ("the unified form", Made("bridge/unified_uni@example.com.json"), "bridge_unified", Taken),
    ("the legacy form, wrapped", Made("bridge/wrapped_legacy.json"), "bridge_wrapped", Taken),
    ("the fastmcp form, wrapped", Made("bridge/wrapped_fastmcp.json"), "bridge_wrapped", Taken),
    ("the unified form, wrapped", Made("bridge/wrapped_unified.json"), "bridge_wrapped", Taken),
    ("the log of migrations", Made("earlier/migration_log.json"), "migration_log", PassedOver),
    ("users' API keys", Written(".user_api_keys.json", "{}"), "earlier_settings", PassedOver),
    ("links of API keys", Written(".user_api_key_links.json", "{}"), "earlier_settings", PassedOver),
    ("preferences of linkage", Written(".oauth_linkage_prefs.json", "Z0FBQUFBSECRET"), "earlier_settings", PassedOver),
    ("a chat app's service account", Made("earlier/one_at_example_com_chat_sa.enc"), "earlier_settings", PassedOver),
    ("settings of sampling", Written("ann_at_example_com_sampling_config.enc", "Z0FBQUFBSECRET"), "earlier_settings", PassedOver),
    ("the audit log", Written("logs/security_audit.jsonl", "{\"event\":1}\n{\"event\":2}\n"), "unknown", PassedOver),
    ("a registration's answer", Written("registration.json", REGISTRATION), "unknown", PassedOver),
    ("settings of a server with several providers", Written("provider-config.yaml", "providers:\n  - name: google_chat\n"), "unknown", PassedOver),
    // neighbours
    ("google_workspace_mcp", Made("google_workspace_mcp/eve@example.com.json"), "authorized_user", Taken),
    ("google_workspace_mcp, a name in percent", Made("google_workspace_mcp/bob%2Bwork@example.com.json"), "authorized_user", Taken),
    ("google_workspace_mcp's sign-ins under way", Made("google_workspace_mcp/oauth_states.json"), "oauth_states", PassedOver),
    ("a token cache of yup-oauth2", Made("yup/tokencache.json"), "yup_oauth2", Taken),
    ("gws", Made("gws/credentials.enc"), "gws_sealed", Taken),
    ("rclone's configuration", Made("rclone/rclone.conf"), "rclone", Taken),
    ("rclone's configuration, encrypted", Made("rclone/encrypted.conf"), "rclone", Refused),
    ("what rclone prints of its configuration", Made("rclone/dump.json"), "rclone", Taken),
    ("FastMCP's upstream tokens", Made("fastmcp/client/45eda4357e28/S_mcp_upstream_tokens-0a1b2c3d/id.json"), "fastmcp_store", Taken),
    ("FastMCP's clients", Made("fastmcp/client/45eda4357e28/S_mcp_oauth_proxy_clients-4e5f6a7b/client.json"), "fastmcp_store", PassedOver),
    ("tokens of the Inspector", Made("refused/.mcp-inspector/storage/oauth.json"), "inspector_tokens", Refused),
];

/// The others that hold tokens of other servers for another client, under the folders of their programs.
const FOREIGN: [(&str, &str); 2] =
    [(".claude/.credentials.json", "claude_code_tokens"), (".mcp-auth/0.1/abc_tokens.json", "mcp_remote_tokens")];

fn means() -> Means {
    let client = OAuthClient { id: "client.apps.example.com".into(), secret: Some("client-SECRET".into()) };
    let mut means = Means { client: Some(client), ..Means::none(Timestamp(1_763_700_000)) };
    means.add_passphrase(&"a SECRET passphrase".into());
    means
}

fn write(dir: &Path, name: &str, content: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn every_kind_of_file_is_recognized_and_becomes_of_it_what_it_should() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
    for (what, file, format, fate) in &ROWS {
        let dir = folder();
        let path = match file {
            Made(name) => fixtures.join(name),
            Written(name, content) => {
                write(dir.path(), name, content);
                dir.path().join(name)
            }
        };
        // As one of a folder, which is how most are found.
        let findings = import::look(&[path.parent().unwrap().to_owned()], &means());
        let of_it: Vec<_> = findings.iter().filter(|finding| finding.path == path).collect();
        assert!(!of_it.is_empty(), "{what}: it is mentioned");
        for finding in of_it {
            assert_eq!(finding.format, *format, "{what}");
            let (became, said) = match &finding.verdict {
                Verdict::Credential(found) => (Taken, found.notes.join(" ")),
                Verdict::Refused { why, fix } => (Refused, format!("{why} {fix}")),
                Verdict::PassedOver { why } => (PassedOver, why.clone()),
            };
            let elsewhere = became == PassedOver && finding.part.as_deref() == Some("bucket");
            assert!(became == *fate || elsewhere, "{what}: {:?}", finding.verdict);
            assert!(!said.contains("SECRET"), "{what}: {said}");
            assert!(became == Taken || !said.is_empty(), "{what}: it says why");
        }
    }
}

#[test]
fn tokens_of_other_servers_for_other_clients_are_named_and_left() {
    let dir = folder();
    for (name, format) in FOREIGN {
        write(dir.path(), name, "{\"access_token\": \"SECRET\"}");
        let findings = import::look(&[dir.path().join(name)], &means());
        assert_eq!(findings[0].format, format);
        assert!(matches!(findings[0].verdict, Verdict::Refused { .. }), "{name}");
    }
}

#[test]
fn no_row_comes_twice() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
    assert_eq!(rows.len(), ROWS.len());
}

#[cfg(feature = "postgres")]
mod gateway {
    use authchain_core::{CredentialStore, Expect, Secret};
    use authchain_store::import::{GatewayKeys, look_in_gateway};
    use authchain_testkit::suite;

    use super::*;
    use crate::{postgres::empty_url, python::Python, sealed};

    /// What a gateway's code does: its key, its tokens, its table. It prints the statements.
    const GATEWAY: &str = r#"
import base64, hashlib, json
from cryptography.fernet import Fernet, MultiFernet
key = lambda secret: Fernet(base64.urlsafe_b64encode(hashlib.sha256((secret + "a salt").encode()).digest()))
new, old = key("a new SECRET of 32 characters ...."), key("an old SECRET of 32 characters ...")
print("""CREATE TABLE oauth_credentials (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), profile_id varchar(255) NOT NULL,
  provider_id varchar(50) NOT NULL, access_token text NOT NULL, refresh_token text, token_expiry timestamptz,
  scopes jsonb, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
  CONSTRAINT unique_user_provider UNIQUE (profile_id, provider_id));""")
row = lambda who, fernet, provider="google": print(
  f"INSERT INTO oauth_credentials (profile_id, provider_id, access_token, refresh_token, token_expiry, scopes) VALUES ("
  f"'{who}@example.com', '{provider}', '{fernet.encrypt(f'ya29.SECRET-{who}'.encode()).decode()}', "
  f"'{fernet.encrypt(f'1//SECRET-{who}'.encode()).decode()}', '2025-11-21T10:00:00.5+02:00', '{json.dumps(['openid'])}');")
row("new", new)
row("old", old)
row("other", key("nobody has this key any more ....."))
row("new", new, "github")
"#;

    #[tokio::test]
    async fn the_rows_of_a_gateways_database_are_read_with_its_keys_and_those_before_them() {
        let Some(python) = Python::find() else { return };
        let (_server, url) = empty_url().await;
        let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&python.run(folder().path(), &["-c", GATEWAY])).await.unwrap();

        let secrets = ["a new SECRET of 32 characters ....", "an old SECRET of 32 characters ..."].map(Secret::from);
        let keys = GatewayKeys::new(&secrets, &"a salt".into());
        let findings = look_in_gateway(&url, &keys, &means(), &authchain_trust::Trust::default()).await.unwrap();
        let said: Vec<_> = findings
            .iter()
            .map(|finding| (finding.part.as_deref().unwrap(), matches!(finding.verdict, Verdict::Credential(_))))
            .collect();
        let wanted = [
            ("new@example.com at github", false),
            ("new@example.com at google", true),
            ("old@example.com at google", true),
            ("other@example.com at google", false),
        ];
        assert_eq!(said, wanted);
        assert!(!format!("{findings:?}").contains("SECRET-"), "{findings:?}");
        for (finding, who) in [(&findings[1], "new"), (&findings[2], "old")] {
            let Verdict::Credential(found) = &finding.verdict else { panic!() };
            let taken = &found.credential;
            assert_eq!(found.owner.as_ref().unwrap().as_str(), format!("{who}@example.com"));
            assert_eq!(taken.refresh_token.as_ref().unwrap().expose(), format!("1//SECRET-{who}"));
            assert_eq!(taken.expires_at, Some(Timestamp(1_763_712_000)));
            let dir = folder();
            let key = suite::key("google", &format!("{who}@example.com"), "default");
            sealed(dir.path()).put(&key, taken, Expect::Absent).await.unwrap();
            assert_eq!(sealed(dir.path()).get(&key).await.unwrap().unwrap().value, *taken);
        }
        let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'authchain%'";
        assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0, "nothing is made in it");
    }

    #[tokio::test]
    async fn a_database_that_is_none_of_a_gateway_is_said_so() {
        let (_server, url) = empty_url().await;
        let keys = GatewayKeys::new(&["a SECRET".into()], &"".into());
        let error = look_in_gateway(&url, &keys, &means(), &authchain_trust::Trust::default()).await.unwrap_err();
        let authchain_core::StoreError::Unavailable { cause, .. } = &error else { panic!("{error}") };
        assert!(cause.to_string().contains("oauth_credentials"), "{cause}");
    }
}
