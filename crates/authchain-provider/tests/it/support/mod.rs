//! What the tests stand on: an upstream, a store and a world that puts them together.

mod store;
mod upstream;

use std::{sync::Arc, time::Duration};

use authchain_core::{
    Credential, CredentialKey, CredentialStatus, Email, ExactScopes, ManualClock, OAuthClient, ProviderId, Scopes,
    Secret, Timestamp, UserId,
};
use authchain_provider::{CredentialManager, Provider, ProviderClient, RefreshOptions, RetryPolicy, http_client};

pub(crate) use self::{
    store::TestStore,
    upstream::{Reply, Upstream},
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An upstream, a store and a clock; any number of managers (processes) may be put over them.
pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) store: Arc<TestStore>,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        Self { upstream: Upstream::start().await, store: TestStore::new(), clock }
    }

    pub(crate) fn provider(&self) -> Provider {
        Provider::google_at(&self.upstream.url, oauth_client())
    }

    /// A client that tries three times with hardly a pause.
    pub(crate) fn client(&self) -> Arc<ProviderClient> {
        self.client_of(self.provider(), quick_retry())
    }

    pub(crate) fn client_of(&self, provider: Provider, retry: RetryPolicy) -> Arc<ProviderClient> {
        Arc::new(ProviderClient::new(provider, http_client().unwrap(), self.clock.clone()).with_retry(retry))
    }

    /// One process.
    pub(crate) fn manager(&self) -> Arc<CredentialManager> {
        self.manager_with(options())
    }

    pub(crate) fn manager_with(&self, options: RefreshOptions) -> Arc<CredentialManager> {
        self.manager_over(self.client(), options)
    }

    pub(crate) fn manager_over(&self, client: Arc<ProviderClient>, options: RefreshOptions) -> Arc<CredentialManager> {
        CredentialManager::new(self.store.clone(), vec![client], Arc::new(ExactScopes), self.clock.clone(), options)
    }

    /// Stores a credential whose access token has expired, and tells the upstream of its refresh token.
    pub(crate) fn expired(&self, user: &str) -> CredentialKey {
        self.stored(user, NOW - Duration::from_secs(60))
    }

    /// Stores a credential whose access token ends then, and tells the upstream of its refresh token.
    pub(crate) fn stored(&self, user: &str, expires_at: Timestamp) -> CredentialKey {
        let credential = Credential { expires_at: Some(expires_at), ..credential(user) };
        self.upstream.grant(credential.refresh_token.as_ref().unwrap().expose(), user);
        self.store.set(&key(user), credential);
        key(user)
    }
}

pub(crate) fn options() -> RefreshOptions {
    RefreshOptions {
        winner_waits: [0, 5, 10, 20].map(Duration::from_millis).into(),
        save_pauses: (Duration::from_millis(1), Duration::from_millis(5)),
        ..RefreshOptions::default()
    }
}

pub(crate) fn quick_retry() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        deadline: Duration::from_secs(10),
    }
}

pub(crate) fn oauth_client() -> OAuthClient {
    OAuthClient { id: "client-1".into(), secret: Some(Secret::new("client-hush")) }
}

pub(crate) fn key(user: &str) -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new(user).unwrap())
}

pub(crate) fn drive() -> Scopes {
    Scopes::from("drive")
}

/// Lets other tasks run until something is the case; a test that waits in vain fails instead of hanging.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it never came to be");
}

/// What a user's credential looks like; `old-<user>` and `refresh-<user>` are its tokens.
pub(crate) fn credential(user: &str) -> Credential {
    Credential {
        email: Some(Email::new(user).unwrap()),
        subject: Some(format!("sub-{user}")),
        access_token: Some(Secret::new(format!("old-{user}"))),
        expires_at: Some(NOW + HOUR),
        refresh_token: Some(Secret::new(format!("refresh-{user}"))),
        scopes: Scopes::from("drive email openid"),
        token_uri: "https://elsewhere.example.com/token".into(),
        client: oauth_client(),
        status: CredentialStatus::Active,
        granted_at: NOW - Duration::from_secs(24 * 3600),
        extra: serde_json::Map::new(),
    }
}
