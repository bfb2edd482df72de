//! Any value of `Authorization`, and any header and claims of a JWT, signed by us, by others or not at all: what is taken has the
//! signature of the key in force, in its algorithm, and says what the JSON says.
#![no_main]
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use world::{ISSUER, access_token, forge};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let headers = |value: &[u8]| {
        let value = HeaderValue::from_bytes(value).ok()?;
        Some(HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    };
    let signer = usize::from(kind.wrapping_sub(b'0'));
    if signer > 3 {
        assert!(headers(rest).is_none_or(|headers| access_token(&headers).is_none()), "chance has signed");
        return;
    }
    let cut = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (head, claims) = (&rest[..cut], rest.get(cut + 1..).unwrap_or_default());
    let token = forge(head, claims, signer);
    let mut headers = headers(format!("bearer {token}").as_bytes()).expect("ASCII");
    let Some((subject, organization, end)) = access_token(&headers) else { return };
    assert!(signer == 0 && token.len() <= 4096, "{signer} has signed");
    // Names and texts that nobody asks for are passed over unread; only we could have signed such.
    if std::str::from_utf8(claims).is_err() || std::str::from_utf8(head).is_err() {
        return;
    }
    let parse = |part: &[u8]| serde_json::from_slice::<Value>(part).expect("what is read is JSON");
    let (head, said) = (parse(head), parse(claims));
    assert!(head["alg"] == "ES256" && head["kid"] == "e");
    assert!(head["typ"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("at+jwt")));
    let holds = |name: &str| {
        said[name] == ISSUER || said[name].as_array().is_some_and(|all| all.iter().any(|one| one == ISSUER))
    };
    assert!(holds("iss") && holds("aud") && said["sub"] == subject.as_str());
    assert!(said["org"].as_str().unwrap_or_default() == organization && said["exp"].as_f64() == Some(end as f64));
    headers.append(header::AUTHORIZATION, HeaderValue::from_static("bearer x"));
    assert!(access_token(&headers).is_none(), "two are none");
});
