//! Number 19 of the checklist: tokens that are bound to a key (RFC 9449), in tiers 1 and 2.

use std::{sync::Arc, time::Duration};

use authchain::{
    Chain, Challenge,
    core::{
        AuthError, AuthRequest, ClientId, Clock, Email, ExactScopes, ManualClock, OAuthClient, Principal, ProviderId,
        Scopes, StateStore, Tier, Timestamp, UserId,
    },
    dpop::Dpop,
    grants::{Grant, Grants},
    jwt::{Algorithm, ClaimNames, KeySet, KeySource, PublicKey, SigningKeys, TrustedIssuer, Verifier},
    provider::{CredentialManager, Provider, ProviderClient, RefreshOptions, http_client},
    store::{MemoryState, MemoryStore, seal::Keyring},
    tiers::{JwtClaims, OAuthFallback, ProviderSession},
};
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request};
use serde_json::{Value, json};

const OURS: &str = "https://mcp.example.com";
const THEIRS: &str = "https://issuer.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";

/// A key of a client.
struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
    }

    fn thumbprint(&self) -> String {
        PublicKey::from_jwk(&self.jwk()).unwrap().thumbprint()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

struct World {
    clock: Arc<ManualClock>,
    ours: SigningKeys,
    theirs: SigningKeys,
    dpop: Arc<Dpop>,
    chain: Chain,
    without: Chain,
    grants: Arc<Grants>,
    key: Key,
}

fn verifier(name: &str, typ: &str, keys: &SigningKeys, clock: &Arc<dyn Clock>) -> Arc<Verifier> {
    let issuer = TrustedIssuer {
        issuer: name.into(),
        audiences: vec![RESOURCE.into()],
        types: vec![typ.into()],
        keys: KeySource::Pinned(KeySet::from_jwks(&keys.jwks()).unwrap()),
        claims: ClaimNames::default(),
        algorithms: vec![keys.algorithm()],
        provider: ProviderId::google(),
    };
    Arc::new(Verifier::new(vec![issuer], clock.clone()))
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000)));
    let shared: Arc<dyn Clock> = clock.clone();
    let ours = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let theirs = SigningKeys::generate(Algorithm::ES256).unwrap();
    let state: Arc<dyn StateStore> = Arc::new(MemoryState::new(shared.clone()));
    let grants = Arc::new(Grants::new(state.clone(), shared.clone(), Duration::from_secs(24 * 3600)));
    let google = Provider::google(OAuthClient { id: "x".into(), secret: None });
    let client = Arc::new(ProviderClient::new(google, http_client().unwrap(), shared.clone()));
    let store = Arc::new(MemoryStore::new());
    let options = RefreshOptions::default();
    let credentials = CredentialManager::new(store, vec![client], Arc::new(ExactScopes), shared.clone(), options);
    let dpop = Arc::new(Dpop::new(OURS.parse().unwrap(), &Keyring::ephemeral(), state, shared.clone()));
    let tiers = || {
        let first = JwtClaims::new(verifier(THEIRS, "jwt", &theirs, &shared), shared.clone());
        let verifier = verifier(OURS, "at+jwt", &ours, &shared);
        (first, ProviderSession::new(verifier, grants.clone(), credentials.clone(), shared.clone()))
    };
    let (first, second) = tiers();
    let chain =
        Chain::builder().tier(first.dpop(dpop.clone())).tier(second.dpop(dpop.clone())).tier(OAuthFallback).build();
    let (first, second) = tiers();
    let without = Chain::builder().tier(first).tier(second).tier(OAuthFallback).build();
    let email = Email::new("ann@example.com").unwrap();
    let now = clock.now();
    let grant = Grant {
        id: "g1".into(),
        user: UserId::from(&email),
        email,
        provider: ProviderId::google(),
        client: ClientId::new("c").unwrap(),
        client_name: "test".into(),
        redirect_uri: None,
        scopes: Scopes::from("a b"),
        resource: RESOURCE.into(),
        created_at: now,
        last_used: now,
        generation: 0,
        rotated_at: now,
        key_id: String::new(),
        bound_to: None,
        added: Scopes::none(),
    };
    grants.create(&grant).await.unwrap();
    World { clock, ours, theirs, dpop, chain, without, grants, key: Key::new() }
}

