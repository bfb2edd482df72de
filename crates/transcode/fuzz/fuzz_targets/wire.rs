//! Any bytes from a backend: refused, or printed as JSON that reads back as the message prost-reflect sees.
#![no_main]
libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    let route = world::echo();
    if world::printed(&route, wire).is_some() {
        world::agrees(&route, wire);
    }
});
