//! A key of the issuer's, one that is announced, and JWTs over any header and claims, signed by them or by others.
use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use jsonwebtoken::DecodingKey;
use prost_types::Timestamp;
use proto::auth::v1::list_verify_keys_response::VerifyKey;

use crate::filter::auth::token::{bearer, decoding_key, verify};

/// The platform's public URL.
pub const ISSUER: &str = "http://localhost:8080";
/// Now, in seconds since 1970, to the edge; the library asks the machine.
const NOW: i64 = 1_800_000_000;

/// Signing keys: the active one, the announced one, a stranger's.
static KEYS: LazyLock<[EcdsaKeyPair; 3]> = LazyLock::new(|| {
    [(); 3].map(|()| {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("made");
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref()).expect("a key")
    })
});

static KNOWN: LazyLock<Vec<(VerifyKey, DecodingKey)>> = LazyLock::new(|| {
    let known = [("e", NOW), ("soon", NOW + 3600)].into_iter().zip(KEYS.iter());
    known
        .map(|((kid, activate), pair)| {
            let key = VerifyKey {
                kid: kid.to_owned(),
                public_key: pair.public_key().as_ref().to_vec().into(),
                activate_time: Some(Timestamp { seconds: activate, nanos: 0 }),
                ..VerifyKey::default()
            };
            let reading = decoding_key(&key).expect("a point");
            (key, reading)
        })
        .collect()
});

/// A JWT signed by one of the keys; by none for a higher number.
pub fn forge(header: &[u8], claims: &[u8], signer: usize) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = KEYS.get(signer).map(|pair| pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed"));
    format!("{signed}.{}", part(signature.as_ref().map(AsRef::as_ref).unwrap_or_default()))
}

/// Subject, organization and end of the access token in these headers; `None` when there is none, or it is refused.
pub fn access_token(headers: &HeaderMap) -> Option<(String, String, i64)> {
    let token = bearer(headers).ok()??;
    let claims = verify(token, &KNOWN, ISSUER, NOW).ok()?;
    Some((claims.sub, claims.org, claims.exp))
}
