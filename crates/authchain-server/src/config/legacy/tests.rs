//! Every older name with what it sets, and with the switch off.

use super::*;
use crate::config::{Config, Sources};

fn env(pairs: &[(&str, &str)]) -> Sources {
    Sources::new().environment(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())))
}

fn shown(sources: &Sources, key: &str) -> String {
    sources.settings().unwrap().into_iter().find(|setting| setting.key == key).unwrap().value
}

/// What only an environment of the system that authchain replaces would say.
const EXAMPLES: &[(&str, &str, &str, &str)] = &[
    ("SESSION_TIMEOUT_MINUTES", "30", "session.idle", "\"30m\""),
    ("CREDENTIAL_STORAGE_MODE", "FILE_PLAINTEXT", "storage.mode", "\"file_plaintext\""),
    ("CREDENTIAL_STORAGE_MODE", "Memory_With_Backup", "storage.mode", "\"memory_with_backup\""),
    ("CREDENTIALS_DIR", "/data", "storage.directory", "\"/data\""),
    ("SERVER_PORT", "9000", "server.port", "\"9000\""),
    ("SERVER_HOST", "localhost", "server.host", "\"127.0.0.1\""),
    ("OAUTH_REDIRECT_URI", "http://localhost:8002/oauth2callback", "server.public_url", "\"http://localhost:8002\""),
    ("SERVICE_CACHING", "false", "services.cache_capacity", "\"0\""),
    ("ENHANCED_LOGGING", "true", "log.level", "\"info,authchain=debug\""),
    ("GOOGLE_CLIENT_ID", "theirs", "providers.google.client_id", "\"theirs\""),
    ("GOOGLE_CLIENT_SECRET", "theirs", "providers.google.client_secret", "(hidden)"),
    ("GOOGLE_CLIENT_SECRETS_FILE", "c.json", "providers.google.client_secrets_file", "\"c.json\""),
    ("FASTMCP_SERVER_AUTH_GOOGLE_CLIENT_ID", "theirs", "providers.google.client_id", "\"theirs\""),
    ("FASTMCP_SERVER_AUTH_GOOGLE_CLIENT_SECRET", "theirs", "providers.google.client_secret", "(hidden)"),
    ("DWD_ALLOWED_DOMAINS", "example.com,example.org", "google.allowed_domains", "[\"example.com\", \"example.org\"]"),
];

#[test]
fn each_older_name_is_honoured_with_one_hint_to_the_key_of_today() {
    for (name, value, key, expected) in EXAMPLES {
        let sources = env(&[(name, value)]);
        let config = sources.load().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown(&sources, key), *expected, "{name}");
        let [notice] = config.notices.as_slice() else { panic!("{name}: {:?}", config.notices) };
        assert!(notice.contains(name) && notice.contains(key) && notice.contains(&variable(key)), "{notice}");
        assert!(!notice.contains("theirs"), "a hint repeats no value: {notice}");
    }
}

#[test]
fn with_the_switch_off_each_older_name_is_an_error_that_names_the_new_one() {
    for (name, value, key, _) in EXAMPLES {
        for switch in ["LEGACY_COMPAT_MODE", "AUTHCHAIN__COMPAT__OLD_NAMES"] {
            let error = env(&[(name, value), (switch, "false")]).load().unwrap_err();
            let words = error.to_string();
            assert!(words.contains(name) && words.contains(key) && words.contains(&variable(key)), "{words}");
        }
    }
    let both = env(&[("SERVER_PORT", "1"), ("SESSION_TIMEOUT_MINUTES", "1"), ("LEGACY_COMPAT_MODE", "off")]);
    let words = both.load().unwrap_err().to_string();
    assert!(words.contains("server.port") && words.contains("session.idle"), "{words}");
    assert!(env(&[("LEGACY_COMPAT_MODE", "false")]).load().is_ok());
}

#[test]
fn our_own_names_win_and_need_no_hint() {
    let config = env(&[("SERVER_PORT", "9000"), ("AUTHCHAIN__SERVER__PORT", "9001")]).load().unwrap();
    assert_eq!((config.server.port, config.notices.len()), (9001, 0));
}

