//! Any authenticator data and client data, under a good signature, and any answer to a sign-in: only that of this party, for this
//! challenge, with the user present and verified, and a counter that has grown, signs in.
#![no_main]
use serde_json::Value;
use sha2::{Digest, Sha256};
use world::passkey::{CHALLENGE, COUNTER, ORIGIN, Outcome, signed, test};

/// User present, user verified.
const FLAGS: u8 = 0b101;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some(answer) = std::str::from_utf8(input).ok().filter(|text| text.starts_with('{')) {
        assert_eq!(test(answer), [Outcome::Refused; 2], "chance has signed");
        return;
    }
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return };
    let (data, client) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    let outcomes = test(&signed(data, client));
    assert_eq!(outcomes[0], outcomes[1], "both ceremonies hold the same");
    if outcomes[0] == Outcome::Refused {
        return;
    }
    let counter = u32::from_be_bytes(data[33..37].try_into().expect("four bytes"));
    assert_eq!(data[..32], Sha256::digest(b"localhost")[..]);
    assert_eq!(data[32] & FLAGS, FLAGS);
    match outcomes[0] {
        Outcome::Good(stored) => assert!(counter > COUNTER && stored == u64::from(counter)),
        _ => assert!(counter <= COUNTER),
    }
    let client: Value = serde_json::from_slice(client).expect("client data are JSON");
    assert!(client["type"] == "webauthn.get" && client["challenge"] == CHALLENGE);
    let origin = url::Url::parse(client["origin"].as_str().expect("a text")).expect("a URL");
    assert_eq!(origin.origin(), url::Url::parse(ORIGIN).expect("a URL").origin());
});
