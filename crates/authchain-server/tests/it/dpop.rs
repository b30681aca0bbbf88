//! Number 19 of the checklist: tokens that are bound to a key of the client (RFC 9449), at the token endpoint.

use authchain::{core::Clock, jwt::PublicKey, provider::Pkce};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::world::{CALLBACK, Client, World, text};

pub(crate) const TOKEN: &str = "/oauth/token";

/// A key of a client.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
    }

    pub(crate) fn thumbprint(&self) -> String {
        PublicKey::from_jwk(&self.jwk()).unwrap().thumbprint()
    }

    pub(crate) fn proof(&self, world: &World, path: &str, nonce: Option<&str>) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()});
        let claims = json!({
            "jti": Pkce::generate().challenge.as_str(), "htm": "POST", "htu": world.at(path).as_str(),
            "iat": world.clock.now().0, "nonce": nonce,
        });
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// One request to the token endpoint with a proof; the answer, and the nonce that came with it.
pub(crate) async fn post(
    world: &World,
    path: &str,
    proof: Option<&str>,
    form: &[(&str, &str)],
) -> (u16, Value, Option<String>) {
    let mut request = world.http.post(world.at(path)).form(form);
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    let answer = request.send().await.unwrap();
    let nonce = answer.headers().get("dpop-nonce").map(|nonce| nonce.to_str().unwrap().to_owned());
    (answer.status().as_u16(), answer.json().await.unwrap(), nonce)
}

/// As a client does it: the first try learns the nonce, the second uses it.
pub(crate) async fn prove(world: &World, key: &Key, form: &[(&str, &str)]) -> (u16, Value) {
    prove_at(world, TOKEN, key, form).await
}

/// The same at another endpoint.
pub(crate) async fn prove_at(world: &World, path: &str, key: &Key, form: &[(&str, &str)]) -> (u16, Value) {
    let (status, answer, nonce) = post(world, path, Some(&key.proof(world, path, None)), form).await;
    assert_eq!((status, &answer["error"]), (400, &"use_dpop_nonce".into()), "{answer}");
    let nonce = nonce.expect("the nonce to use");
    let (status, answer, _) = post(world, path, Some(&key.proof(world, path, Some(&nonce))), form).await;
    (status, answer)
}

async fn redeem(world: &World, client: &Client, key: &Key, changes: &[(&str, &str)]) -> (u16, Value) {
    let pkce = Pkce::generate();
    let back = world.walk(&world.authorize_url(client, &pkce, changes), "ann@example.com").await;
    let code = back.query("code").unwrap();
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", client.id.as_str()),
        ("code_verifier", pkce.verifier.expose()),
    ];
    form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
    prove(world, key, &form).await
}

fn refresh_form<'a>(client: &'a Client, token: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client.id.as_str())];
    form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
    form
}

#[tokio::test]
async fn n19_a_proof_binds_the_access_token_and_a_public_clients_refresh_token() {
    let world = World::new().await;
    let (client, key) = (world.client().await, Key::new());
    let (status, tokens) = redeem(&world, &client, &key, &[]).await;
    assert_eq!((status, &tokens["token_type"]), (200, &"DPoP".into()), "{tokens}");
    assert_eq!(world.verified(&tokens).claims["cnf"]["jkt"], key.thumbprint());

    let refresh = text(&tokens, "refresh_token");
    let without = post(&world, TOKEN, None, &refresh_form(&client, &refresh)).await;
    assert_eq!((without.0, &without.1["error"]), (400, &"invalid_dpop_proof".into()));
    let (status, answer) = prove(&world, &Key::new(), &refresh_form(&client, &refresh)).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    let (status, next) = prove(&world, &key, &refresh_form(&client, &refresh)).await;
    assert_eq!(status, 200, "a thief without the key has changed nothing: {next}");
    assert_eq!(world.verified(&next).claims["cnf"]["jkt"], key.thumbprint());
}

#[tokio::test]
async fn n19_a_confidential_client_may_change_its_key_at_each_refresh() {
    let world = World::new().await;
    let ((client, _), key) = (world.confidential_client("client_secret_post").await, Key::new());
    let (_, tokens) = redeem(&world, &client, &key, &[]).await;
    let (_, next) = prove(&world, &Key::new(), &refresh_form(&client, &text(&tokens, "refresh_token"))).await;
    let (status, last, _) = post(&world, TOKEN, None, &refresh_form(&client, &text(&next, "refresh_token"))).await;
    assert_eq!((status, &last["token_type"]), (200, &"Bearer".into()), "{last}");
}

#[tokio::test]
async fn n19_a_code_that_was_asked_for_with_a_key_is_worth_nothing_without_it() {
    let world = World::new().await;
    let (client, key) = (world.client().await, Key::new());
    let bound = key.thumbprint();
    let (status, answer) = redeem(&world, &client, &Key::new(), &[("dpop_jkt", &bound)]).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    assert_eq!(redeem(&world, &client, &key, &[("dpop_jkt", &bound)]).await.0, 200);
    let page =
        world.walk(&world.authorize_url(&client, &Pkce::generate(), &[("dpop_jkt", "x")]), "ann@example.com").await;
    assert_eq!(page.query("error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn n19_a_proof_at_the_token_endpoint_is_taken_once_and_only_while_its_nonce_is_good() {
    let world = World::new().await;
    let (client, key) = (world.client().await, Key::new());
    let form = refresh_form(&client, "art_x");
    let (_, _, nonce) = post(&world, TOKEN, Some(&key.proof(&world, TOKEN, None)), &form).await;
    let proof = key.proof(&world, TOKEN, nonce.as_deref());
    assert_eq!(post(&world, TOKEN, Some(&proof), &form).await.1["error"], "invalid_grant", "the proof was good");
    world.restart();
    assert_eq!(post(&world, TOKEN, Some(&proof), &form).await.1["error"], "invalid_dpop_proof");
    assert_eq!(post(&world, TOKEN, Some("x.y.z"), &form).await.1["error"], "invalid_dpop_proof");
    world.clock.advance(std::time::Duration::from_secs(301));
    let late = key.proof(&world, TOKEN, nonce.as_deref());
    assert_eq!(post(&world, TOKEN, Some(&late), &form).await.1["error"], "use_dpop_nonce");
}

#[tokio::test]
async fn n19_dpop_is_announced_where_it_is_on_and_ignored_where_it_is_off() {
    let name = "dpop_signing_alg_values_supported";
    let world = World::new().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"] {
        assert_eq!(world.get_json(path).await.1[name], json!(["RS256", "ES256", "EdDSA"]), "{path}");
    }
    let world = World::with(|options| options.dpop = false).await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"] {
        assert!(world.get_json(path).await.1.get(name).is_none(), "{path}");
    }
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let refresh = text(&tokens, "refresh_token");
    let (status, answer, nonce) =
        post(&world, TOKEN, Some(&Key::new().proof(&world, TOKEN, None)), &refresh_form(&client, &refresh)).await;
    assert_eq!((status, &answer["token_type"], nonce), (200, &"Bearer".into(), None));
}
