//! Any bytes from a backend: refused, or printed as JSON that reads back as the message prost-reflect sees.
#![no_main]
libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    let route = world::echo();
    // A field of another wire type is an unknown field to protobuf, and an error to prost-reflect.
    let read = world::DynamicMessage::decode(route.method().input.clone(), wire).is_ok();
    if world::printed(&route, wire).is_some() && read {
        world::agrees(&route, &route, wire);
    }
});
