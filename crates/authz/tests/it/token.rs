//! Tokens that are not ours, not yet, or not any more.
use std::time::Duration;

use api::Code;
use authz::{Keys, Mint, Revocations, Verifier, generate_key};
use bytes::Bytes;
use proto::Role;

use crate::support::{GET, LIFE, World};

fn assert_invalid(world: &World, token: &[u8], what: &str) {
    let token = Bytes::copy_from_slice(token);
    let error = world.call(GET, Some(&token), Some(&world.document(world.organization))).expect_err(what);
    assert_eq!((error.code(), error.reason()), (Code::Unauthenticated, "CREDENTIAL_INVALID"), "{what}");
}

#[test]
fn a_token_of_a_foreign_key_is_refused_even_under_our_key_id() {
    let world = World::new();
    let (private, _) = generate_key();
    let foreign = Mint::new(&private, 7, world.clock.clone()).expect("a key");
    assert_invalid(&world, &foreign.mint(&world.subject(Some(Role::Owner)), LIFE).expect("it fits"), "same id");
    let unknown = Mint::new(&private, 8, world.clock.clone()).expect("a key");
    assert_invalid(&world, &unknown.mint(&world.subject(Some(Role::Owner)), LIFE).expect("it fits"), "unknown id");
}

#[test]
fn a_token_with_any_byte_changed_is_refused() {
    let world = World::new();
    let token = world.token(Some(Role::Owner));
    for index in 0..token.len() {
        let mut forged = token.to_vec();
        forged[index] ^= 0x01;
        // The last bytes are the secret of the next block: changing them breaks the proof too.
        assert_invalid(&world, &forged, &format!("byte {index}"));
    }
}

#[test]
fn a_cut_or_lengthened_token_is_refused() {
    let world = World::new();
    let token = world.token(Some(Role::Owner));
    for length in [0, 1, token.len() / 2, token.len() - 1] {
        assert_invalid(&world, &token[..length], &format!("cut at {length}"));
    }
    assert_invalid(&world, &[&token[..], &[0x7a, 0x01, 0x00]].concat(), "an unknown field at the end");
    assert_invalid(&world, &[0; 4097], "4097 bytes");
}

#[test]
fn b2_an_expired_token_is_refused() {
    let world = World::new();
    let token = world.token(Some(Role::Owner));
    assert!(world.call(GET, Some(&token), Some(&world.document(world.organization))).is_ok());
    world.clock.advance(LIFE + Duration::from_secs(1));
    world.verifier.revocations().refreshed();
    assert_invalid(&world, &token, "after its end");
}

#[test]
fn b2_a_token_from_the_future_is_refused() {
    let world = World::new();
    let ahead = api::Clock::default();
    ahead.advance(Duration::from_secs(60));
    let (private, public) = generate_key();
    let mint = Mint::new(&private, 9, ahead).expect("a key");
    world.verifier.keys().replace(vec![authz::VerifyKey { key_id: 9, public_key: public }]);
    assert_invalid(&world, &mint.mint(&world.subject(None), LIFE).expect("it fits"), "a minute ahead");
}

#[test]
fn a_key_that_has_gone_verifies_nothing_also_not_what_is_cached() {
    let world = World::new();
    let token = world.token(Some(Role::Owner));
    assert!(world.call(GET, Some(&token), Some(&world.document(world.organization))).is_ok());
    world.verifier.keys().replace(Vec::new());
    assert!(world.verifier.keys().is_empty());
    assert_invalid(&world, &token, "its key is gone");
}

#[test]
fn a_life_above_the_maximum_is_cut() {
    let world = World::new();
    let token = world.mint.mint(&world.subject(Some(Role::Owner)), Duration::from_secs(86_400)).expect("it fits");
    world.clock.advance(authz::LIFE_MAX + Duration::from_secs(1));
    assert_invalid(&world, &token, "after the longest life");
}

#[test]
fn p_256_keys_are_no_keys() {
    let pair = biscuit_auth::KeyPair::new_with_algorithm(biscuit_auth::Algorithm::Secp256r1);
    assert!(Mint::new(&pair.private().to_bytes()[..31], 1, api::Clock::default()).is_err());
    let keys = Keys::new(vec![authz::VerifyKey { key_id: 1, public_key: pair.public().to_bytes().into() }]);
    assert!(keys.is_empty());
}

#[test]
fn b6_a_token_with_a_p_256_key_does_not_pass_the_gate() {
    let world = World::new();
    let root = biscuit_auth::KeyPair::new_with_algorithm(biscuit_auth::Algorithm::Secp256r1);
    let token =
        biscuit_auth::Biscuit::builder().root_key_id(7).fact("v(1)").expect("a fact").build(&root).expect("signed");
    assert_invalid(&world, &token.to_vec().expect("bytes"), "root of another kind");
}

#[test]
fn a_token_without_a_key_id_is_refused() {
    let world = World::new();
    let (private, public) = generate_key();
    world.verifier.keys().replace(vec![authz::VerifyKey { key_id: 0, public_key: public }]);
    let key = biscuit_auth::PrivateKey::from_bytes(&private, biscuit_auth::Algorithm::Ed25519).expect("a key");
    let token =
        biscuit_auth::Biscuit::builder().fact("v(1)").expect("a fact").build(&biscuit_auth::KeyPair::from(&key));
    assert_invalid(&world, &token.expect("signed").to_vec().expect("bytes"), "no key id");
}

#[test]
fn values_in_a_token_are_data_and_never_datalog() {
    let world = World::new();
    let mut subject = world.subject(None);
    subject.client = r#"x"); role("owner"); tenant("y"#.to_owned();
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    let caller = world.call(GET, Some(&token), Some(&world.document(world.organization))).expect("a member");
    assert!(!caller.granted());
}

#[test]
fn validate_tells_whose_token_it_is() {
    let world = World::new();
    let presented = world.verifier.validate(&world.token(None)).expect("good");
    assert_eq!((presented.user, presented.organization), (world.user, Some(world.organization)));
    assert_eq!(presented.session.as_deref(), Some(world.session.as_str()));
    let stranger = Verifier::new("file", Keys::default(), Revocations::new(world.clock.clone()), world.clock.clone());
    assert!(stranger.validate(&world.token(None)).is_err());
}
