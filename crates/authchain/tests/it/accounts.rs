//! A person's accounts: linked, selected, switched, unlinked; never somebody else's.

use std::{sync::Arc, time::Duration};

use authchain::{
    accounts::{Account, Accounts, Health, SetUp, Unlinked},
    core::{
        AuthError, Credential, CredentialKey, CredentialStatus, CredentialStore, Email, ExactScopes, Expect,
        ManualClock, OAuthClient, Principal, ProviderId, Scopes, StateStore, Timestamp, TokenGroup, UserId,
    },
    provider::{CredentialManager, RefreshOptions},
    store::{MemoryState, MemoryStore},
    tiers::CredentialBridge,
};

use crate::support::person;

const ANN: &str = "ann@example.com";
const WORK: &str = "work@example.com";
const BOB: &str = "bob@example.com";

struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    state: Arc<dyn StateStore>,
    credentials: Arc<CredentialManager>,
    accounts: Arc<Accounts>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let state: Arc<dyn StateStore> = Arc::new(MemoryState::new(clock.clone()));
        Self::over(clock, Arc::new(MemoryStore::new()), state)
    }

    fn over(clock: Arc<ManualClock>, store: Arc<MemoryStore>, state: Arc<dyn StateStore>) -> Self {
        let rules = Arc::new(ExactScopes);
        let credentials =
            CredentialManager::new(store.clone(), Vec::new(), rules, clock.clone(), RefreshOptions::default());
        let accounts = Arc::new(Accounts::new(state.clone(), credentials.clone(), clock.clone()));
        Self { clock, store, state, credentials, accounts }
    }

    /// Another instance over the same stores.
    fn again(&self) -> Self {
        Self::over(self.clock.clone(), self.store.clone(), self.state.clone())
    }

    async fn signs_in(&self, user: &str) {
        self.accounts.sign_in(&account(user).key(), credential(user)).await.unwrap();
    }

    async fn links(&self, owner: &str, user: &str) {
        self.accounts.link(&account(owner), &account(user).key(), credential(user)).await.unwrap();
    }

    async fn selects(&self, caller: &str, requested: &str) -> Result<String, AuthError> {
        let selected = self.accounts.select(&principal(caller), Some(requested)).await?;
        Ok(selected.user.to_string())
    }

    async fn has(&self, key: &CredentialKey) -> bool {
        self.credentials.credential(key).await.unwrap().is_some()
    }
}

fn account(user: &str) -> Account {
    Account { provider: ProviderId::google(), user: UserId::new(user).unwrap() }
}

fn principal(user: &str) -> Principal {
    Principal { email: Some(Email::new(user).unwrap()), ..(*person(user)).clone() }
}

fn credential(user: &str) -> Credential {
    Credential {
        email: Some(Email::new(user).unwrap()),
        subject: Some(format!("id of {user}")),
        access_token: Some("at".into()),
        expires_at: Some(Timestamp(5_000)),
        refresh_token: Some("rt".into()),
        scopes: Scopes::from("drive"),
        token_uri: String::new(),
        client: OAuthClient { id: "client".into(), secret: None },
        status: CredentialStatus::Active,
        granted_at: Timestamp(1_000),
        extra: serde_json::Map::new(),
    }
}

fn refused(outcome: &Result<String, AuthError>) -> bool {
    matches!(outcome, Err(AuthError::NotYourAccount(_)))
}

#[tokio::test]
async fn a_linked_account_is_selected_by_its_address_and_the_primary_one_by_me() {
    let world = World::new();
    world.signs_in(ANN).await;
    assert!(refused(&world.selects(ANN, WORK).await), "nothing is linked yet");
    world.links(ANN, WORK).await;
    for me in ["", "me", "Myself", " ME ", ANN, "Ann@Example.com"] {
        assert_eq!(world.selects(ANN, me).await.unwrap(), ANN, "{me:?}");
    }
    for named in [WORK, " Work@example.com "] {
        assert_eq!(world.selects(ANN, named).await.unwrap(), WORK);
    }
    assert_eq!(world.again().selects(ANN, WORK).await.unwrap(), WORK, "the same after a restart");
}

