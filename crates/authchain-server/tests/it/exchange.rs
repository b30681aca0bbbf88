//! Number 19 of the checklist: this server as the identity provider of a fleet. Tokens of people who signed in here are
//! exchanged for identity assertions (RFC 8693, draft-ietf-oauth-identity-assertion-authz-grant).

use std::{sync::Arc, time::Duration};

use authchain::{
    core::{ClientId, Clock, ProviderId, Scopes, Secret},
    jwt::{Algorithm, ClaimNames, KeySource, SigningKeys, TrustedIssuer, Verified, Verifier},
    provider::Pkce,
};
use authchain_server::{AssertionIssuer, ClientProof, ExchangeAudience, ExchangeClient, ServerOptions};
use serde_json::{Value, json};

use crate::{
    client_keys::{SECRET, configured},
    dpop::{Key, TOKEN, post, prove},
    world::{CALLBACK, Client, DRIVE, World, text},
};

pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ANN: &str = "ann@example.com";
const FILES: &str = "https://files.example";
const FILES_MCP: &str = "https://files.example/mcp";

/// A server that vouches for people to `files.example`, for the clients `desk` and `app`, but not for `other`.
async fn provider() -> World {
    provider_with(|_| {}).await
}

async fn provider_with(change: impl FnOnce(&mut ServerOptions)) -> World {
    World::with(|options| {
        for id in ["desk", "app", "other"] {
            configured(options, id, ClientProof::Secret(Secret::new(SECRET)));
        }
        configured(options, "public", ClientProof::Nothing);
        let client = |id: &str, there: &str| ExchangeClient {
            id: ClientId::new(id).unwrap(),
            id_there: ClientId::new(there).unwrap(),
        };
        options.grants.exchange = vec![ExchangeAudience {
            issuer: FILES.into(),
            resources: vec![FILES_MCP.parse().unwrap()],
            scopes: Scopes::from(format!("{DRIVE} files:write").as_str()),
            clients: vec![client("desk", "desk-at-files"), client("app", "app")],
        }];
        change(options);
    })
    .await
}

fn client(id: &str) -> Client {
    Client { id: id.into(), secret: Some(SECRET.into()) }
}

