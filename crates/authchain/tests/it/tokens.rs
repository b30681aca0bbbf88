//! Tiers 1 and 2: tokens of trusted issuers, and of our own server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use authchain::{
    Chain,
    core::{
        AuthError, AuthRequest, ClientId, Clock, Credential, CredentialKey, CredentialStatus, CredentialStore, Email,
        ExactScopes, Expect, ManualClock, OAuthClient, Principal, ProviderId, Scopes, StateStore, Tier, Timestamp,
        TokenSource, UserId,
    },
    grants::{Grant, Grants},
    jwt::{Algorithm, ClaimNames, KeySource, SigningKeys, TrustedIssuer, Verifier},
    provider::{CredentialManager, Provider, ProviderClient, RefreshOptions, http_client},
    store::{MemoryState, MemoryStore},
    tiers::{JwtClaims, OAuthFallback, ProviderSession},
};
use serde_json::{Value, json};

use crate::support::request;

const OURS: &str = "https://mcp.example.com";
const THEIRS: &str = "https://issuer.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";

struct World {
    clock: Arc<ManualClock>,
    ours: Arc<SigningKeys>,
    theirs: Arc<SigningKeys>,
    grants: Arc<Grants>,
    store: Arc<MemoryStore>,
    credentials: Arc<CredentialManager>,
    chain: Chain,
}

fn issuer(name: &str, typ: &str, keys: &Arc<SigningKeys>) -> TrustedIssuer {
    TrustedIssuer {
        issuer: name.into(),
        audiences: vec![RESOURCE.into()],
        types: vec![typ.into()],
        keys: KeySource::Own(keys.clone()),
        claims: ClaimNames::default(),
        algorithms: vec![keys.algorithm()],
        provider: ProviderId::google(),
    }
}

fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000)));
    let shared: Arc<dyn Clock> = clock.clone();
    let ours = Arc::new(SigningKeys::generate(Algorithm::EdDSA).unwrap());
    let theirs = Arc::new(SigningKeys::generate(Algorithm::ES256).unwrap());
    let state: Arc<dyn StateStore> = Arc::new(MemoryState::new(shared.clone()));
    let grants = Arc::new(Grants::new(state, shared.clone(), Duration::from_secs(90 * 24 * 3600)));
    let store = Arc::new(MemoryStore::new());
    let options = RefreshOptions::default();
    let google = Provider::google(OAuthClient { id: "x".into(), secret: None });
    let client = Arc::new(ProviderClient::new(google, http_client().unwrap(), shared.clone()));
    let credentials =
        CredentialManager::new(store.clone(), vec![client], Arc::new(ExactScopes), shared.clone(), options);
    let verifier = |issuer| Arc::new(Verifier::new(vec![issuer], shared.clone()));
    let chain = Chain::builder()
        .tier(JwtClaims::new(verifier(issuer(THEIRS, "jwt", &theirs)), shared.clone()))
        .tier(ProviderSession::new(
            verifier(issuer(OURS, "at+jwt", &ours)),
            grants.clone(),
            credentials.clone(),
            shared.clone(),
        ))
        .tier(OAuthFallback)
        .build();
    World { clock, ours, theirs, grants, store, credentials, chain }
}

impl World {
    async fn who(&self, token: &str) -> Result<Principal, AuthError> {
        let request = request(Some(token));
        let head = AuthRequest::of(&request)?;
        self.chain.resolve(&head).await.map(|principal| (*principal).clone())
    }

    fn claims(&self, issuer: &str) -> Value {
        let now = self.clock.now().0;
        json!({
            "iss": issuer, "aud": RESOURCE, "sub": "ann@example.com", "email": "ann@example.com", "iat": now,
            "exp": now + 3600, "scope": "a b", "client_id": "c", "sid": "g1", "jti": "j",
        })
    }

    fn our_token(&self) -> String {
        self.ours.sign("at+jwt", &self.claims(OURS)).unwrap()
    }

    async fn grant(&self) {
        let email = Email::new("ann@example.com").unwrap();
        let grant = Grant {
            id: "g1".into(),
            user: UserId::from(&email),
            email,
            provider: ProviderId::google(),
            client: ClientId::new("c").unwrap(),
            client_name: "test".into(),
            redirect_uri: None,
            scopes: Scopes::from("a b"),
            added: Scopes::none(),
            resource: RESOURCE.into(),
            created_at: self.clock.now(),
            last_used: self.clock.now(),
            generation: 0,
            rotated_at: self.clock.now(),
            key_id: String::new(),
            bound_to: None,
        };
        self.grants.create(&grant).await.unwrap();
    }
}

#[tokio::test]
async fn a_trusted_issuers_token_names_the_caller() {
    let world = world();
    let token = world.theirs.sign("JWT", &world.claims(THEIRS)).unwrap();
    for _ in 0..2 {
        let caller = world.who(&token).await.unwrap();
        assert_eq!((caller.user.as_str(), caller.tier), ("ann@example.com", Tier::JwtClaims));
        assert_eq!(caller.scopes, Scopes::from("a b"));
    }
}