#[tokio::test]
async fn a_link_holds_in_one_direction_and_for_one_person() {
    let world = World::new();
    world.signs_in(ANN).await;
    world.signs_in(BOB).await;
    world.links(ANN, WORK).await;
    for (caller, requested) in [(BOB, WORK), (BOB, ANN), (ANN, BOB), (WORK, ANN), (ANN, "x"), (ANN, "work@example.co")]
    {
        assert!(refused(&world.selects(caller, requested).await), "{caller} asks for {requested}");
    }
}

#[tokio::test]
async fn accounts_of_other_providers_are_not_mixed_up() {
    let world = World::new();
    world.links(ANN, WORK).await;
    let elsewhere = Principal { provider: ProviderId::new("github").unwrap(), ..principal(ANN) };
    let outcome = world.accounts.select(&elsewhere, Some(WORK)).await;
    assert!(matches!(outcome, Err(AuthError::NotYourAccount(_))));
}

#[tokio::test]
async fn after_a_switch_me_is_the_other_account_until_it_is_unlinked() {
    let world = World::new();
    world.signs_in(ANN).await;
    world.links(ANN, WORK).await;
    world.accounts.switch(&account(ANN), WORK).await.unwrap();
    assert_eq!(world.again().selects(ANN, "me").await.unwrap(), WORK);
    assert_eq!(world.selects(ANN, ANN).await.unwrap(), ANN, "an address means what it says");
    assert!(matches!(world.accounts.switch(&account(ANN), BOB).await, Err(AuthError::NotYourAccount(_))));
    assert_eq!(world.selects(ANN, "").await.unwrap(), WORK, "a refused switch changes nothing");
    world.accounts.unlink(&account(ANN), &account(WORK)).await.unwrap();
    assert_eq!(world.selects(ANN, "me").await.unwrap(), ANN);
    assert!(refused(&world.selects(ANN, WORK).await));
}

#[tokio::test]
async fn switching_back_is_naming_the_primary_account() {
    let world = World::new();
    world.links(ANN, WORK).await;
    world.accounts.switch(&account(ANN), WORK).await.unwrap();
    world.accounts.switch(&account(ANN), ANN).await.unwrap();
    assert_eq!(world.selects(ANN, "me").await.unwrap(), ANN);
}

#[tokio::test]
async fn a_credential_goes_with_the_last_person_who_uses_it() {
    let world = World::new();
    world.links(ANN, WORK).await;
    world.links(BOB, WORK).await;
    assert!(matches!(world.accounts.unlink(&account(ANN), &account(WORK)).await.unwrap(), Unlinked::Kept));
    assert!(world.has(&account(WORK).key()).await);
    assert_eq!(world.selects(BOB, WORK).await.unwrap(), WORK);
    assert!(matches!(world.accounts.unlink(&account(BOB), &account(WORK)).await.unwrap(), Unlinked::Removed(_)));
    assert!(!world.has(&account(WORK).key()).await);
}

#[tokio::test]
async fn an_account_that_signs_in_for_itself_keeps_its_credential() {
    for signs_in_first in [true, false] {
        let world = World::new();
        if signs_in_first {
            world.signs_in(WORK).await;
        }
        world.links(ANN, WORK).await;
        if !signs_in_first {
            world.signs_in(WORK).await;
        }
        let unlinked = world.accounts.unlink(&account(ANN), &account(WORK)).await.unwrap();
        assert!(matches!(unlinked, Unlinked::Kept), "{signs_in_first}");
        assert!(world.has(&account(WORK).key()).await);
    }
}

#[tokio::test]
async fn what_is_not_linked_cannot_be_unlinked_the_primary_account_included() {
    let world = World::new();
    world.signs_in(ANN).await;
    world.signs_in(BOB).await;
    for other in [ANN, BOB, WORK] {
        let outcome = world.accounts.unlink(&account(ANN), &account(other)).await;
        assert!(matches!(outcome, Err(AuthError::NotYourAccount(_))), "{other}");
    }
    assert!(world.has(&account(BOB).key()).await && world.has(&account(ANN).key()).await);
}

