//! Ceremonies with passkeys whose challenges never change, and an authenticator that signs whatever it is told.
use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    credential::passkey::{Credential, Passkeys, Tested},
    error::Error,
};

/// Where the pages are.
pub const ORIGIN: &str = "http://localhost:8080";
/// The challenge of every ceremony.
pub const CHALLENGE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// Id of the credential.
pub const ID: [u8; 16] = [5; 16];
/// How often it had been used when it was registered.
pub const COUNTER: u32 = 5;

static PARTY: LazyLock<Passkeys> = LazyLock::new(|| Passkeys::new(ORIGIN));
static REGISTRATION: LazyLock<String> = LazyLock::new(|| {
    let begun = PARTY.start_registration(Uuid::from_u128(1), ("ada", "Ada"), &[]).expect("begun");
    fixed(&begun.state, &["rs"])
});

/// The authenticator's key, and the credential that was registered for it.
static DEVICE: LazyLock<(EcdsaKeyPair, Credential)> = LazyLock::new(|| {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).expect("made");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, made.as_ref()).expect("a key");
    let (state, answer) = (REGISTRATION.as_str(), answer_of(&attestation(pair.public_key().as_ref())));
    let credential = PARTY.finish_registration(state, &answer).expect("registered");
    (pair, credential)
});

/// The state with the one challenge.
fn fixed(state: &str, way: &[&str]) -> String {
    let mut state: Value = serde_json::from_str(state).expect("JSON");
    let place = way.iter().fold(&mut state, |place, name| &mut place[*name]);
    assert!(place["challenge"].is_string(), "the state has another form: {place}");
    place["challenge"] = CHALLENGE.into();
    state.to_string()
}

/// Authenticator data: of this party, with these flags and this counter (WebAuthn section 6.1).
pub fn authenticator_data(flags: u8, counter: u32) -> Vec<u8> {
    [Sha256::digest(b"localhost").as_slice(), &[flags], &counter.to_be_bytes()].concat()
}

/// A good attestation object of form `none` for this public point.
pub fn attestation(point: &[u8]) -> Vec<u8> {
    // COSE_Key: EC2, ES256, P-256, x, y.
    let key =
        [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], &point[1..33], &[0x22, 0x58, 32], &point[33..]].concat();
    let attested = [&[0; 16][..], &(ID.len() as u16).to_be_bytes(), &ID, &key].concat();
    let data = [authenticator_data(0x45, COUNTER), attested].concat();
    let (length, head) = (data.len() as u8, b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58");
    [&head[..], &[length], &data].concat()
}

/// The browser's answer with this attestation object.
fn answer_of(attestation: &[u8]) -> String {
    let data = json!({"type": "webauthn.create", "challenge": CHALLENGE, "origin": ORIGIN}).to_string();
    let (id, part) = (URL_SAFE_NO_PAD.encode(ID), |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes));
    let response = json!({"attestationObject": part(attestation), "clientDataJSON": part(data.as_bytes())});
    json!({"id": id, "rawId": id, "type": "public-key", "response": response, "extensions": {}}).to_string()
}

/// Registers with this attestation object: id and text of what is stored.
pub fn register(attestation: &[u8]) -> Option<(Vec<u8>, Value)> {
    finish(&answer_of(attestation))
}

/// Registers with any answer.
pub fn finish(answer: &str) -> Option<(Vec<u8>, Value)> {
    match PARTY.finish_registration(&REGISTRATION, answer) {
        Ok(credential) => {
            PARTY.start_one(std::slice::from_ref(&credential)).expect("what is stored can be asked for");
            Some((credential.id, serde_json::from_str(&credential.text).expect("JSON")))
        }
        Err(Error::PasskeyRefused) => None,
        Err(error) => panic!("it is the caller's doing, not ours: {error:?}"),
    }
}

/// What became of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Refused,
    Copied,
    /// With the counter that is stored from now on.
    Good(u64),
}

/// Signs in with any answer.
pub fn test(answer: &str) -> [Outcome; 2] {
    let credential = &DEVICE.1;
    let (any, one) =
        (PARTY.start_any().expect("begun"), PARTY.start_one(std::slice::from_ref(credential)).expect("begun"));
    let states = [fixed(&any.state, &["Anybody", "ast"]), fixed(&one.state, &["Somebody", "ast"])];
    let presented = PARTY.presented(answer);
    states.map(|state| match PARTY.test(&state, answer, credential) {
        Ok(Tested::Good(now)) => {
            assert_eq!(
                (&now.id, presented.as_ref().map(|who| &who.credential).ok()),
                (&credential.id, Some(&credential.id))
            );
            let stored: Value = serde_json::from_str(&now.text).expect("JSON");
            Outcome::Good(stored["cred"]["counter"].as_u64().expect("a counter"))
        }
        Ok(Tested::Copied) => Outcome::Copied,
        Err(Error::PasskeyRefused) => Outcome::Refused,
        Err(error) => panic!("it is the caller's doing, not ours: {error:?}"),
    })
}

/// The answer over these parts, signed by the device.
pub fn signed(authenticator_data: &[u8], client_data: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = [authenticator_data, Sha256::digest(client_data).as_slice()].concat();
    let signature = DEVICE.0.sign(&SystemRandom::new(), &message).expect("signed");
    let response = json!({
        "authenticatorData": part(authenticator_data),
        "clientDataJSON": part(client_data),
        "signature": part(signature.as_ref()),
        "userHandle": part(Uuid::from_u128(1).as_bytes()),
    });
    json!({"id": part(&ID), "rawId": part(&ID), "type": "public-key", "response": response, "extensions": {}})
        .to_string()
}
