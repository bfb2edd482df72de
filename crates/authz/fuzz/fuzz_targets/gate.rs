//! Any bytes as a token: what the gate lets pass is within its bounds as the decoder behind it sees it, and is worked through in
//! bounded time; what is accepted speaks for the one person whom our key ever signed for.
#![no_main]
use authz::gate;
use bytes::Bytes;

libfuzzer_sys::fuzz_target!(|token: &[u8]| {
    let passes = gate::check(token).is_ok();
    if passes {
        world::is_within_bounds(token);
    }
    let accepted = world::bounded(|| world::validate(&Bytes::copy_from_slice(token)));
    if let Some(accepted) = accepted {
        assert!(passes, "nothing goes around the gate");
        assert_eq!(accepted, world::presented());
    }
});