#[tokio::test]
async fn an_address_that_was_given_to_somebody_else_is_refused() {
    let world = World::new();
    world.links(ANN, WORK).await;
    let successor = Credential { subject: Some("somebody new".into()), ..credential(WORK) };
    world.accounts.sign_in(&account(WORK).key(), successor).await.unwrap();
    assert!(refused(&world.selects(ANN, WORK).await));
    assert_eq!(world.selects(WORK, "me").await.unwrap(), WORK);
}

#[tokio::test]
async fn links_survive_the_loss_of_the_state_database() {
    let world = World::new();
    world.signs_in(ANN).await;
    world.links(ANN, WORK).await;
    world.links(BOB, WORK).await;
    world.accounts.unlink(&account(BOB), &account(WORK)).await.unwrap();
    let state = Arc::new(MemoryState::new(world.clock.clone()));
    let after = World::over(world.clock.clone(), world.store.clone(), state);
    assert!(refused(&after.selects(ANN, WORK).await), "nobody is let in before it is known");
    assert_eq!(after.accounts.recover().await.unwrap(), 1);
    assert_eq!(after.selects(ANN, WORK).await.unwrap(), WORK);
    assert!(refused(&after.selects(BOB, WORK).await), "what was unlinked stays so");
    assert_eq!(after.accounts.recover().await.unwrap(), 0, "once is enough");
}

#[tokio::test]
async fn links_that_come_with_credentials_of_another_store_are_known_when_they_are_looked_for_again() {
    let (there, here) = (World::new(), World::new());
    there.signs_in(ANN).await;
    there.links(ANN, WORK).await;
    assert_eq!(here.accounts.recover().await.unwrap(), 0, "its state is not new from now on");
    for who in [ANN, WORK] {
        let moved = there.store.get(&account(who).key()).await.unwrap().unwrap();
        here.store.put(&account(who).key(), &moved.value, Expect::Absent).await.unwrap();
    }
    assert!(refused(&here.selects(ANN, WORK).await), "nobody is let in before it is known");
    assert_eq!(here.accounts.recover_again().await.unwrap(), 1);
    assert_eq!(here.selects(ANN, WORK).await.unwrap(), WORK);
}

#[tokio::test]
async fn which_account_is_active_survives_the_loss_of_the_state_database() {
    const CLUB: &str = "ann.club@example.com";
    let world = World::new();
    world.signs_in(ANN).await;
    for other in [WORK, CLUB] {
        world.links(ANN, other).await;
        world.links(BOB, other).await;
    }
    let after_a_loss = async || {
        world.clock.advance(Duration::from_secs(60));
        let state = Arc::new(MemoryState::new(world.clock.clone()));
        let after = World::over(world.clock.clone(), world.store.clone(), state);
        after.accounts.recover().await.unwrap();
        after
    };
    let active = async || {
        let after = after_a_loss().await;
        (after.selects(ANN, "me").await.unwrap(), after.selects(BOB, "me").await.unwrap())
    };
    assert_eq!(active().await, (ANN.into(), BOB.into()), "nobody has switched");
    for to in [WORK, CLUB, ANN, CLUB] {
        world.accounts.switch(&account(ANN), to).await.unwrap();
        assert_eq!(active().await, (to.into(), BOB.into()), "{to}");
    }
    world.signs_in(CLUB).await;
    assert_eq!(active().await.0, CLUB, "signing in again changes nothing");
    world.accounts.unlink(&account(ANN), &account(CLUB)).await.unwrap();
    assert_eq!(active().await.0, ANN, "and not WORK, which was active before");
    world.links(ANN, CLUB).await;
    assert_eq!(active().await.0, ANN, "linked anew, it is one of several");
}

