//! Session tokens: idle time, listing, ending, restarts.

use std::{sync::Arc, time::Duration};

use authchain::{
    Chain,
    core::{
        AuthError, AuthRequest, Clock, Email, ManualClock, ProviderId, Scopes, Secret, StateStore, Timestamp, UserId,
    },
    sessions::{NewSession, Sessions},
    store::MemoryState,
    tiers::{OAuthFallback, SessionCache},
};

use crate::support::request;

const IDLE: Duration = Duration::from_secs(3600);

struct World {
    clock: Arc<ManualClock>,
    state: Arc<dyn StateStore>,
    sessions: Arc<Sessions>,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let state: Arc<dyn StateStore> = Arc::new(MemoryState::new(clock.clone()));
    let sessions = Arc::new(Sessions::new(state.clone(), clock.clone(), IDLE));
    World { clock, state, sessions }
}

fn ann() -> UserId {
    UserId::new("ann@example.com").unwrap()
}

async fn open(sessions: &Sessions, email: &str) -> (Secret, String) {
    let email = Email::new(email).unwrap();
    let new = NewSession {
        user: UserId::from(&email),
        email,
        provider: ProviderId::google(),
        scopes: Scopes::from("a"),
        label: "laptop".into(),
    };
    let (token, session) = sessions.open(new).await.unwrap();
    (token, session.id)
}

async fn who(world: &World, token: &Secret) -> Result<String, AuthError> {
    let chain = Chain::builder().tier(SessionCache::new(world.sessions.clone())).tier(OAuthFallback).build();
    let request = request(Some(token.expose()));
    let principal = chain.resolve(&AuthRequest::of(&request)?).await?;
    Ok(principal.user.to_string())
}

#[tokio::test]
async fn a_widened_session_has_more_at_once_and_only_its_owners_may_be_widened() {
    let world = world();
    let (token, id) = open(&world.sessions, "ann@example.com").await;
    let scopes = async || world.sessions.resolve(token.expose()).await.unwrap().unwrap().scopes.clone();
    assert_eq!(scopes().await, Scopes::from("a"));
    assert!(!world.sessions.widen(&UserId::new("eve@example.com").unwrap(), &id, &"b".into()).await.unwrap());
    assert_eq!(scopes().await, Scopes::from("a"));
    assert!(world.sessions.widen(&ann(), &id, &"b".into()).await.unwrap());
    assert!(world.sessions.look(token.expose()).is_none(), "what was remembered is forgotten");
    assert_eq!(scopes().await, Scopes::from("a b"));
}

#[tokio::test]
async fn a_session_token_is_its_owner() {
    let world = world();
    let (token, _) = open(&world.sessions, "ann@example.com").await;
    assert_eq!(who(&world, &token).await.unwrap(), "ann@example.com");
    assert_eq!(who(&world, &token).await.unwrap(), "ann@example.com");
}

#[tokio::test]
async fn use_keeps_a_session_alive_and_idleness_ends_it() {
    let world = world();
    let (token, _) = open(&world.sessions, "ann@example.com").await;
    for _ in 0..3 {
        world.clock.advance(IDLE - Duration::from_secs(1));
        assert!(who(&world, &token).await.is_ok());
    }
    world.clock.advance(IDLE + Duration::from_secs(1));
    assert!(matches!(who(&world, &token).await, Err(AuthError::InvalidToken("the session has ended"))));
}

#[tokio::test]
async fn an_ended_session_is_refused_at_once() {
    let world = world();
    let (token, id) = open(&world.sessions, "ann@example.com").await;
    assert!(who(&world, &token).await.is_ok());
    assert!(world.sessions.end(&ann(), &id).await.unwrap());
    assert!(who(&world, &token).await.is_err());
    assert!(!world.sessions.end(&ann(), &id).await.unwrap());
}

#[tokio::test]
async fn a_session_ended_elsewhere_is_noticed_within_a_minute() {
    let world = world();
    let (token, id) = open(&world.sessions, "ann@example.com").await;
    assert!(who(&world, &token).await.is_ok());
    let elsewhere = Sessions::new(world.state.clone(), world.clock.clone(), IDLE);
    elsewhere.end(&ann(), &id).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert!(who(&world, &token).await.is_err());
}

#[tokio::test]
async fn nobody_sees_or_ends_the_sessions_of_others() {
    let world = world();
    let (_, of_bob) = open(&world.sessions, "bob@example.com").await;
    open(&world.sessions, "ann@example.com").await;
    let listed = world.sessions.list(&ann()).await.unwrap();
    assert_eq!(listed.iter().map(|s| s.user.as_str()).collect::<Vec<_>>(), ["ann@example.com"]);
    assert!(!world.sessions.end(&ann(), &of_bob).await.unwrap());
}

#[tokio::test]
async fn a_session_outlives_a_restart_when_its_store_does() {
    let mut world = world();
    let (token, _) = open(&world.sessions, "ann@example.com").await;
    world.sessions = Arc::new(Sessions::new(world.state.clone(), world.clock.clone(), IDLE));
    assert!(who(&world, &token).await.is_ok());
}

#[tokio::test]
async fn a_made_up_token_is_refused_and_the_handle_is_no_token() {
    let world = world();
    let (_, id) = open(&world.sessions, "ann@example.com").await;
    for token in ["acs_made-up".to_owned(), format!("acs_{id}")] {
        assert!(who(&world, &Secret::new(token)).await.is_err());
    }
    assert!(world.clock.now() > Timestamp(0));
}
