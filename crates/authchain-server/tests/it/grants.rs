//! Number 19 of the checklist: client credentials, enterprise-managed authorization and workload identity.

use std::sync::Arc;

use authchain::{
    core::{Clock, Scopes, Secret},
    jwt::{Algorithm, KeySet, KeySource, SigningKeys},
};
use authchain_server::{AssertionIssuer, ClientProof, ServerOptions, Workload};
use serde_json::{Value, json};

use crate::{
    client_keys::{SECRET, assertion, configured},
    dpop::{Key, prove},
    world::{DRIVE, GMAIL, World, text},
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const IDP: &str = "https://idp.example";
const PLATFORM: &str = "https://platform.example";
const WORKLOAD: &str = "system:serviceaccount:tools:robot";

struct Trust {
    world: World,
    idp: Arc<SigningKeys>,
    platform: Arc<SigningKeys>,
    robot: Arc<SigningKeys>,
}

fn issuer(name: &str, keys: &SigningKeys, domains: &[&str]) -> AssertionIssuer {
    AssertionIssuer {
        issuer: name.into(),
        keys: KeySource::Pinned(KeySet::from_jwks(&keys.jwks()).unwrap()),
        algorithms: vec![keys.algorithm()],
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
    }
}

async fn trust(change: impl FnOnce(&mut ServerOptions)) -> Trust {
    let keys = || Arc::new(SigningKeys::generate(Algorithm::ES256).unwrap());
    let (idp, platform, robot) = (keys(), keys(), keys());
    let world = World::with(|options| {
        configured(options, "desk", ClientProof::Secret(Secret::new(SECRET)));
        configured(options, "robot", ClientProof::Keys(robot.jwks()));
        configured(options, "job", ClientProof::Nothing);
        configured(options, "app", ClientProof::Secret(Secret::new(SECRET)));
        for client in &mut options.registered {
            client.client_credentials = matches!(client.id.as_str(), "desk" | "robot");
            client.scopes = Scopes::from(format!("{DRIVE} {GMAIL}").as_str());
            client.workload =
                (client.id.as_str() == "job").then(|| Workload { issuer: PLATFORM.into(), subject: WORKLOAD.into() });
        }
        options.grants.client_credentials = true;
        options.grants.enterprise = vec![issuer(IDP, &idp, &["example.com"])];
        options.grants.workloads = vec![issuer(PLATFORM, &platform, &[])];
        change(options);
    })
    .await;
    Trust { world, idp, platform, robot }
}

impl Trust {
    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        self.world.post_form("/oauth/token", form).await
    }

    fn id_jag(&self, changes: Value) -> String {
        self.signed_by(&self.idp, "oauth-id-jag+jwt", changes)
    }

    fn signed_by(&self, keys: &SigningKeys, typ: &str, changes: Value) -> String {
        let now = self.world.clock.now().0;
        let mut claims = json!({
            "iss": IDP, "sub": "u1", "aud": self.world.issuer(), "client_id": "app", "resource": self.world.resource(),
            "email": "ann@example.com", "email_verified": true, "scope": DRIVE, "iat": now, "exp": now + 300,
            "jti": format!("{:?}", std::time::Instant::now()),
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        keys.sign(typ, &claims).unwrap()
    }

    async fn redeem(&self, jag: &str) -> (u16, Value) {
        let client = [("client_id", "app"), ("client_secret", SECRET)];
        self.token(&[&[("grant_type", JWT_BEARER), ("assertion", jag)], &client[..]].concat()).await
    }
}

#[tokio::test]
async fn n19_a_client_acts_for_itself_by_secret_and_by_signature() {
    let trust = trust(|_| {}).await;
    let signed = assertion(&trust.world, &trust.robot, "robot", json!({}));
    for (client, proof) in [
        ("desk", vec![("client_id", "desk"), ("client_secret", SECRET)]),
        ("robot", vec![("client_assertion_type", ASSERTION), ("client_assertion", signed.as_str())]),
    ] {
        let (status, tokens) = trust.token(&[&[("grant_type", "client_credentials")], &proof[..]].concat()).await;
        assert_eq!(status, 200, "{client}: {tokens}");
        assert!(tokens.get("refresh_token").is_none(), "RFC 6749, section 4.4.3");
        let verified = trust.world.verified(&tokens);
        assert_eq!((verified.subject, verified.email, verified.grant), (format!("client:{client}"), None, None));
        assert_eq!(verified.claims["idp"], "client");
        assert_eq!(verified.scopes, Scopes::from(format!("{DRIVE} {GMAIL}").as_str()));
    }
}

#[tokio::test]
async fn n19_a_client_gets_for_itself_what_the_operator_allowed_and_no_more() {
    let trust = trust(|_| {}).await;
    let ask = |scope: &'static str| {
        let form =
            [("grant_type", "client_credentials"), ("client_id", "desk"), ("client_secret", SECRET), ("scope", scope)];
        let trust = &trust;
        async move { trust.token(&form).await }
    };
    assert_eq!(text(&ask(DRIVE).await.1, "scope"), DRIVE);
    assert_eq!(ask("https://www.googleapis.com/auth/admin").await.1["error"], "invalid_scope");
    for (client, secret) in [("app", Some(SECRET)), ("job", None)] {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client)];
        form.extend(secret.map(|secret| ("client_secret", secret)));
        let (status, answer) = trust.token(&form).await;
        assert_eq!((status, &answer["error"]), (400, &"unauthorized_client".into()), "{client}");
    }
    let (registered, _) = trust.world.confidential_client("client_secret_post").await;
    let secret = registered.secret.unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", &registered.id), ("client_secret", &secret)];
    assert_eq!(trust.token(&form).await.1["error"], "unauthorized_client", "anybody can register");
    let foreign = [
        ("grant_type", "client_credentials"),
        ("client_id", "desk"),
        ("client_secret", SECRET),
        ("resource", "https://other.example/mcp"),
    ];
    assert_eq!(trust.token(&foreign).await.1["error"], "invalid_target");
}

