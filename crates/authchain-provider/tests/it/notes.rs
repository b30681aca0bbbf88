//! Notes beside a credential, while others write it too.

use authchain_core::{KeyFilter, Secret, TokenSource};
use futures_util::future::join_all;

use crate::support::{World, credential, drive, key};

#[tokio::test]
async fn a_note_and_a_refresh_at_the_same_time_both_stay() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let (noting, refreshing) = (world.manager(), world.manager());
    let notes = (0..5).map(|n| {
        let (noting, ann) = (noting.clone(), ann.clone());
        async move { noting.note(&ann, |extra| drop(extra.insert(format!("n{n}"), n.into()))).await.unwrap() }
    });
    let scopes = drive();
    let (noted, token) = tokio::join!(join_all(notes), refreshing.access_token(&ann, &scopes));
    assert!(noted.iter().all(|done| *done));
    assert_eq!(token.unwrap().secret().expose(), "new-ann@example.com-1");
    refreshing.flush().await.unwrap();
    let stored = world.manager().credential(&ann).await.unwrap().unwrap();
    assert_eq!(stored.extra.len(), 5, "{:?}", stored.extra);
    assert_eq!(stored.refresh_token, Some(Secret::new("rotated-ann@example.com-1")), "the rotated token is not lost");
}

#[tokio::test]
async fn nothing_is_noted_where_nothing_is_stored() {
    let world = World::new().await;
    let manager = world.manager();
    assert!(!manager.note(&key("nobody@example.com"), |_| {}).await.unwrap());
    assert!(manager.stored(&KeyFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sign_in_is_noted_with_what_was_there_before() {
    let world = World::new().await;
    let (manager, ann) = (world.manager(), key("ann@example.com"));
    for (round, before) in [(1, false), (2, true)] {
        let note = |known: Option<&authchain_core::Credential>,
                    extra: &mut serde_json::Map<String, serde_json::Value>| {
            assert_eq!(known.is_some(), before);
            extra.insert(format!("round {round}"), true.into());
        };
        manager.adopt_with(&ann, credential("ann@example.com"), note).await.unwrap();
    }
    let stored = manager.credential(&ann).await.unwrap().unwrap();
    assert!(stored.extra.contains_key("round 1") && stored.extra.contains_key("round 2"), "notes outlive a sign-in");
}