impl World {
    fn claims(&self, issuer: &str, changes: Value) -> Value {
        let now = self.clock.now().0;
        let mut claims = json!({
            "iss": issuer, "aud": RESOURCE, "sub": "ann@example.com", "email": "ann@example.com", "iat": now,
            "exp": now + 3600, "scope": "a b", "client_id": "c", "sid": "g1", "jti": "j",
            "cnf": {"jkt": self.key.thumbprint()},
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    /// A bound token of our own server, and one of a trusted issuer.
    fn tokens(&self) -> [String; 2] {
        [
            self.ours.sign("at+jwt", &self.claims(OURS, json!({}))).unwrap(),
            self.theirs.sign("JWT", &self.claims(THEIRS, json!({}))).unwrap(),
        ]
    }

    fn proof_claims(&self, token: &str, changes: Value) -> Value {
        let ath = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()));
        let jti = format!("{:?}", std::time::Instant::now());
        let mut claims = json!({
            "jti": jti, "htm": "POST", "htu": RESOURCE, "iat": self.clock.now().0, "ath": ath,
            "nonce": self.dpop.nonce(),
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn proof(&self, token: &str, changes: Value) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.jwk()});
        self.key.sign(&header, &self.proof_claims(token, changes))
    }

    async fn ask(&self, chain: &Chain, scheme: &str, token: &str, proofs: &[&str]) -> Result<Principal, AuthError> {
        let mut request = Request::builder().method(Method::POST).uri("/mcp?x=1");
        request = request.header("authorization", format!("{scheme} {token}"));
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        let request = request.body(()).unwrap();
        let head = AuthRequest::of(&request)?;
        chain.resolve(&head).await.map(|principal| (*principal).clone())
    }

    async fn with_proof(&self, token: &str, proof: &str) -> Result<Principal, AuthError> {
        self.ask(&self.chain, "DPoP", token, &[proof]).await
    }
}

#[tokio::test]
async fn n19_a_bound_token_is_taken_in_tiers_1_and_2_with_a_proof_by_its_key() {
    let world = world().await;
    for (token, tier) in world.tokens().iter().zip([Tier::ProviderSession, Tier::JwtClaims]) {
        for _ in 0..2 {
            let principal = world.with_proof(token, &world.proof(token, json!({}))).await.unwrap();
            assert_eq!((principal.user.as_str(), &principal.tier), ("ann@example.com", &tier));
        }
        for htu in ["https://mcp.example.com/mcp?other#x", "HTTPS://MCP.example.com:443/mcp"] {
            assert!(world.with_proof(token, &world.proof(token, json!({"htu": htu}))).await.is_ok(), "{htu}");
        }
    }
}

#[tokio::test]
async fn n19_a_bound_token_without_a_proof_is_refused_also_after_it_was_taken_with_one() {
    let world = world().await;
    for token in world.tokens() {
        world.with_proof(&token, &world.proof(&token, json!({}))).await.unwrap();
        let proof = world.proof(&token, json!({}));
        for (scheme, proofs) in [("Bearer", &[][..]), ("Bearer", &[proof.as_str()]), ("DPoP", &[])] {
            assert!(world.ask(&world.chain, scheme, &token, proofs).await.is_err(), "{scheme}");
        }
        for chain_token in [("Bearer", &token), ("DPoP", &token)] {
            let refused = world.ask(&world.without, chain_token.0, chain_token.1, &[&proof]).await;
            assert!(refused.is_err(), "where DPoP is off a bound token is worth nothing");
        }
    }
}

#[tokio::test]
async fn n19_a_token_bound_in_a_way_that_we_do_not_know_is_no_bearer_token() {
    let world = world().await;
    for cnf in [json!({"x5t#S256": "x"}), json!({}), json!("x"), json!({"jkt": 7})] {
        let token = world.theirs.sign("JWT", &world.claims(THEIRS, json!({"cnf": cnf}))).unwrap();
        assert!(world.ask(&world.chain, "Bearer", &token, &[]).await.is_err(), "{cnf}");
        assert!(world.with_proof(&token, &world.proof(&token, json!({}))).await.is_err(), "{cnf}");
    }
}

#[tokio::test]
async fn n19_a_token_that_is_bound_to_nothing_does_not_pass_as_a_bound_one() {
    let world = world().await;
    let token = world.ours.sign("at+jwt", &world.claims(OURS, json!({"cnf": null}))).unwrap();
    assert!(world.ask(&world.chain, "Bearer", &token, &[]).await.is_ok());
    let refused = world.with_proof(&token, &world.proof(&token, json!({}))).await.unwrap_err();
    assert!(matches!(refused, AuthError::InvalidToken(_)));
}

#[tokio::test]
async fn n19_a_proof_that_is_not_right_in_everything_is_refused() {
    let world = world().await;
    let now = world.clock.now().0;
    for token in world.tokens() {
        let claims = |changes| world.proof_claims(&token, changes);
        let header = |changes: Value| {
            let mut header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": world.key.jwk()});
            header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            world.key.sign(&header, &claims(json!({})))
        };
        let mut private = world.key.jwk();
        private["d"] = json!("AAAA");
        let good = world.proof(&token, json!({}));
        let other = Key::new();
        let others = other.sign(&json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": other.jwk()}), &claims(json!({})));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let changed = format!("{signed}.{first}{}", &signature[1..]);
        let cases = [
            ("another method", world.proof(&token, json!({"htm": "GET"}))),
            ("method in lower case", world.proof(&token, json!({"htm": "post"}))),
            ("another path", world.proof(&token, json!({"htu": "https://mcp.example.com/other"}))),
            ("another host", world.proof(&token, json!({"htu": "https://evil.example/mcp"}))),
            ("plain http", world.proof(&token, json!({"htu": "http://mcp.example.com/mcp"}))),
            ("another token", world.proof("other", json!({}))),
            ("no token", world.proof(&token, json!({"ath": null}))),
            ("no id", world.proof(&token, json!({"jti": null}))),
            ("empty id", world.proof(&token, json!({"jti": ""}))),
            ("no time", world.proof(&token, json!({"iat": null}))),
            ("old", world.proof(&token, json!({"iat": now - 301}))),
            ("from the future", world.proof(&token, json!({"iat": now + 61}))),
            ("another type", header(json!({"typ": "JWT"}))),
            ("no algorithm", header(json!({"alg": "none"}))),
            ("a symmetric algorithm", header(json!({"alg": "HS256"}))),
            ("another algorithm than the key's", header(json!({"alg": "EdDSA"}))),
            ("a critical header", header(json!({"crit": ["x"], "x": 1}))),
            ("a private key", header(json!({"jwk": private}))),
            ("a symmetric key", header(json!({"jwk": {"kty": "oct", "k": "AAAA"}}))),
            ("no key", header(json!({"jwk": null}))),
            ("another's key in the header", header(json!({"jwk": other.jwk()}))),
            ("another's key", others),
            ("changed", changed),
            ("no JWT", "x.y".into()),
            ("too long", format!("{}.{}", "x".repeat(9000), good)),
        ];
        for (case, proof) in cases {
            let refused = world.with_proof(&token, &proof).await.unwrap_err();
            assert!(matches!(refused, AuthError::InvalidDpopProof(_)), "{case}: {refused:?}");
        }
        let two = world.ask(&world.chain, "DPoP", &token, &[&good, &good]).await.unwrap_err();
        assert!(matches!(two, AuthError::InvalidDpopProof(_)));
        assert!(world.with_proof(&token, &good).await.is_ok(), "refusals do not use it up");
    }
}

#[tokio::test]
async fn n19_a_proof_is_taken_once() {
    let world = world().await;
    let [token, _] = world.tokens();
    let proof = world.proof(&token, json!({}));
    let answers = futures_util::future::join_all((0..50).map(|_| world.with_proof(&token, &proof))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn n19_a_proof_without_a_good_nonce_is_told_the_one_to_use() {
    let world = world().await;
    let [token, _] = world.tokens();
    let old = world.dpop.nonce();
    world.clock.advance(Duration::from_secs(301));
    let [fresh_token, _] = world.tokens();
    for nonce in [json!(null), json!("x"), json!(old)] {
        let error =
            world.with_proof(&fresh_token, &world.proof(&fresh_token, json!({"nonce": nonce}))).await.unwrap_err();
        let AuthError::UseDpopNonce { nonce } = &error else { panic!("{error:?}") };
        let response = Challenge::new().response(&error);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["dpop-nonce"].to_str().unwrap()),
            (401, &nonce.as_str())
        );
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.starts_with("DPoP error=\"use_dpop_nonce\"") && challenge.contains("algs=\"RS256 ES256 EdDSA\"")
        );
        let with = world.proof(&token, json!({"nonce": nonce}));
        assert!(world.with_proof(&token, &with).await.is_ok());
    }
}

#[tokio::test]
async fn n19_the_proof_of_a_revoked_grant_opens_nothing() {
    let world = world().await;
    let [token, _] = world.tokens();
    assert!(world.with_proof(&token, &world.proof(&token, json!({}))).await.is_ok());
    world.grants.end("g1").await.unwrap();
    let refused = world.with_proof(&token, &world.proof(&token, json!({}))).await.unwrap_err();
    assert!(matches!(refused, AuthError::InvalidToken(_)));
}

#[tokio::test]
async fn n19_a_token_without_a_grant_names_its_caller_until_it_is_withdrawn() {
    let world = world().await;
    let claims = |changes: Value| {
        let mut claims = world
            .claims(OURS, json!({"cnf": null, "sid": null, "email": null, "sub": "client:robot", "idp": "client"}));
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        world.ours.sign("at+jwt", &claims).unwrap()
    };
    let token = claims(json!({"jti": "t1"}));
    for _ in 0..2 {
        let robot = world.ask(&world.chain, "Bearer", &token, &[]).await.unwrap();
        assert_eq!((robot.user.as_str(), robot.provider.as_str(), robot.email), ("client:robot", "client", None));
    }
    for lacking in [json!({"idp": null}), json!({"jti": null})] {
        assert!(world.ask(&world.chain, "Bearer", &claims(lacking), &[]).await.is_err());
    }
    world.grants.withdraw("t1", world.clock.now() + Duration::from_secs(3600)).await.unwrap();
    assert!(world.ask(&world.chain, "Bearer", &token, &[]).await.is_err(), "at once, although it was remembered");
    assert!(world.ask(&world.chain, "Bearer", &claims(json!({"jti": "t2"})), &[]).await.is_ok());
}
