//! Any body: refused, or read so that prost-reflect reads the wire bytes and the printed form reads back as the same.
#![no_main]
use transcode::RequestOptions;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let route = world::echo();
    let strict = route.request(None, Some("application/json"), body, &RequestOptions::default());
    let lenient = RequestOptions { ignore_unknown: true, ..RequestOptions::default() };
    let lenient = route.request(None, Some("application/json"), body, &lenient);
    // No body at all is another thing than one of white space.
    if !body.is_empty() {
        let followed = [body, &[b' '; 64]].concat();
        let followed = route.request(None, Some("application/json"), &followed, &RequestOptions::default());
        assert_eq!(strict.as_ref().ok(), followed.as_ref().ok(), "white space behind a body changes nothing");
    }
    match (strict, lenient) {
        (Ok(wire), Ok(same)) => {
            assert_eq!(wire, same, "what is known is read the same");
            world::agrees(&route, &world::echo(), &wire);
        }
        (Ok(_), Err(problem)) => panic!("the lenient reader refuses what the strict one takes: {problem:?}"),
        (Err(_), Ok(wire)) => world::agrees(&route, &world::echo(), &wire),
        (Err(_), Err(_)) => {}
    }
});