#[tokio::test]
async fn n18_n19_a_clients_own_token_can_be_looked_into_and_given_back_by_it_alone() {
    let trust = trust(|_| {}).await;
    let own = [("client_id", "desk"), ("client_secret", SECRET)];
    let (_, tokens) = trust.token(&[&[("grant_type", "client_credentials")], &own[..]].concat()).await;
    let token = text(&tokens, "access_token");
    let by = |who: &'static str| [("token", token.as_str()), ("client_id", who), ("client_secret", SECRET)];
    assert_eq!(trust.world.post_form("/oauth/introspect", &by("desk")).await.1["active"], true);
    assert_eq!(trust.world.post_form("/oauth/revoke", &by("app")).await.1["error"], "invalid_grant");
    assert_eq!(trust.world.post_form("/oauth/introspect", &by("desk")).await.1["active"], true);
    assert_eq!(trust.world.post_form("/oauth/revoke", &by("desk")).await.0, 200);
    assert_eq!(trust.world.post_form("/oauth/introspect", &by("desk")).await.1["active"], false);
}

#[tokio::test]
async fn n19_an_identity_assertion_becomes_a_token_for_its_person_without_a_page() {
    let trust = trust(|_| {}).await;
    let (status, tokens) = trust.redeem(&trust.id_jag(json!({}))).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(tokens.get("refresh_token").is_none());
    let verified = trust.world.verified(&tokens);
    assert_eq!((verified.subject.as_str(), verified.client.unwrap().as_str()), ("ann@example.com", "app"));
    assert_eq!((verified.claims["idp"].as_str(), verified.scopes), (Some("google"), Scopes::from(DRIVE)));
    let several = json!({"resource": [trust.world.resource()], "aud": [trust.world.issuer()]});
    assert_eq!(trust.redeem(&trust.id_jag(several)).await.0, 200);
}

#[tokio::test]
async fn n19_an_identity_assertion_that_is_not_right_in_everything_is_refused() {
    let trust = trust(|_| {}).await;
    let now = trust.world.clock.now().0;
    for (case, error, changes) in [
        ("another client", "invalid_grant", json!({"client_id": "desk"})),
        ("no client", "invalid_grant", json!({"client_id": null})),
        ("another resource", "invalid_target", json!({"resource": "https://other.example/mcp"})),
        ("one resource too many", "invalid_target", json!({"resource": [trust.world.resource(), "https://x.example"]})),
        ("no resource", "invalid_target", json!({"resource": null})),
        ("another audience", "invalid_grant", json!({"aud": "https://other.example"})),
        ("another issuer", "invalid_grant", json!({"iss": "https://evil.example"})),
        ("a person of another domain", "invalid_grant", json!({"email": "eve@evil.example"})),
        ("a domain that only ends alike", "invalid_grant", json!({"email": "eve@notexample.com"})),
        ("an unverified address", "invalid_grant", json!({"email_verified": false})),
        ("no address", "invalid_grant", json!({"email": null})),
        ("no id", "invalid_grant", json!({"jti": null})),
        ("bound to a key that is not proven", "invalid_grant", json!({"cnf": {"jkt": "x"}})),
        ("bound in a way that is not known here", "invalid_grant", json!({"cnf": {"x5t#S256": "x"}})),
        ("expired", "invalid_grant", json!({"exp": now - 120, "iat": now - 300})),
        ("good for ever", "invalid_grant", json!({"exp": now + 100_000})),
    ] {
        let (status, answer) = trust.redeem(&trust.id_jag(changes)).await;
        assert_eq!((status, &answer["error"]), (400, &error.into()), "{case}: {answer}");
    }
    let forged = trust.signed_by(&trust.platform, "oauth-id-jag+jwt", json!({}));
    assert_eq!(trust.redeem(&forged).await.1["error"], "invalid_grant", "another's key");
    let id_token = trust.signed_by(&trust.idp, "JWT", json!({}));
    assert_eq!(trust.redeem(&id_token).await.1["error"], "invalid_grant", "an id token is no ID-JAG");
}

