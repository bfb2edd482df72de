//! Any path and query: refused, or read so that prost-reflect reads the wire bytes; what the path binds is never overridden.
#![no_main]
use http::Method;
use transcode::RequestOptions;

libfuzzer_sys::fuzz_target!(|target: &str| {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Ok(route) = world::CONTRACT.route(&Method::GET, &format!("/v1/{path}")) else { return };
    let bare = route.request(None, None, b"", &RequestOptions::default());
    let Ok(wire) = route.request(query, None, b"", &RequestOptions::default()) else { return };
    world::agrees(&route, &world::echo(), &wire);
    let bound = |wire: &[u8]| {
        use world::prost::Message;
        let message = world::DynamicMessage::decode(route.method().input.clone(), wire).unwrap();
        message.get_field_by_name("s").unwrap().into_owned()
    };
    if let Ok(bare) = bare {
        assert_eq!(bound(&bare), bound(&wire), "the query overrode the path");
    }
});
