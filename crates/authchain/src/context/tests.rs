//! What a tool is told where its caller lacks a scope or has to sign in.

use std::sync::Mutex;

use async_trait::async_trait;
use authchain_core::{ClientId, ProviderId, Secret, SignIn, Timestamp, UserId};
use authchain_google::{CacheOptions, Endpoints};

use super::*;

const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
const GMAIL: &str = "https://www.googleapis.com/auth/gmail.send";
const PHOTOS: &str = "https://www.googleapis.com/auth/photoslibrary.appendonly";

/// Gives everybody a token and remembers whose was asked for.
#[derive(Default)]
struct Source(Mutex<Vec<String>>);

#[async_trait]
impl TokenSource for Source {
    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError> {
        self.0.lock().unwrap().push(key.to_string());
        Ok(AccessToken::new(Secret::new("at"), Timestamp::NEVER, scopes.clone()))
    }
}

fn context(source: &Arc<Source>) -> AuthContext {
    let endpoints = Endpoints::under("http://127.0.0.1:9".parse().unwrap());
    let services = ServiceFactory::new(source.clone(), endpoints, CacheOptions::default()).unwrap();
    let rules = Arc::new(*authchain_google::registry());
    let toolbox = Toolbox::new(source.clone(), services, Arc::default(), rules)
        .sign_in("https://mcp.example.com/auth".parse().unwrap());
    let principal = Principal {
        user: UserId::new("ann@example.com").unwrap(),
        email: Some(Email::new("ann@example.com").unwrap()),
        provider: ProviderId::google(),
        tier: Tier::ProviderSession,
        scopes: [DRIVE, PHOTOS].into_iter().collect(),
        client: ClientId::new("c").ok(),
        grant: Some("g1".into()),
        expires_at: Timestamp::NEVER,
    };
    AuthContext::new(Arc::new(principal), Arc::new(toolbox))
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn each_service_gets_the_credential_of_its_token_group() {
    let source = Arc::new(Source::default());
    let auth = context(&source);
    auth.access_token(DRIVE).await.unwrap();
    auth.access_token(PHOTOS).await.unwrap();
    auth.rest("photos", Some(&PHOTOS.into())).await.unwrap();
    auth.rest("drive", Some(&DRIVE.into())).await.unwrap();
    let asked = source.0.lock().unwrap().clone();
    let (drive, photos) = ("google/ann@example.com", "google/ann@example.com/photos");
    assert_eq!(asked, [drive, photos, photos, drive]);
}

#[tokio::test]
async fn no_token_covers_what_google_grants_apart() {
    let auth = context(&Arc::new(Source::default()));
    let both: Scopes = [DRIVE, PHOTOS].into_iter().collect();
    assert!(matches!(auth.access_token(both).await, Err(AuthError::Configuration(_))));
}

#[tokio::test]
async fn an_account_of_somebody_else_is_refused_before_any_token_is_asked_for() {
    let source = Arc::new(Source::default());
    let outcome = context(&source).with_account("bob@example.com").await;
    assert!(matches!(outcome, Err(AuthError::NotYourAccount(_))));
    assert!(source.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_link_asks_for_what_is_missing_and_names_the_grant_that_lacks_it() {
    let auth = context(&Arc::new(Source::default())).selected().await.unwrap();
    let error = auth.access_token(GMAIL).await.unwrap_err();
    let url = auth.sign_in_url(&error).unwrap();
    assert_eq!(query(&url, "account").as_deref(), Some("ann@example.com"));
    assert_eq!(query(&url, "scopes").as_deref(), Some(GMAIL));
    assert_eq!(query(&url, "grant").as_deref(), Some("g1"));
    // The client may, and the account has not granted it: the grant is as it should be.
    let error = AuthError::InsufficientScope { needed: DRIVE.into(), granted: Scopes::none() };
    assert_eq!(query(&auth.sign_in_url(&error).unwrap(), "grant"), None);
}

#[tokio::test]
async fn a_token_of_another_issuer_gets_no_link_that_would_not_help_it() {
    let auth = context(&Arc::new(Source::default()));
    let theirs = Principal { tier: Tier::JwtClaims, ..auth.principal().clone() };
    let auth = AuthContext { principal: Arc::new(theirs), ..auth };
    let error = auth.access_token(GMAIL).await.unwrap_err();
    assert_eq!(auth.sign_in_url(&error), None);
}

#[tokio::test]
async fn the_link_for_a_dead_credential_is_for_its_account_and_group() {
    let auth = context(&Arc::new(Source::default()));
    let work = Account { provider: ProviderId::google(), user: UserId::new("work@example.com").unwrap() };
    let error = |key| AuthError::SignInNeeded { key, why: SignIn::NeverSignedIn };
    let url = auth.sign_in_url(&error(work.key())).unwrap();
    assert_eq!((query(&url, "account").as_deref(), query(&url, "scopes")), (Some("work@example.com"), None));
    let url = auth.sign_in_url(&error(work.key_in(TokenGroup::new("photos").unwrap()))).unwrap();
    assert_eq!(query(&url, "scopes").as_deref(), Some(PHOTOS));
    assert_eq!(auth.sign_in_url(&AuthError::NotYourAccount("x".into())), None, "no sign-in mends that");
}
