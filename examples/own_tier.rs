//! A tier of your own: callers of an internal network are known by a key in the header `x-api-key`.
//!
//! Run it with `cargo run -p authchain --example own_tier` and ask with
//! `curl -H 'x-api-key: correct horse battery staple' http://127.0.0.1:8010/`.

use std::sync::Arc;

use authchain::{
    AuthContext, AuthLayer, Chain,
    core::{
        AuthError, AuthRequest, Presented, Principal, ProviderId, Resolver, Scopes, Secret, Tier, Timestamp, UserId,
    },
    tiers::OAuthFallback,
};
use axum::{Extension, Router, routing::get};

/// Knows one caller by one key.
struct ApiKey {
    key: Secret,
    caller: Arc<Principal>,
}

#[async_trait::async_trait]
impl Resolver for ApiKey {
    fn tier(&self) -> Tier {
        Tier::Custom("api_key".into())
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        // Absent passes on; a bad key ends the chain. A request that also presents a token is that token's affair.
        let Some(presented) = request.headers.get("x-api-key") else { return Ok(None) };
        if request.presented != Presented::Nothing {
            return Ok(None);
        }
        let presented = Secret::new(String::from_utf8_lossy(presented.as_bytes()));
        if presented == self.key {
            Ok(Some(self.caller.clone()))
        } else {
            Err(AuthError::InvalidToken("wrong API key"))
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let caller = Principal {
        user: UserId::new("reports@example.com")?,
        email: None,
        provider: ProviderId::google(),
        tier: Tier::Custom("api_key".into()),
        scopes: Scopes::none(),
        client: None,
        grant: None,
        expires_at: Timestamp::NEVER,
    };
    let tier = ApiKey { key: Secret::new("correct horse battery staple"), caller: Arc::new(caller) };
    let chain = Chain::builder().tier(OAuthFallback).before(&Tier::OAuthFallback, tier).build();

    let app = Router::new()
        .route("/", get(|Extension(auth): Extension<AuthContext>| async move { auth.principal().user.to_string() }))
        .route_layer(AuthLayer::new(chain));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8010").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