#[test]
fn of_two_older_names_for_one_key_the_first_of_the_table_counts() {
    let config = env(&[("FASTMCP_SERVER_AUTH_GOOGLE_CLIENT_ID", "b"), ("GOOGLE_CLIENT_ID", "a")]).load().unwrap();
    assert_eq!(config.providers.google.client_id.as_deref(), Some("a"));
    assert_eq!(config.notices.len(), 1);
}

fn with_https(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let files = [("SSL_CERT_FILE", "cert.pem"), ("SSL_KEY_FILE", "key.pem")];
    env(&[&files[..], more].concat()).load()
}

#[test]
fn https_is_switched_on_by_the_three_older_names() {
    let config = with_https(&[("ENABLE_HTTPS", "true")]).unwrap();
    assert!(config.tls.enabled);
    assert_eq!(config.tls.certificate_file.unwrap().to_str(), Some("cert.pem"));
    assert_eq!(config.tls.key_file.unwrap().to_str(), Some("key.pem"));
    assert!(config.notices.iter().any(|notice| notice.contains("SSL_CERT_DIR")), "{:?}", config.notices);
}

#[test]
#[cfg(target_os = "linux")]
fn with_its_own_certificate_in_ssl_cert_file_the_server_trusts_the_system_or_the_folders_of_ssl_cert_dir() {
    let config = with_https(&[("ENABLE_HTTPS", "true")]).unwrap();
    assert_eq!(config.trust, Trust::without_the_file(None).unwrap());
    assert_eq!(config.storage.trust, config.trust);
    let config = with_https(&[("ENABLE_HTTPS", "true"), ("SSL_CERT_DIR", "/ours:/theirs")]).unwrap();
    assert_eq!(config.trust, Trust::without_the_file(Some(OsStr::new("/ours:/theirs"))).unwrap());
    assert_ne!(config.trust, Trust::without_the_file(None).unwrap());
    let said: Vec<_> = config.notices.iter().filter(|notice| notice.contains("trust")).collect();
    assert!(matches!(said[..], [notice] if notice.contains("SSL_CERT_FILE")), "{said:?}");
}

#[test]
fn where_ssl_cert_file_is_not_the_servers_own_certificate_it_says_whom_to_trust() {
    let ours = ("AUTHCHAIN__TLS__CERTIFICATE_FILE", "ours.pem");
    for more in [&[][..], &[("ENABLE_HTTPS", "false")], &[("ENABLE_HTTPS", "true"), ours], &[("SSL_CERT_DIR", "/ours")]]
    {
        let config = with_https(more).unwrap();
        assert_eq!((&config.trust, &config.storage.trust), (&Trust::default(), &Trust::default()), "{more:?}");
        assert!(!config.notices.iter().any(|notice| notice.contains("trust")), "{:?}", config.notices);
    }
}

#[test]
fn where_https_is_not_asked_for_ssl_cert_file_means_what_it_means_to_openssl() {
    for more in [&[][..], &[("ENABLE_HTTPS", "false")]] {
        let config = with_https(more).unwrap();
        assert_eq!(config.tls.certificate_file, None);
        assert!(!config.notices.iter().any(|notice| notice.contains("SSL_")), "{:?}", config.notices);
    }
    assert!(with_https(&[("LEGACY_COMPAT_MODE", "false")]).is_ok());
}

#[test]
fn a_redirect_uri_that_nobody_would_answer_is_refused() {
    let refused = |pairs: &[(&str, &str)]| env(pairs).load().err().map(|error| error.to_string());
    let uri = ("OAUTH_REDIRECT_URI", "http://localhost:8002/oauth2callback");
    let other_path = refused(&[("OAUTH_REDIRECT_URI", "http://localhost:8002/oauth/callback")]).unwrap();
    assert!(other_path.contains("http://localhost:8002/oauth2callback"), "{other_path}");
    for (other, key) in [
        (("SERVER_PORT", "9000"), "server.port"),
        (("AUTHCHAIN__SERVER__PORT", "9000"), "server.port"),
        (("AUTHCHAIN__SERVER__PUBLIC_URL", "https://mcp.example.com"), "server.public_url"),
        (("FASTMCP_SERVER_AUTH_GOOGLE_BASE_URL", "https://mcp.example.com"), "server.public_url"),
    ] {
        let words = refused(&[uri, other]).unwrap();
        assert!(words.contains("OAUTH_REDIRECT_URI") && words.contains(key), "{words}");
    }
    assert!(refused(&[("OAUTH_REDIRECT_URI", "not a url")]).is_some());
    let behind_a_proxy = [("OAUTH_REDIRECT_URI", "https://mcp.example.com/oauth2callback"), ("SERVER_PORT", "9000")];
    assert_eq!(refused(&behind_a_proxy), None);
    // The command `login` opens a page of its own.
    let login =
        env(&[uri]).set("server.port", 9000, "login").set("server.public_url", "http://127.0.0.1:9000", "login");
    assert!(login.load().is_ok());
}

