//! Any query of a Connect GET: refused, or a message within the limit, which reads back from the query that says the same in base64.
#![no_main]
use base64::{Engine, engine::general_purpose::URL_SAFE};

const LIMIT: usize = 64 * 1024;

libfuzzer_sys::fuzz_target!(|query: &str| {
    let Some(message) = world::connect_query(query, LIMIT) else { return };
    assert!(message.len() <= LIMIT);
    let text = URL_SAFE.encode(&message);
    for text in [world::escaped(text.as_bytes()), text.trim_end_matches('=').to_owned()] {
        let again = format!("connect=v1&encoding=proto&base64=1&message={text}");
        assert_eq!(world::connect_query(&again, LIMIT).as_ref(), Some(&message));
    }
});