#[tokio::test]
async fn a_remembered_token_dies_at_its_expiry() {
    let world = world();
    let token = world.theirs.sign("JWT", &world.claims(THEIRS)).unwrap();
    assert!(world.who(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(3600 + 61));
    assert!(matches!(world.who(&token).await, Err(AuthError::InvalidToken(_))));
}

#[tokio::test]
async fn a_token_of_our_own_stands_for_its_grant() {
    let world = world();
    world.grant().await;
    let caller = world.who(&world.our_token()).await.unwrap();
    assert_eq!((caller.user.as_str(), caller.tier), ("ann@example.com", Tier::ProviderSession));
    assert_eq!(caller.grant.as_deref(), Some("g1"));
}

#[tokio::test]
async fn without_its_grant_a_token_of_our_own_is_worth_nothing() {
    let world = world();
    assert!(matches!(world.who(&world.our_token()).await, Err(AuthError::InvalidToken("it was revoked"))));
}

#[tokio::test]
async fn the_end_of_a_grant_ends_a_remembered_token_at_once() {
    let world = world();
    world.grant().await;
    let token = world.our_token();
    assert!(world.who(&token).await.is_ok());
    world.grants.end("g1").await.unwrap();
    assert!(world.who(&token).await.is_err());
}

#[tokio::test]
async fn a_widened_grant_widens_the_tokens_that_are_out_at_once() {
    let world = world();
    world.grant().await;
    let token = world.our_token();
    assert_eq!(world.who(&token).await.unwrap().scopes, Scopes::from("a b"));
    let (ann, eve) = (UserId::new("ann@example.com").unwrap(), UserId::new("eve@example.com").unwrap());
    assert!(!world.grants.widen("g1", &eve, &Scopes::from("c")).await.unwrap(), "it is not eve's");
    assert!(!world.grants.widen("g2", &ann, &Scopes::from("c")).await.unwrap(), "there is none");
    assert_eq!(world.who(&token).await.unwrap().scopes, Scopes::from("a b"));
    assert!(world.grants.widen("g1", &ann, &Scopes::from("c")).await.unwrap());
    assert_eq!(world.who(&token).await.unwrap().scopes, Scopes::from("a b c"));
}

#[tokio::test]
async fn n16_a_token_signed_by_another_issuer_in_our_name_is_refused() {
    let world = world();
    world.grant().await;
    let forged = world.theirs.sign("at+jwt", &world.claims(OURS)).unwrap();
    assert!(matches!(world.who(&forged).await, Err(AuthError::InvalidToken(_))));
}

#[tokio::test]
async fn n16_an_id_token_of_our_own_is_no_access_token() {
    let world = world();
    world.grant().await;
    let wrong_type = world.ours.sign("JWT", &world.claims(OURS)).unwrap();
    assert!(matches!(world.who(&wrong_type).await, Err(AuthError::InvalidToken(_))));
}

#[tokio::test]
async fn a_caller_whose_credential_is_dead_gets_a_challenge_until_a_new_sign_in() {
    let world = world();
    world.grant().await;
    let token = world.our_token();
    assert!(world.who(&token).await.is_ok());

    let key = CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap());
    let mut credential = Credential {
        email: None,
        subject: None,
        access_token: None,
        expires_at: None,
        refresh_token: Some("r".into()),
        scopes: Scopes::from("a b"),
        token_uri: String::new(),
        client: OAuthClient { id: "x".into(), secret: None },
        status: CredentialStatus::NeedsSignIn { since: world.clock.now(), reason: "invalid_grant".into() },
        granted_at: world.clock.now(),
        extra: serde_json::Map::new(),
    };
    world.store.put(&key, &credential, Expect::Absent).await.unwrap();
    let tool = world.credentials.access_token(&key, &Scopes::none()).await;
    assert!(matches!(tool, Err(AuthError::SignInNeeded { .. })));
    assert!(matches!(world.who(&token).await, Err(AuthError::SignInNeeded { .. })));

    credential.status = CredentialStatus::Active;
    world.credentials.adopt(&key, credential).await.unwrap();
    assert!(world.who(&token).await.is_ok());
}

/// A tier of the library's user that stands before the others.
struct Internal;

#[async_trait]
impl authchain::core::Resolver for Internal {
    fn tier(&self) -> Tier {
        Tier::Custom("internal".into())
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        Ok(request.headers.contains_key("x-internal").then(|| crate::support::person("internal")))
    }
}

#[tokio::test]
async fn a_tier_of_ones_own_goes_where_it_is_put() {
    let chain = Chain::builder().tier(OAuthFallback).before(&Tier::OAuthFallback, Internal).build();
    let mut request = request(None);
    request.headers_mut().insert("x-internal", http::HeaderValue::from_static("1"));
    let caller = chain.resolve(&AuthRequest::of(&request).unwrap()).await.unwrap();
    assert_eq!(caller.user.as_str(), "internal");
}
