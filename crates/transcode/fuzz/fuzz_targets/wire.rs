//! Any bytes from a backend: refused, or printed as JSON that reads back as the message prost-reflect sees.
#![no_main]
libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    let route = world::echo();
    let message = &route.method().input;
    let read = world::is_declared(message, wire) && world::DynamicMessage::decode(message.clone(), wire).is_ok();
    if world::printed(&route, wire).is_some() && read {
        world::agrees(&route, &route, wire);
    }
});
