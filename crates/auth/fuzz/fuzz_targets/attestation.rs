//! Any attestation object, and any answer to a registration: refused as the caller's doing, or stored as a credential of a user who
//! was verified, that can be asked for and reads back.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let raw = std::str::from_utf8(input).ok().filter(|text| text.starts_with('{'));
    let stored = match raw {
        Some(answer) => world::passkey::finish(answer),
        None => world::passkey::register(input),
    };
    let Some((id, stored)) = stored else { return };
    let credential = &stored["cred"];
    assert_eq!(credential["user_verified"], true);
    assert!(!id.is_empty() && id.len() <= 1023, "WebAuthn section 4 bounds an id");
    assert!(credential["counter"].is_u64() && credential["cred"].is_object());
});
