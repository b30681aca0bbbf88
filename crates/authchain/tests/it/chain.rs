//! The rules between tiers.

use std::sync::atomic::Ordering;

use authchain::{
    Chain,
    core::{AuthError, AuthRequest, Principal, Tier},
    tiers::{CredentialBridge, OAuthFallback},
};

use crate::support::{Script, Scripted, person, request};

async fn ask(chain: &Chain, token: Option<&str>) -> Result<Principal, AuthError> {
    let request = request(token);
    let head = AuthRequest::of(&request)?;
    chain.resolve(&head).await.map(|principal| (*principal).clone())
}

fn two_tiers(first: Scripted, second: Scripted) -> Chain {
    Chain::builder().tier(first).tier(second).tier(OAuthFallback).build()
}

#[tokio::test]
async fn the_first_tier_that_knows_the_caller_ends_the_chain() {
    for waits in [false, true] {
        let mut first = Scripted::new("first", "t", Script::Known(person("ann")));
        first.waits = waits;
        let second = Scripted::new("second", "t", Script::Known(person("bob")));
        let asked = second.asked.clone();
        let chain = two_tiers(first, second);
        assert_eq!(ask(&chain, Some("t")).await.unwrap().user.as_str(), "ann");
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn absent_passes_on() {
    let first = Scripted::new("first", "other", Script::Bad).waiting();
    let chain = two_tiers(first, Scripted::new("second", "t", Script::Known(person("bob"))).waiting());
    assert_eq!(ask(&chain, Some("t")).await.unwrap().user.as_str(), "bob");
}

#[tokio::test]
async fn a_bad_credential_never_falls_through() {
    for waits in [false, true] {
        let mut first = Scripted::new("first", "t", Script::Bad);
        first.waits = waits;
        let second = Scripted::new("second", "t", Script::Known(person("bob")));
        let asked = second.asked.clone();
        let outcome = ask(&two_tiers(first, second), Some("t")).await;
        assert!(matches!(outcome, Err(AuthError::InvalidToken("scripted"))));
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn an_outage_is_an_outage_and_no_bad_token() {
    let first = Scripted::new("first", "t", Script::Down).waiting();
    let chain = two_tiers(first, Scripted::new("second", "t", Script::Known(person("bob"))));
    assert_eq!(ask(&chain, Some("t")).await.unwrap_err().code().http_status(), 503);
}

#[tokio::test]
async fn a_credential_that_nobody_knows_is_a_bad_one() {
    for chain in [
        Chain::builder().tier(OAuthFallback).build(),
        Chain::builder().build(),
        Chain::builder().tier(CredentialBridge::new()).build(),
    ] {
        assert!(matches!(ask(&chain, Some("t")).await, Err(AuthError::InvalidToken(_))));
        assert!(matches!(ask(&chain, None).await, Err(AuthError::MissingCredential)));
    }
}

#[tokio::test]
async fn tiers_can_be_added_dropped_and_put_in_another_order() {
    let tier = |name| Scripted::new(name, "t", Script::Bad);
    let names = |chain: &Chain| chain.tiers().map(|t| t.to_string()).collect::<Vec<_>>();
    let builder = Chain::builder().tier(tier("a")).tier(tier("b")).tier(OAuthFallback);
    let custom = |name: &'static str| Tier::Custom(name.into());
    assert_eq!(names(&builder.clone().before(&custom("b"), tier("x")).build()), ["a", "x", "b", "oauth_fallback"]);
    assert_eq!(names(&builder.clone().without(&custom("a")).build()), ["b", "oauth_fallback"]);
    assert_eq!(names(&builder.order(&[custom("b"), custom("a")]).build()), ["b", "a", "oauth_fallback"]);
}
