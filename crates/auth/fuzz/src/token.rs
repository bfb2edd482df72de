//! Keys of our own, and JWTs over any header and claims, signed by them or by others.
use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    credential::{
        device::DeviceKey,
        id_token::IdTokens,
        jwt::{Edge, EdgeKey},
        refresh_token::{RefreshKey, RefreshToken, hmac},
    },
    model::KeyTimes,
};

/// The platform's public URL.
pub const ISSUER: &str = "http://localhost:8080";
/// The time of every test, in seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).expect("in range")
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Our key of access tokens, ES256.
    Edge,
    /// Our key of ID tokens, RS256.
    Rsa,
    /// Another ES256 key.
    Stranger,
    /// HMAC under the public key of ours.
    Confused,
    /// Nobody.
    Nobody,
}

impl Signer {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Edge, Self::Rsa, Self::Stranger, Self::Confused, Self::Nobody];
}

struct Keys {
    edge: EcdsaKeyPair,
    stranger: EcdsaKeyPair,
    rsa: RsaKeyPair,
    reader: Edge,
    hints: IdTokens,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let times = KeyTimes { activate: now(), expire: None };
    let (private, edge) = p256();
    let reader = Edge::new(vec![EdgeKey::open((1, "e"), times, &private, edge.public_key().as_ref()).expect("a key")]);
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("made");
    let private: Vec<u8> = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).expect("written").as_ref().to_vec();
    let public = pair.public_key().as_ref();
    // RSAPublicKey of this size: 9 bytes before the modulus, 5 behind it.
    let modulus = public[9..public.len() - 5].to_vec();
    let rsa = RsaKeyPair::from_pkcs8(&private).expect("a key");
    let hints = IdTokens::open(vec![("r".to_owned(), times, private, modulus)]).expect("a key");
    Keys { edge, stranger: p256().1, rsa, reader, hints }
});

fn p256() -> (Vec<u8>, EcdsaKeyPair) {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("made");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref()).expect("a key");
    (made.as_ref().to_vec(), pair)
}

/// A JWT.
pub fn forge(header: &[u8], claims: &[u8], signer: Signer) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(header), part(claims));
    let (keys, random) = (&*KEYS, SystemRandom::new());
    let with = |pair: &EcdsaKeyPair| pair.sign(&random, signed.as_bytes()).expect("signed").as_ref().to_vec();
    let signature = match signer {
        Signer::Edge => with(&keys.edge),
        Signer::Stranger => with(&keys.stranger),
        Signer::Rsa => {
            let mut signature = vec![0; keys.rsa.public_modulus_len()];
            keys.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("signed");
            signature
        }
        Signer::Confused => {
            let public =
                sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(keys.edge.public_key()));
            hmac(&public.into(), &[signed.as_bytes()]).to_vec()
        }
        Signer::Nobody => Vec::new(),
    };
    format!("{signed}.{}", part(&signature))
}

/// The claims of an access token as auth reads it, and what it writes of them reads back as the same.
pub fn access(token: &str) -> Option<Value> {
    let claims = KEYS.reader.read(token, ISSUER, now())?;
    if claims.iat == NOW {
        let again = KEYS.reader.sign(&claims).expect("signed");
        assert_eq!(KEYS.reader.read(&again, ISSUER, now()).as_ref(), Some(&claims));
    }
    Some(serde_json::to_value(claims).expect("JSON"))
}

/// The claims of an ID token that is read as a hint.
pub fn hint(token: &str) -> Option<Value> {
    let claims = KEYS.hints.read(&KEYS.reader, token, ISSUER)?;
    Some(serde_json::to_value(claims).expect("JSON"))
}

static REFRESH: LazyLock<RefreshKey> = LazyLock::new(|| RefreshKey::new([1; 32]));
static DEVICE: LazyLock<DeviceKey> = LazyLock::new(|| DeviceKey::new([2; 32]));

/// The one text that a refresh token has, if this is one.
pub fn refresh(text: &str) -> Option<String> {
    REFRESH.read(text).map(|token| REFRESH.write(token))
}

/// A refresh token.
pub fn new_refresh(session: u128, counter: i64) -> String {
    let token = RefreshToken { session: api::Id::from_uuid(Uuid::from_u128(session)), counter };
    let text = REFRESH.write(token);
    assert_eq!(REFRESH.read(&text), Some(token));
    text
}

/// The mark of a device, and whether it is one of this user.
pub fn is_mark(text: &str, user: u128) -> bool {
    DEVICE.is_of(text, api::UserId(api::Id::from_uuid(Uuid::from_u128(user))), now())
}

/// A mark.
pub fn new_mark(user: u128) -> String {
    DEVICE.write(api::UserId(api::Id::from_uuid(Uuid::from_u128(user))), now())
}
