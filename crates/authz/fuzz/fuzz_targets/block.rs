//! Any block, appended to a good token and signed as its holder can sign it: refused by the gate, or worked through in bounded
//! time, and the token is good for nothing that it was not good for before. The same of what the next hop makes of it.
#![no_main]
use world::{CALLS, World};

libfuzzer_sys::fuzz_target!(|block: &[u8]| {
    let world = World::current();
    for token in [&world.weak, &world.strong] {
        let appended = world::append(token, block);
        if authz::gate::check(&appended).is_err() {
            assert!(world::validate(&appended).is_none(), "nothing goes around the gate");
            continue;
        }
        for call in CALLS.iter() {
            let before = world::bounded(|| call.answer(token));
            let after = world::bounded(|| call.answer(&appended));
            assert!(!after.exceeds(&before), "{call:?}: {before:?} became {after:?}");
            let Some(narrowed) = call.narrowed(&appended) else { continue };
            let further = world::bounded(|| call.answer(&narrowed));
            assert!(!further.exceeds(&after), "{call:?}: {after:?} became {further:?}");
        }
    }
});