#[tokio::test]
async fn n19_an_identity_assertion_is_taken_once_and_from_a_client_that_proves_itself() {
    let trust = trust(|_| {}).await;
    let jag = trust.id_jag(json!({}));
    let answers = futures_util::future::join_all((0..30).map(|_| trust.redeem(&jag))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1);
    let public = trust.id_jag(json!({"client_id": "job"}));
    let form = [("grant_type", JWT_BEARER), ("assertion", &public), ("client_id", "job")];
    assert_eq!(trust.token(&form).await.1["error"], "unauthorized_client");
    let fresh = trust.id_jag(json!({}));
    let form =
        [("grant_type", JWT_BEARER), ("assertion", fresh.as_str()), ("client_id", "app"), ("client_secret", "x")];
    assert_eq!(trust.token(&form).await.0, 401);
    assert_eq!(trust.redeem(&fresh).await.0, 200, "a stranger has not used it up");
}

#[tokio::test]
async fn n19_a_workload_is_the_client_that_the_operator_named() {
    let trust = trust(|_| {}).await;
    let platform_token = |changes: Value| {
        let mut all = json!({"iss": PLATFORM, "sub": WORKLOAD, "client_id": null, "resource": null, "email": null});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        trust.signed_by(&trust.platform, "JWT", all)
    };
    let token = platform_token(json!({}));
    for more in [&[][..], &[("client_id", "job")]] {
        // The platform's token serves until it expires: it is not the client's to renew.
        let form = [&[("grant_type", JWT_BEARER), ("assertion", token.as_str())], more].concat();
        let (status, tokens) = trust.token(&form).await;
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(trust.world.verified(&tokens).subject, "client:job");
    }
    for (case, assertion) in [
        ("another workload", platform_token(json!({"sub": "system:serviceaccount:tools:other"}))),
        ("another audience", platform_token(json!({"aud": "https://other.example"}))),
        ("the identity provider", trust.signed_by(&trust.idp, "JWT", json!({"sub": WORKLOAD}))),
        ("another's key", trust.signed_by(&trust.idp, "JWT", json!({"iss": PLATFORM, "sub": WORKLOAD}))),
        ("nothing", "x".into()),
    ] {
        let (status, answer) = trust.token(&[("grant_type", JWT_BEARER), ("assertion", &assertion)]).await;
        assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()), "{case}: {answer}");
    }
    let form = [("grant_type", JWT_BEARER), ("assertion", token.as_str()), ("client_id", "desk")];
    assert_eq!(trust.token(&form).await.1["error"], "invalid_grant", "another client's name");
}

#[tokio::test]
async fn n19_what_is_switched_off_is_neither_announced_nor_given() {
    let trust = trust(|_| {}).await;
    let (_, document) = trust.world.get_json("/.well-known/oauth-authorization-server").await;
    for name in ["client_credentials", JWT_BEARER] {
        assert!(document["grant_types_supported"].as_array().unwrap().contains(&name.into()), "{name}");
    }
    assert_eq!(
        document["authorization_grant_profiles_supported"],
        json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
    );
    let trust = self::trust(|options| {
        options.grants = Default::default();
        options.grants.device_code = false;
    })
    .await;
    let (_, document) = trust.world.get_json("/.well-known/oauth-authorization-server").await;
    assert_eq!(document["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
    assert!(document.get("authorization_grant_profiles_supported").is_none());
    let client = [("client_id", "desk"), ("client_secret", SECRET)];
    let (_, answer) = trust.token(&[&[("grant_type", "client_credentials")], &client[..]].concat()).await;
    assert_eq!(answer["error"], "unsupported_grant_type");
    assert_eq!(trust.redeem(&trust.id_jag(json!({}))).await.1["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn n19_the_token_of_a_client_itself_can_be_bound_to_a_key_too() {
    let (trust, key) = (trust(|_| {}).await, Key::new());
    let form = [("grant_type", "client_credentials"), ("client_id", "desk"), ("client_secret", SECRET)];
    let (status, tokens) = prove(&trust.world, &key, &form).await;
    assert_eq!((status, &tokens["token_type"]), (200, &"DPoP".into()), "{tokens}");
    assert_eq!(trust.world.verified(&tokens).claims["cnf"]["jkt"], key.thumbprint());
}
