//! Any cookies, and any words about the page behind them: a secret is taken if it is the only one of its name and of the exact form,
//! a secret that was set reads back, and only a page of the same origin counts, as the URL standard compares origins.
#![no_main]
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

const ADDRESSES: [&str; 3] = ["https://app.example", "http://localhost:8080", "http://[::1]"];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // Lines: one cookie header each, the last two `Origin` and `Sec-Fetch-Site` where they are not empty.
    let mut lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let (site, origin) = (lines.pop().unwrap_or_default(), lines.pop().unwrap_or_default());
    let mut headers = HeaderMap::new();
    let fetch = HeaderName::from_static("sec-fetch-site");
    let named =
        lines.iter().map(|line| (header::COOKIE, *line)).chain([(header::ORIGIN, origin), (fetch.clone(), site)]);
    for (name, line) in named.filter(|(_, line)| !line.is_empty()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    for address in ADDRESSES {
        let [session, flow, device] = world::cookies(address, &headers).expect("it may have cookies");
        is_alone(address, "session", session.as_deref(), &headers);
        is_alone(address, "flow", flow.as_deref(), &headers);
        assert!(device.is_none_or(|mark| mark.len() <= 1024));
        assert!(session.is_none() || world::is_shown(address, &headers));
        if let Some(secret) = session {
            let set = world::set_session(address, &secret).expect("a header");
            let sent = HeaderValue::from_str(set.split(';').next().expect("a cookie")).expect("a header");
            let alone = HeaderMap::from_iter([(header::COOKIE, sent)]);
            assert_eq!(world::cookies(address, &alone).expect("it may have cookies")[0].as_ref(), Some(&secret));
        }
        if world::is_same_origin(address, &headers) && !headers.contains_key(&fetch) {
            let named = headers[header::ORIGIN].to_str().expect("ASCII");
            assert_eq!(Url::parse(named).expect("a URL").origin(), Url::parse(address).expect("a URL").origin());
        }
    }
});

/// The secret has 256 bits in base64url, and no other cookie has its name.
fn is_alone(address: &str, kind: &str, secret: Option<&str>, headers: &HeaderMap) {
    let Some(secret) = secret else { return };
    let prefix = if address.starts_with("https") { "__Host-" } else { "" };
    assert!(secret.len() == 43 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    let name = format!("{prefix}workos_{kind}=");
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let found = all.flat_map(|line| line.split(';')).filter(|pair| pair.trim().starts_with(&name)).count();
    assert_eq!(found, 1, "{headers:?}");
}
