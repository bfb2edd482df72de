//! Any header and any claims, signed by us, by others or not at all, and any text: what is read as an access token, or as an ID
//! token that hints at somebody, says what the JSON says, has our signature in the algorithm of that key, and is never both.
#![no_main]
use serde_json::Value;
use world::token::{ISSUER, NOW, Signer, access, forge, hint};

const ELSEWHERE: [&str; 5] = ["jku", "jwk", "x5u", "x5c", "crit"];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let Some(signer) = Signer::ALL.get(usize::from(kind.wrapping_sub(b'0'))).copied() else {
        let text = String::from_utf8_lossy(rest);
        assert!(access(&text).is_none() && hint(&text).is_none(), "chance has signed");
        return;
    };
    let cut = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (header, claims) = (&rest[..cut], rest.get(cut + 1..).unwrap_or_default());
    let token = forge(header, claims, signer);
    let (access, hint) = (access(&token), hint(&token));
    assert!(access.is_none() || hint.is_none(), "one token is not two");
    let Some(read) = access.as_ref().or(hint.as_ref()) else { return };
    let parse = |part: &[u8]| serde_json::from_slice::<Value>(part).expect("what is read is JSON");
    let (header, said) = (parse(header), parse(claims));
    let algorithm = if signer == Signer::Rsa { "RS256" } else { "ES256" };
    assert!(signer == Signer::Edge || (signer == Signer::Rsa && hint.is_some()), "{signer:?} has signed");
    assert_eq!(header["alg"], algorithm);
    assert_eq!(header["typ"], if access.is_some() { "at+jwt" } else { "JWT" });
    assert_eq!(header["kid"], if signer == Signer::Rsa { "r" } else { "e" });
    assert!(access.is_none() || ELSEWHERE.iter().all(|name| header[*name].is_null()));
    for (name, value) in read.as_object().expect("claims") {
        assert_eq!(&said[name], value, "{name}: {said}");
    }
    assert_eq!(said["iss"], ISSUER);
    if access.is_some() {
        let number = |name: &str| read[name].as_i64().expect("a time");
        assert!(said["aud"] == ISSUER && number("exp") > NOW - 5 && number("iat") <= NOW + 5);
    }
});
