//! The five tiers, one file each, in the order in which the chain asks them.

mod jwts;
mod t1_jwt_claims;
mod t2_provider_session;
mod t3_session_cache;
mod t4_credential_bridge;
mod t5_oauth_fallback;

pub use t1_jwt_claims::JwtClaims;
pub use t2_provider_session::ProviderSession;
pub use t3_session_cache::SessionCache;
pub use t4_credential_bridge::{CredentialBridge, LocalUser};
pub use t5_oauth_fallback::OAuthFallback;