#[tokio::test]
async fn token_groups_of_an_account_are_linked_and_unlinked_together() {
    let world = World::new();
    let photos = account(WORK).key_in(TokenGroup::new("photos").unwrap());
    world.links(ANN, WORK).await;
    let apart = Credential { scopes: Scopes::from("photos"), refresh_token: Some("other".into()), ..credential(WORK) };
    world.accounts.link(&account(ANN), &photos, apart).await.unwrap();
    let kept = world.credentials.credential(&account(WORK).key()).await.unwrap().unwrap();
    assert_eq!((kept.scopes, kept.refresh_token), (Scopes::from("drive"), Some("rt".into())), "not overwritten");
    let list = world.accounts.list(&account(ANN)).await.unwrap();
    let groups: Vec<_> = list[1].credentials.iter().map(|c| c.group.as_str().to_owned()).collect();
    assert_eq!(groups, ["default", "photos"]);
    world.accounts.unlink(&account(ANN), &account(WORK)).await.unwrap();
    assert!(!world.has(&account(WORK).key()).await && !world.has(&photos).await);
}

#[tokio::test]
async fn the_list_says_how_each_account_is() {
    let world = World::new();
    world.signs_in(ANN).await;
    world.links(ANN, WORK).await;
    let status = CredentialStatus::NeedsSignIn { since: Timestamp(1), reason: "invalid_grant".into() };
    let dead = Credential { status, ..credential(BOB) };
    world.accounts.link(&account(ANN), &account(BOB).key(), dead).await.unwrap();
    let list = world.accounts.list(&account(ANN)).await.unwrap();
    let seen: Vec<_> =
        list.iter().map(|a| (a.account.user.as_str(), a.primary, a.active, a.credentials[0].status)).collect();
    let expected =
        [(ANN, true, true, SetUp::Valid), (WORK, false, false, SetUp::Valid), (BOB, false, false, SetUp::NeedsSignIn)];
    assert_eq!(seen, expected);
    let health = world.accounts.validate(&account(ANN)).await.unwrap();
    assert_eq!((health.status, health.recommendations.len()), (Health::Partial, 1));
}

#[tokio::test]
async fn what_the_operator_links_needs_a_stored_credential() {
    let world = World::new();
    let outcome = world.accounts.link_stored(&account(ANN), &account(WORK)).await;
    assert!(matches!(outcome, Err(AuthError::SignInNeeded { .. })));
    world.signs_in(WORK).await;
    world.accounts.link_stored(&account(ANN), &account(WORK)).await.unwrap();
    assert_eq!(world.selects(ANN, WORK).await.unwrap(), WORK);
    assert!(matches!(world.accounts.unlink(&account(ANN), &account(WORK)).await.unwrap(), Unlinked::Kept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_links_at_once_from_two_instances_all_hold() {
    let world = Arc::new(World::new());
    let other = Arc::new(world.again());
    let users: Vec<String> = (0..8).map(|n| format!("account{n}@example.com")).collect();
    let linking = users.iter().enumerate().map(|(n, user)| {
        let (world, user) = (if n % 2 == 0 { world.clone() } else { other.clone() }, user.clone());
        tokio::spawn(async move { world.links(ANN, &user).await })
    });
    for link in linking.collect::<Vec<_>>() {
        link.await.unwrap();
    }
    for user in &users {
        assert_eq!(world.selects(ANN, user).await.unwrap(), *user);
        assert!(refused(&world.selects(BOB, user).await));
    }
}

#[tokio::test]
async fn the_bridge_gives_the_credential_of_the_selected_account() {
    let world = World::new();
    world.links(ANN, WORK).await;
    let bridge = CredentialBridge::new().with_accounts(world.accounts.clone());
    assert_eq!(bridge.select(&principal(ANN), Some(WORK)).await.unwrap(), account(WORK).key());
    assert_eq!(bridge.select(&principal(ANN), None).await.unwrap(), account(ANN).key());
    world.accounts.switch(&account(ANN), WORK).await.unwrap();
    assert_eq!(bridge.select(&principal(ANN), None).await.unwrap(), account(WORK).key());
    let without = CredentialBridge::new();
    assert!(matches!(without.select(&principal(ANN), Some(WORK)).await, Err(AuthError::NotYourAccount(_))));
}
