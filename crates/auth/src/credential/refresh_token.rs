//! The refresh token: version, session, counter, MAC, checksum; base64url behind the prefix `wos_rt_`.
//!
//! Nothing is stored per token. The MAC is tested before any query, so that guesses never reach the database. Its key is derived per
//! session. The checksum lets scanners recognize a leaked token and typing errors end early.
use api::Id;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

const PREFIX: &str = "wos_rt_";
const VERSION: u8 = 1;
const BODY: usize = 1 + 16 + 8;
const MAC: usize = 16;
const CHECKSUM: usize = 4;

/// Master key of all refresh tokens.
#[derive(Clone)]
pub(crate) struct RefreshKey([u8; 32]);

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// Session it belongs to.
    pub(crate) session: Id,
    /// Its place in the row of rotations.
    pub(crate) counter: i64,
}

impl RefreshKey {
    /// A master key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Writes a token.
    pub(crate) fn write(&self, token: RefreshToken) -> String {
        let mut bytes = Vec::with_capacity(BODY + MAC + CHECKSUM);
        bytes.push(VERSION);
        bytes.extend_from_slice(token.session.uuid().as_bytes());
        bytes.extend_from_slice(&token.counter.to_be_bytes());
        let mac = self.mac(token.session, &bytes);
        bytes.extend_from_slice(&mac);
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token of ours; `None` for anything else.
    pub(crate) fn read(&self, text: &str) -> Option<RefreshToken> {
        let encoded = text.strip_prefix(PREFIX).filter(|encoded| encoded.len() == 60)?;
        let bytes: [u8; BODY + MAC + CHECKSUM] = URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()?;
        let (signed, sum) = bytes.split_at(BODY + MAC);
        let (body, mac) = signed.split_at(BODY);
        if body[0] != VERSION || checksum(signed) != sum {
            return None;
        }
        let session = Id::from_uuid(Uuid::from_slice(&body[1..17]).ok()?);
        let counter = i64::from_be_bytes(body[17..].try_into().ok()?);
        bool::from(self.mac(session, body).ct_eq(mac)).then_some(RefreshToken { session, counter })
    }

    fn mac(&self, session: Id, body: &[u8]) -> [u8; MAC] {
        let key = hmac(&self.0, &[b"workos refresh session v1", session.uuid().as_bytes()]);
        let full = hmac(&key, &[body]);
        full[..MAC].try_into().expect("SHA-256 gives 32 bytes")
    }
}

/// HMAC-SHA-256 over the parts one after the other.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    Sha256::digest(bytes)[..CHECKSUM].try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> RefreshToken {
        RefreshToken { session: Id::from_uuid(Uuid::from_u128(7)), counter: 3 }
    }

    #[test]
    fn a_token_reads_back_only_under_its_key() {
        let text = RefreshKey::new([1; 32]).write(token());
        assert_eq!(RefreshKey::new([1; 32]).read(&text), Some(token()));
        assert_eq!(RefreshKey::new([2; 32]).read(&text), None);
        assert_eq!(RefreshKey::new([1; 32]).read(&text[1..]), None);
    }

    /// As version 0.1 wrote it; written by another program from the description at the top of this file.
    #[test]
    fn auth_b10_a_token_of_version_0_1_is_read_and_written_as_it_was() {
        let key = RefreshKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap_or_default()));
        let session = Id::from_uuid(Uuid::from_u128(0x0192_f0c1_5a5a_7abc_8def_0123_4567_89ab));
        let text = "wos_rt_AQGS8MFaWnq8je8BI0VniasAAAAAAAAAKWqH02Uf0p4GDiWLlavb59NisElQ";
        let token = RefreshToken { session, counter: 41 };
        assert_eq!(key.read(text), Some(token));
        assert_eq!(key.write(token), text);
    }

    proptest! {
        #[test]
        fn a_changed_token_is_nobodys(position in 0usize..45, bit in 0u8..8) {
            let key = RefreshKey::new([1; 32]);
            let mut bytes = URL_SAFE_NO_PAD.decode(&key.write(token())[PREFIX.len()..]).expect("base64");
            bytes[position] ^= 1 << bit;
            let body = BODY + MAC;
            if position < body {
                let sum = checksum(&bytes[..body]);
                bytes[body..].copy_from_slice(&sum);
            }
            prop_assert_eq!(key.read(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes))), None);
        }

        #[test]
        fn auth_h03_any_text_is_read_without_panic(text: String) {
            let key = RefreshKey::new([1; 32]);
            prop_assert_eq!(key.read(&text), None);
            prop_assert_eq!(key.read(&format!("{PREFIX}{text}")), None);
        }
    }
}