#[test]
fn a_redirect_uri_is_compared_with_what_a_file_says() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"[server]\npublic_url = \"https://mcp.example.com\"\n").unwrap();
    let with = |uri: &str| env(&[("OAUTH_REDIRECT_URI", uri)]).file(file.path()).load();
    assert!(with("https://mcp.example.com/oauth2callback").is_ok());
    let words = with("https://other.example.com/oauth2callback").unwrap_err().to_string();
    assert!(words.contains(file.path().to_str().unwrap()), "{words}");
}

#[test]
fn only_google_is_a_provider() {
    for good in ["GOOGLE", "google", "fastmcp.server.auth.providers.google.GoogleProvider"] {
        assert!(env(&[("FASTMCP_SERVER_AUTH", good)]).load().is_ok(), "{good}");
    }
    let words = env(&[("FASTMCP_SERVER_AUTH", "GITHUB")]).load().unwrap_err().to_string();
    assert!(words.contains("FASTMCP_SERVER_AUTH") && words.contains("GITHUB"), "{words}");
}

#[test]
fn without_unified_authentication_tier_2_is_not_asked() {
    let tiers = |value| shown(&env(&[("ENABLE_UNIFIED_AUTH", value)]), "chain.tiers");
    assert!(tiers("true").contains("provider_session"));
    assert!(!tiers("false").contains("provider_session") && tiers("false").contains("session_cache"));
}

#[test]
fn what_has_no_effect_is_said() {
    for (name, value) in
        [("CREDENTIAL_MIGRATION", "true"), ("OAUTHLIB_INSECURE_TRANSPORT", "1"), ("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")]
    {
        let notices = env(&[(name, value)]).load().unwrap().notices;
        assert!(matches!(notices.as_slice(), [one] if one.contains(name) && one.contains("no effect")), "{notices:?}");
    }
    let strict = env(&[("OAUTHLIB_INSECURE_TRANSPORT", "1"), ("LEGACY_COMPAT_MODE", "false")]);
    assert_eq!(strict.load().unwrap().notices.len(), 2);
}

#[test]
fn a_value_that_makes_no_sense_is_blamed_on_its_older_name() {
    for (name, value) in [
        ("SESSION_TIMEOUT_MINUTES", "an hour"),
        ("SESSION_TIMEOUT_MINUTES", "0"),
        ("CREDENTIAL_STORAGE_MODE", "FILE"),
        ("SERVER_PORT", "many"),
        ("ENABLE_HTTPS", "perhaps"),
        ("SERVICE_CACHING", "perhaps"),
        ("LEGACY_COMPAT_MODE", "perhaps"),
    ] {
        let words = env(&[(name, value)]).load().unwrap_err().to_string();
        assert!(words.contains(name), "{words}");
    }
}

#[test]
fn googles_own_names_are_read_without_a_hint_and_whatever_the_switch_says() {
    let googles = [
        ("GOOGLE_APPLICATION_CREDENTIALS", "key.json"),
        ("CLOUDSDK_CONFIG", "/gcloud"),
        ("GOOGLE_WORKSPACE_CLI_TOKEN", "ya29.hush"),
        ("AUTHCHAIN__COMPAT__OLD_NAMES", "false"),
    ];
    let config = env(&googles).load().unwrap();
    assert_eq!(config.google.application_credentials.as_ref().unwrap().to_str(), Some("key.json"));
    assert_eq!(config.google.gcloud_directory.as_ref().unwrap().to_str(), Some("/gcloud"));
    assert!(config.google.access_token.is_some() && config.notices.is_empty());
    assert!(!format!("{config:?}{:?}", env(&googles).settings()).contains("hush"));
    let at_home = env(&[("HOME", "/home/ann")]).load().unwrap();
    assert_eq!(at_home.google.gcloud_directory.unwrap().to_str(), Some("/home/ann/.config/gcloud"));
}