/// The usual request of `desk`, with what is changed, left out (`null`) or doubled (a list).
fn request(subject: &str, changes: Value) -> Vec<(String, String)> {
    let mut all = json!({
        "grant_type": TOKEN_EXCHANGE, "requested_token_type": ID_JAG, "audience": FILES, "resource": FILES_MCP,
        "scope": DRIVE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN,
        "client_id": "desk", "client_secret": SECRET,
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut form = Vec::new();
    for (name, value) in all.as_object().unwrap() {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        form.extend(values.iter().filter_map(Value::as_str).map(|value| (name.clone(), value.to_owned())));
    }
    form
}

fn borrowed(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

async fn ask(world: &World, subject: &str, changes: Value) -> (u16, Value) {
    world.post_form(TOKEN, &borrowed(&request(subject, changes))).await
}

/// The assertion as the other server would check it.
fn read(world: &World, answer: &Value) -> Verified {
    let issuer = TrustedIssuer {
        issuer: world.issuer(),
        audiences: vec![FILES.into()],
        types: vec!["oauth-id-jag+jwt".into()],
        keys: KeySource::Own(world.signing.clone()),
        claims: ClaimNames::default(),
        algorithms: vec![Algorithm::EdDSA],
        provider: ProviderId::google(),
    };
    match Verifier::new(vec![issuer], world.clock.clone()).check(&text(answer, "access_token")) {
        authchain::jwt::Checked::Verified(verified) => *verified,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn n19_a_token_of_a_person_is_exchanged_for_an_assertion_that_another_server_takes() {
    let world = provider().await;
    let tokens = world.tokens(&client("desk"), ANN).await;
    let answer = world.http.post(world.at(TOKEN)).form(&request(&text(&tokens, "access_token"), json!({})));
    let answer = answer.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].as_bytes()), (200, &b"no-store"[..]));
    let answer: Value = answer.json().await.unwrap();
    let mut rest = answer.clone();
    rest.as_object_mut().unwrap().remove("access_token");
    assert_eq!(rest, json!({"issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300, "scope": DRIVE}));

    let now = world.clock.now().0;
    let mut claims = read(&world, &answer).claims;
    assert!(claims.remove("jti").unwrap().as_str().unwrap().len() > 20);
    let expected = json!({
        "iss": world.issuer(), "sub": ANN, "email": ANN, "email_verified": true, "aud": FILES,
        "client_id": "desk-at-files", "resource": FILES_MCP, "scope": DRIVE, "iat": now, "exp": now + 300,
    });
    assert_eq!(Value::Object(claims), expected);
}

#[tokio::test]
async fn n19_an_id_token_is_taken_too_and_what_is_left_out_is_what_the_operator_listed() {
    let world = provider().await;
    let tokens = world.tokens(&client("app"), ANN).await;
    let app = json!({"client_id": "app", "subject_token_type": ID_TOKEN, "resource": null, "scope": null});
    let (status, answer) = ask(&world, &text(&tokens, "id_token"), app).await;
    assert_eq!(status, 200, "{answer}");
    let claims = read(&world, &answer).claims;
    assert_eq!((&claims["client_id"], &claims["resource"]), (&"app".into(), &FILES_MCP.into()));
    assert_eq!((&claims["scope"], &answer["scope"]), (&answer["scope"], &json!(format!("files:write {DRIVE}"))));
    let again = ask(&world, &text(&tokens, "access_token"), json!({"client_id": "app"})).await.1;
    assert_ne!(read(&world, &again).claims["jti"], claims["jti"], "each is redeemed once");
}

#[tokio::test]
async fn n19_an_exchange_that_is_not_right_in_everything_is_refused() {
    let world = provider().await;
    let tokens = world.tokens(&client("desk"), ANN).await;
    let (access, id) = (text(&tokens, "access_token"), text(&tokens, "id_token"));
    for (case, error, why, changes) in [
        ("no audience", "invalid_request", "audience is missing", json!({"audience": null})),
        ("an audience twice", "invalid_request", "audience is sent more", json!({"audience": [FILES, FILES]})),
        ("another audience", "invalid_target", "audience", json!({"audience": "https://evil.example"})),
        ("this server itself", "invalid_target", "audience", json!({"audience": world.issuer()})),
        ("another resource", "invalid_target", "resource", json!({"resource": "https://evil.example/mcp"})),
        ("this server's resource", "invalid_target", "resource", json!({"resource": world.resource()})),
        ("a resource twice", "invalid_request", "resource is sent more", json!({"resource": [FILES_MCP, FILES_MCP]})),
        ("an unknown scope", "invalid_scope", "scopes", json!({"scope": format!("{DRIVE} files:admin")})),
        ("a scope twice", "invalid_request", "scope is sent more", json!({"scope": [DRIVE, DRIVE]})),
        (
            "no requested type",
            "invalid_request",
            "requested_token_type is missing",
            json!({"requested_token_type": null}),
        ),
        ("a requested type twice", "invalid_request", "sent more", json!({"requested_token_type": [ID_JAG, ID_JAG]})),
        ("another requested type", "invalid_request", "must be the one", json!({"requested_token_type": ACCESS_TOKEN})),
        ("no subject token", "invalid_request", "subject_token is missing", json!({"subject_token": null})),
        (
            "a subject token twice",
            "invalid_request",
            "subject_token is sent more",
            json!({"subject_token": [access, access]}),
        ),
        ("no subject type", "invalid_request", "subject_token_type is missing", json!({"subject_token_type": null})),
        ("a subject type twice", "invalid_request", "sent more", json!({"subject_token_type": [ID_TOKEN, ID_TOKEN]})),
        ("an unknown type", "invalid_request", "subject_token_type must", json!({"subject_token_type": "urn:x"})),
        ("an access token as id token", "invalid_request", "of that type", json!({"subject_token_type": ID_TOKEN})),
        ("an id token as access token", "invalid_request", "of that type", json!({"subject_token": id})),
        ("an actor", "invalid_request", "actor_token", json!({"actor_token": access})),
        ("the type of an actor", "invalid_request", "actor_token", json!({"actor_token_type": ACCESS_TOKEN})),
        ("no token at all", "invalid_request", "of that type", json!({"subject_token": "x.y.z"})),
        ("another client's token", "invalid_request", "to another client", json!({"client_id": "app"})),
        (
            "another client's id token",
            "invalid_request",
            "to another client",
            json!({"client_id": "app", "subject_token": id, "subject_token_type": ID_TOKEN}),
        ),
        ("a client that is not listed", "unauthorized_client", "not allowed", json!({"client_id": "other"})),
        (
            "a public client",
            "unauthorized_client",
            "proves itself only",
            json!({"client_id": "public", "client_secret": null}),
        ),
        (
            "two grant types",
            "invalid_request",
            "grant_type is",
            json!({"grant_type": [TOKEN_EXCHANGE, "refresh_token"]}),
        ),
    ] {
        let (status, answer) = ask(&world, &access, changes).await;
        assert_eq!((status, &answer["error"]), (400, &error.into()), "{case}: {answer}");
        assert!(text(&answer, "error_description").contains(why), "{case}: {answer}");
    }
    for (case, changes) in [("a wrong secret", json!({"client_secret": "x"})), ("none", json!({"client_secret": null}))]
    {
        let (status, answer) = ask(&world, &access, changes).await;
        assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{case}: {answer}");
    }
    let (status, _) = ask(&world, &access, json!({"scope": format!("{DRIVE} openid email")})).await;
    assert_eq!(status, 200, "who the person is may always be asked, and nothing was used up");
}

#[tokio::test]
async fn n19_a_token_of_another_issuer_or_of_nobody_who_signed_in_here_is_not_exchanged() {
    let other_keys = Arc::new(SigningKeys::generate(Algorithm::EdDSA).unwrap());
    let trusted = AssertionIssuer {
        issuer: "https://idp.example".into(),
        keys: KeySource::Own(other_keys.clone()),
        algorithms: vec![Algorithm::EdDSA],
        domains: vec!["example.com".into()],
    };
    let world = provider_with(|options| {
        options.grants.enterprise = vec![trusted];
        options.grants.client_credentials = true;
        let desk = options.registered.iter_mut().find(|client| client.id.as_str() == "desk").unwrap();
        desk.client_credentials = true;
    })
    .await;
    let tokens = world.tokens(&client("desk"), ANN).await;
    let good = world.verified(&tokens).claims;
    let with = |changes: Value| {
        let mut claims = good.clone();
        claims.extend(changes.as_object().unwrap().clone());
        claims
    };
    let now = world.clock.now().0;
    let jag = ask(&world, &text(&tokens, "access_token"), json!({})).await.1;
    let own = [("client_id", "desk"), ("client_secret", SECRET)];
    let (_, alone) = world.post_form(TOKEN, &[&[("grant_type", "client_credentials")], &own[..]].concat()).await;
    let assertion = json!({
        "iss": "https://idp.example", "sub": "u1", "aud": world.issuer(), "client_id": "desk", "email": ANN,
        "resource": world.resource(), "iat": now, "exp": now + 300, "jti": "1",
    });
    let assertion = other_keys.sign("oauth-id-jag+jwt", &assertion).unwrap();
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
    let (_, vouched_for) = world.post_form(TOKEN, &[&form, &own[..]].concat()).await;
    let again = world.signing.sign("at+jwt", &good).unwrap();
    assert_eq!(ask(&world, &again, json!({})).await.0, 200, "what is changed below is the only thing wrong");
    let (unknown, nobody) = ("no token of this server", "nobody who signed in here");
    let ours = |changes: Value| world.signing.sign("at+jwt", &with(changes)).unwrap();
    for (case, why, token) in [
        ("another's key", unknown, other_keys.sign("at+jwt", &good).unwrap()),
        ("another issuer", unknown, ours(json!({"iss": "https://evil.example"}))),
        ("another's resource", unknown, ours(json!({"aud": "https://x.example"}))),
        ("another type", unknown, world.signing.sign("JWT", &good).unwrap()),
        ("an assertion of our own", unknown, text(&jag, "access_token")),
        ("a grant that is not there", "has ended", ours(json!({"sid": "x"}))),
        ("a client's own token", nobody, text(&alone, "access_token")),
        ("a token for another's assertion", nobody, text(&vouched_for, "access_token")),
    ] {
        let (status, answer) = ask(&world, &token, json!({})).await;
        assert_eq!((status, &answer["error"]), (400, &"invalid_request".into()), "{case}: {answer}");
        assert!(text(&answer, "error_description").contains(why), "{case}: {answer}");
    }
}

#[tokio::test]
async fn n19_only_a_living_sign_in_is_exchanged() {
    let world = provider().await;
    let exchanges = |tokens: &Value| {
        let (access, id) = (text(tokens, "access_token"), text(tokens, "id_token"));
        let world = &world;
        async move {
            let by_access = ask(world, &access, json!({})).await;
            let by_id = ask(world, &id, json!({"subject_token_type": ID_TOKEN})).await;
            let said = [by_access, by_id].map(|(status, answer)| match status {
                200 => "yes".to_owned(),
                _ if answer["error"] == "invalid_request" => text(&answer, "error_description"),
                _ => panic!("{answer}"),
            });
            assert_eq!(said[0], said[1], "a token of either type");
            said[0].clone()
        }
    };
    let desk = client("desk");
    let tokens = world.tokens(&desk, ANN).await;
    assert_eq!(exchanges(&tokens).await, "yes");
    let refresh = text(&tokens, "refresh_token");
    let form = [("token", refresh.as_str()), ("client_id", "desk"), ("client_secret", SECRET)];
    assert_eq!(world.post_form("/oauth/revoke", &form).await.0, 200);
    assert_eq!(exchanges(&tokens).await, "the sign-in behind the subject token has ended");

    let tokens = world.tokens(&desk, ANN).await;
    world.clock.advance(Duration::from_secs(3599));
    assert_eq!(exchanges(&tokens).await, "yes", "the last second");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(exchanges(&tokens).await, "the subject token has expired", "without leeway");
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(exchanges(&tokens).await, "the subject token has expired", "long ago");

    let (_, fresh) = world.refresh(&desk, &text(&tokens, "refresh_token")).await;
    assert_eq!(exchanges(&fresh).await, "yes");
    world.manager().disconnect(&world.key_of(ANN)).await.unwrap();
    assert_eq!(exchanges(&fresh).await, "the account was disconnected: sign in again");
}

#[tokio::test]
async fn n19_a_bound_token_is_exchanged_with_a_proof_by_its_key_and_binds_the_assertion() {
    let (world, key, desk) = (provider().await, Key::new(), client("desk"));
    let pkce = Pkce::generate();
    let code = world.code(&desk, &pkce, ANN).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", "desk"),
        ("client_secret", SECRET),
        ("code_verifier", pkce.verifier.expose()),
    ];
    let (_, tokens) = prove(&world, &key, &form).await;
    assert_eq!(tokens["token_type"], "DPoP", "{tokens}");
    let form = request(&text(&tokens, "access_token"), json!({}));
    let form = borrowed(&form);
    let (status, answer, _) = post(&world, TOKEN, None, &form).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_dpop_proof".into()), "without a proof");
    let (status, answer) = prove(&world, &Key::new(), &form).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_dpop_proof".into()), "by another key");
    let (status, answer) = prove(&world, &key, &form).await;
    assert_eq!((status, &answer["token_type"]), (200, &"N_A".into()), "{answer}");
    assert_eq!(read(&world, &answer).claims["cnf"], json!({"jkt": key.thumbprint()}));
}

#[tokio::test]
async fn n19_exchange_that_is_switched_off_is_neither_announced_nor_given() {
    let name = "identity_chaining_requested_token_types_supported";
    let announced =
        |document: &Value| document["grant_types_supported"].as_array().unwrap().contains(&TOKEN_EXCHANGE.into());
    let documents = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
    let world = provider().await;
    for path in documents {
        let (_, document) = world.get_json(path).await;
        assert!(announced(&document) && document[name] == json!([ID_JAG]), "{path}: {document}");
    }
    let off = provider_with(|options| options.grants.exchange.clear()).await;
    let nobody = provider_with(|options| options.sign_in = false).await;
    for world in [&off, &nobody] {
        for path in documents {
            let (_, document) = world.get_json(path).await;
            assert!(!announced(&document) && document.get(name).is_none(), "{path}: {document}");
        }
        let (status, answer) = ask(world, "x", json!({})).await;
        assert_eq!((status, &answer["error"]), (400, &"unsupported_grant_type".into()));
    }
}

#[tokio::test]
async fn n06_n19_exchanges_count_against_the_share_of_their_client() {
    let world = provider_with(|options| options.limits.tokens_by_client = 2).await;
    let tokens = world.tokens(&client("desk"), ANN).await;
    let access = text(&tokens, "access_token");
    assert_eq!(ask(&world, &access, json!({})).await.0, 200);
    let form = request(&access, json!({}));
    let answer = world.http.post(world.at(TOKEN)).form(&form).send().await.unwrap();
    assert!(answer.status() == 429 && answer.headers().contains_key("retry-after"), "{answer:?}");
}

#[tokio::test]
async fn n19_n22_every_exchange_is_one_event_without_a_secret() {
    let (log, _guard) = crate::audit::listen();
    let world = provider().await;
    let tokens = world.tokens(&client("desk"), ANN).await;
    let access = text(&tokens, "access_token");
    let events = || {
        let lines = log.text();
        lines.lines().filter(|line| line.contains("\"token_exchanged\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (_, answer) = ask(&world, &access, json!({})).await;
    assert!(matches!(&events()[..], [one] if one.contains("allowed") && one.contains(ANN)), "{:?}", events());
    for (count, changes) in [
        (2, json!({"audience": "https://evil.example"})),
        (3, json!({"subject_token": null})),
        (4, json!({"subject_token": "x.y.z"})),
        (5, json!({"client_id": "app"})),
        (6, json!({"client_id": "public", "client_secret": null})),
    ] {
        ask(&world, &access, changes).await;
        let events = events();
        assert!(events.len() == count && events[count - 1].contains("refused"), "{count}: {events:?}");
    }
    for secret in [access, text(&tokens, "id_token"), text(&answer, "access_token"), SECRET.to_owned()] {
        assert!(!log.text().contains(&secret), "a secret of {} characters is in the log", secret.len());
    }
}
