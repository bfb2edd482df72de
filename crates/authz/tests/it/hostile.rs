//! Blocks that somebody appended to do harm: the gate refuses them before any work is done for them.
use authz::gate::{self, Refused};
use biscuit_auth::{
    Biscuit, UnverifiedBiscuit,
    builder::{BlockBuilder, Scope},
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::support::World;

fn appended(token: &Bytes, code: &str) -> Vec<u8> {
    let block = BlockBuilder::new().code(code).expect("datalog");
    UnverifiedBiscuit::from(token).expect("a token").append(block).expect("not sealed").to_vec().expect("bytes")
}

#[test]
fn b4_more_than_checks_is_refused() {
    let token = World::new().token(None);
    for (code, expected) in [
        (r#"right("x")"#, Refused::MoreThanChecks),
        (r#"a($x) <- v($x)"#, Refused::MoreThanChecks),
        (r#"check if v(1) trusting previous"#, Refused::MoreThanChecks),
        (r#"check all role($r), $r === "x""#, Refused::Operation),
        (r#"reject if v(1)"#, Refused::Operation),
        (r#"check if role($r), $r.matches("(a+)+$")"#, Refused::Operation),
        (r#"check if role($r), !($r === "x")"#, Refused::Operation),
        (r#"check if v($x), $x + 1 > 0"#, Refused::Operation),
        (r#"check if [1, 2].all($p -> $p > 0)"#, Refused::Operation),
        (r#"check if role($r), $r.length() > 0"#, Refused::Operation),
        (r#"check if v(null)"#, Refused::Operation),
        (r#"check if v([1])"#, Refused::Operation),
        (r#"check if role($a), role($b), role($c)"#, Refused::Bounds),
        (r#"check if v($a), $a === 1, $a === 2, $a === 3"#, Refused::Bounds),
        (r#"check if v(1) or v(1) or v(1) or v(1) or v(1)"#, Refused::Bounds),
        (r#"check if v(1, 2, 3, 4, 5)"#, Refused::Bounds),
    ] {
        assert_eq!(gate::check(&appended(&token, code)), Err(expected), "{code}");
    }
}

#[test]
fn b4_a_block_that_trusts_others_is_refused() {
    let block = BlockBuilder::new().scope(Scope::Previous).code("check if v(1)").expect("datalog");
    let token = UnverifiedBiscuit::from(World::new().token(None)).expect("a token").append(block).expect("not sealed");
    assert_eq!(gate::check(&token.to_vec().expect("bytes")), Err(Refused::MoreThanChecks));
}

#[test]
fn b4_too_many_checks_and_blocks_are_refused() {
    let token = World::new().token(None);
    assert_eq!(gate::check(&appended(&token, &"check if v(1);".repeat(9))), Err(Refused::Bounds));
    assert_eq!(gate::check(&appended(&token, &"check if v(1);".repeat(8))), Ok(()));
    let mut long = token.clone();
    for _ in 0..4 {
        long = appended(&long, "check if v(1)").into();
    }
    assert_eq!(gate::check(&long), Ok(()));
    assert_eq!(gate::check(&appended(&long, "check if v(1)")), Err(Refused::Blocks));
    let mut many = token;
    for _ in 0..3 {
        many = appended(&many, &"check if v(1);".repeat(8)).into();
    }
    assert_eq!(gate::check(&many), Err(Refused::Bounds));
}

#[test]
fn b4_large_sets_and_tokens_are_refused() {
    let token = World::new().token(None);
    let set = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    assert_eq!(gate::check(&appended(&token, &format!("check if v($x), {{{}}}.contains($x)", set(32)))), Ok(()));
    assert_eq!(
        gate::check(&appended(&token, &format!("check if v($x), {{{}}}.contains($x)", set(33)))),
        Err(Refused::Bounds)
    );
    let long = format!(r#"check if role("{}")"#, "x".repeat(4096));
    assert_eq!(gate::check(&appended(&token, &long)), Err(Refused::Size));
}

#[test]
fn b4_a_third_party_block_is_refused() {
    let world = World::new();
    let token = UnverifiedBiscuit::from(world.token(None)).expect("a token");
    let other = biscuit_auth::KeyPair::new();
    let request = token.third_party_request().expect("a request");
    let block = request
        .create_block(&other.private(), BlockBuilder::new().code("check if v(1)").expect("datalog"))
        .expect("a block");
    let token = token.append_third_party(&block.serialize().expect("bytes")).expect("appended");
    assert_eq!(gate::check(&token.to_vec().expect("bytes")), Err(Refused::External));
}

#[test]
fn a_block_without_a_signature_of_ours_still_has_to_pass_the_gate() {
    let root = biscuit_auth::KeyPair::new();
    let forged = Biscuit::builder().root_key_id(7).fact("v(1)").expect("a fact").build(&root).expect("signed");
    let bomb = appended(&forged.to_vec().expect("bytes").into(), r#"check if role($r), $r.matches("(a+)+$")"#);
    assert_eq!(gate::check(&bomb), Err(Refused::Operation));
}

proptest! {
    #[test]
    fn h3_random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = gate::check(&bytes);
    }

    #[test]
    fn h3_a_token_with_random_changes_never_panics(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let world = World::new();
        let mut bytes = appended(&world.token(None), r#"check if rpc($r), {"a", "b"}.contains($r); check if v(1)"#);
        for (index, byte) in changes {
            let length = bytes.len();
            bytes[index % length] = byte;
        }
        let _ = gate::check(&bytes);
        let _ = world.verifier.validate(&bytes.into());
    }
}
