//! Any form or query: refused, or read as the URL standard reads it, each name once; and what is written of it reads back as the
//! same. Any client in header and form: in one place, and the same however its parts are escaped.
#![no_main]
use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};

const SEVERAL: [&str; 2] = ["audience", "resource"];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (text, authorization) = (&input[..cut], input.get(cut + 1..).unwrap_or_default());
    let Some(query) = world::parameters(text) else { return };
    assert_eq!(world::parameters(query.as_bytes()).as_ref(), Some(&query), "it reads back");
    let pairs = |text: &[u8]| -> Vec<(String, String)> {
        url::form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    };
    let (mut before, mut after) = (pairs(text), pairs(query.as_bytes()));
    let mut names = HashSet::new();
    assert!(before.iter().all(|(name, _)| names.insert(name.clone()) || SEVERAL.contains(&name.as_str())));
    before.sort();
    after.sort();
    assert_eq!(before, after);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(authorization)
        && !authorization.is_empty()
    {
        headers.append(header::AUTHORIZATION, value);
    }
    let Some((id, secret, basic)) = world::client(text, &headers) else { return };
    assert_eq!(basic, !headers.is_empty());
    let pair = format!("{}:{}", world::escaped(id.as_bytes()), world::escaped(secret.as_bytes()));
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).expect("ASCII");
    let again = world::client(b"", &HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
    assert_eq!(again, Some((id, secret, true)));
    assert_eq!(world::unescaped(&world::escaped(input)).as_deref(), Some(input));
});
