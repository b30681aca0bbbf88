//! Keys and credentials that the suites write.

use authchain_core::{
    Credential, CredentialKey, CredentialStatus, Email, OAuthClient, ProviderId, Scopes, Secret, Timestamp, TokenGroup,
    UserId,
};
use serde_json::json;

/// The key of a provider, a user and a token group.
pub fn key(provider: &str, user: &str, group: &str) -> CredentialKey {
    CredentialKey {
        provider: ProviderId::new(provider).unwrap(),
        user: UserId::new(user).unwrap(),
        group: TokenGroup::new(group).unwrap(),
    }
}

/// A credential in which everything depends on `n`, so that two of them are never equal.
pub fn credential(n: u64) -> Credential {
    let mut credential = Credential {
        email: Some(Email::new(&format!("ann{n}@example.com")).unwrap()),
        subject: Some(format!("10769150350006150715113082367{n}")),
        access_token: Some(Secret::new(format!("ya29.access-{n}"))),
        expires_at: Some(Timestamp(1_763_712_000 + i64::try_from(n).unwrap())),
        refresh_token: Some(Secret::new(format!("1//refresh-{n}"))),
        scopes: Scopes::from("https://www.googleapis.com/auth/drive openid"),
        token_uri: "https://oauth2.googleapis.com/token".into(),
        client: OAuthClient {
            id: format!("client-{n}.apps.example.com"),
            secret: Some(Secret::new(format!("client-secret-{n}"))),
        },
        status: CredentialStatus::Active,
        granted_at: Timestamp(1_763_000_000),
        extra: serde_json::Map::new(),
    };
    match n % 4 {
        // Everything that may be missing is missing.
        1 => {
            credential.email = None;
            credential.subject = None;
            credential.access_token = None;
            credential.expires_at = None;
            credential.refresh_token = None;
            credential.scopes = Scopes::none();
            credential.client.secret = None;
        }
        2 => {
            credential.status = CredentialStatus::NeedsSignIn {
                since: Timestamp(1_763_700_000),
                reason: "invalid_rapt \"ü\"\n".into(),
            };
            credential.expires_at = Some(Timestamp::NEVER);
        }
        3 => {
            credential.extra.insert("universe_domain".into(), json!("googleapis.com"));
            credential.extra.insert("another program's".into(), json!({"list": [1, 2.5, null, "\u{1F511}"]}));
        }
        _ => {}
    }
    credential
}

/// User ids that try to collide, to leave the folder, or to break a parser.
pub fn awkward_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "ann@example.com",
        "Ann@example.com",
        "ANN@EXAMPLE.COM",
        "a.b@example.com",
        "a_b@example.com",
        "a.b_at_example_com",
        "a_b_at_example_com_credentials",
        "ann+tag@example.com",
        "ann%40example.com",
        "ann%2540example.com",
        "ann~photos@example.com",
        "ann@example.com~default",
        "ann@example.com.json",
        ".",
        "..",
        ".lock",
        ".auth_encryption_key",
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\boot.ini",
        "C:",
        "nul",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        " ",
        " a",
        "a ",
        "-rf",
        "*",
        "\"'`$(id)",
        "\u{fc}mlaut@example.com",
        "u\u{308}mlaut@example.com",
        "\u{202e}moc.elpmaxe@nna",
        "\u{1F511}",
        "\u{130}",
        "i\u{307}",
        "\u{df}",
        "ss",
    ]
    .map(str::to_owned)
    .into();
    for length in [60, 80, 120, 180, 250, 255, 300, 1000, 1024] {
        ids.push("x".repeat(length));
        ids.push(format!("{}y", "x".repeat(length - 1)));
        ids.push("\u{fc}".repeat(length / 2));
        ids.push("/".repeat(length));
    }
    ids
}
