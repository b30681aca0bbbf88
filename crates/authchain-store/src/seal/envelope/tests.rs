//! The format: what opens, what does not, and what a change of keys leaves as it is.

use super::*;

/// Not random at all, so that a vector can be written down: 0, 1, 2, ...
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |bytes| {
        bytes.fill_with(|| {
            next = next.wrapping_add(1);
            next.wrapping_sub(1)
        })
    }
}

fn key(byte: u8) -> (KeyId, Key) {
    (KeyId([byte; 8]), Zeroizing::new([byte; KEY]))
}

fn opener((id, kek): &(KeyId, Key)) -> Opener<'_> {
    Opener { id: *id, kek, user: None }
}

fn sealed() -> Vec<u8> {
    seal(&[opener(&key(7))], b"ann", b"the content", counting()).unwrap()
}

fn open(sealed: &[u8], keys: &[(KeyId, Key)], associated: &[u8]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    open_with(sealed, keys, None, associated)
}

fn open_with(
    sealed: &[u8],
    keys: &[(KeyId, Key)],
    user: Option<u8>,
    associated: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let user = user.map(|user| key(user).1);
    Envelope::parse(sealed)?.open(
        |id| keys.iter().find(|k| k.0 == id).map(|k| &k.1),
        user.as_ref().as_slice(),
        associated,
    )
}

#[test]
fn what_was_sealed_opens() {
    assert_eq!(**open(&sealed(), &[key(7)], b"ann").unwrap(), *b"the content");
    let empty = seal(&[opener(&key(7))], b"", b"", counting()).unwrap();
    assert!(open(&empty, &[key(7)], b"").unwrap().is_empty());
}

#[test]
fn any_recipient_opens_it() {
    let keys = [key(1), key(2), key(3)];
    let recipients: Vec<_> = keys.iter().map(opener).collect();
    let sealed = seal(&recipients, b"ann", b"the content", counting()).unwrap();
    for key in keys {
        assert_eq!(**open(&sealed, &[key], b"ann").unwrap(), *b"the content");
    }
    assert_eq!(open(&sealed, &[key(4)], b"ann"), Err(Flaw::NoKey(vec![key(1).0, key(2).0, key(3).0])));
}

#[test]
fn it_does_not_open_for_another_record() {
    assert_eq!(open(&sealed(), &[key(7)], b"bob"), Err(Flaw::Forged));
}

#[test]
fn another_key_under_the_same_id_does_not_open_it() {
    assert_eq!(open(&sealed(), &[(key(7).0, key(8).1)], b"ann"), Err(Flaw::Forged));
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let good = sealed();
    for i in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[i / 8] ^= 1 << (i % 8);
        assert!(open(&bad, &[key(7)], b"ann").is_err(), "bit {i}");
    }
}

#[test]
fn no_cut_goes_unnoticed() {
    let good = sealed();
    for length in 0..good.len() {
        assert!(open(&good[..length], &[key(7)], b"ann").is_err(), "{length} bytes");
    }
    let longer = [&good[..], b"x"].concat();
    assert_eq!(open(&longer, &[key(7)], b"ann"), Err(Flaw::Forged));
}

#[test]
fn a_newer_version_is_called_so() {
    let mut newer = sealed();
    newer[6] = 2;
    let Err(Flaw::Malformed(why)) = Envelope::parse(&newer).map(|_| ()) else { panic!() };
    assert!(why.contains("newer"), "{why}");
}

#[test]
fn no_salt_or_nonce_comes_twice() {
    let key = key(7);
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
    let seal = || seal(&[opener(&key)], b"ann", b"the content", random).unwrap();
    let seen: std::collections::HashSet<_> = (0..1000)
        .map(|_| {
            let sealed = seal();
            let envelope = Envelope::parse(&sealed).unwrap();
            (*envelope.recipients[0].salt, *envelope.nonce, envelope.content.to_vec())
        })
        .collect();
    assert_eq!(seen.iter().map(|s| s.0).collect::<std::collections::HashSet<_>>().len(), 1000);
    assert_eq!(seen.iter().map(|s| s.1).collect::<std::collections::HashSet<_>>().len(), 1000);
}

/// Sealed for Ann and for Bob, each together with server key 7.
fn for_two_users() -> Vec<u8> {
    let ((id, kek), ann, bob) = (key(7), key(100).1, key(101).1);
    let openers = [&ann, &bob].map(|user| Opener { id, kek: &kek, user: Some(user) });
    seal(&openers, b"ann", b"the content", counting()).unwrap()
}

#[test]
fn a_users_key_opens_it_together_with_the_servers_and_never_alone() {
    let sealed = for_two_users();
    for user in [100, 101] {
        assert_eq!(**open_with(&sealed, &[key(7)], Some(user), b"ann").unwrap(), *b"the content");
        assert_eq!(open_with(&sealed, &[key(8)], Some(user), b"ann"), Err(Flaw::NoKey(vec![key(7).0])));
    }
    assert_eq!(open(&sealed, &[key(7)], b"ann"), Err(Flaw::NoUserKey(vec![key(7).0])));
    assert_eq!(open_with(&sealed, &[key(7)], Some(102), b"ann"), Err(Flaw::NoUserKey(vec![key(7).0])));
    assert_eq!(open_with(&sealed, &[key(7)], Some(100), b"bob"), Err(Flaw::Forged));
}

#[test]
fn a_new_primary_key_takes_over_and_the_old_one_is_needed_no_more() {
    let keys = [key(8), key(7)];
    let find = |id| keys.iter().find(|k| k.0 == id).map(|k| &k.1);
    for (sealed, user) in [(sealed(), None), (for_two_users(), Some(101))] {
        let envelope = Envelope::parse(&sealed).unwrap();
        let rewrapped = envelope.rewrap(find, (key(8).0, &key(8).1), b"ann", counting()).unwrap().unwrap();
        let envelope = Envelope::parse(&rewrapped).unwrap();
        assert_eq!(envelope.key_ids(), [key(8).0]);
        assert_eq!(**open_with(&rewrapped, &[key(8)], user, b"ann").unwrap(), *b"the content");
        assert_eq!(envelope.rewrap(find, (key(8).0, &key(8).1), b"ann", counting()).unwrap(), None, "once is enough");
    }
}

#[test]
fn a_recipient_whose_key_is_not_at_hand_stays() {
    let (at_hand, elsewhere, primary) = (key(1), key(2), key(3));
    let sealed = seal(&[opener(&at_hand), opener(&elsewhere)], b"ann", b"the content", counting()).unwrap();
    let keys = [primary.clone(), at_hand];
    let find = |id| keys.iter().find(|k| k.0 == id).map(|k| &k.1);
    let envelope = Envelope::parse(&sealed).unwrap();
    let rewrapped = envelope.rewrap(find, (primary.0, &primary.1), b"ann", counting()).unwrap().unwrap();
    for key in [primary, elsewhere] {
        assert_eq!(**open(&rewrapped, &[key], b"ann").unwrap(), *b"the content");
    }
}

#[test]
fn a_forged_envelope_is_not_wrapped_anew() {
    let mut forged = sealed();
    forged[50] ^= 1;
    let keys = [key(7), key(8)];
    let find = |id| keys.iter().find(|k| k.0 == id).map(|k| &k.1);
    let rewrapped = Envelope::parse(&forged).unwrap().rewrap(find, (key(8).0, &key(8).1), b"ann", counting());
    assert_eq!(rewrapped, Err(Flaw::Forged));
}
