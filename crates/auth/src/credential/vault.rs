//! Private keys at rest: AES-256-GCM under the wrapping key, bound to what they are for.
//!
//! A database dump holds no usable secret, and a sealed key moved to another row does not open. While the wrapping key is being replaced the
//! one before still opens, and seals nothing.
use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rand::Rng;

const NONCE: usize = 12;

/// The wrapping key does not open what is stored.
#[derive(Debug, thiserror::Error)]
#[error("a stored key does not open with this wrapping key")]
pub(crate) struct VaultError;

/// Seals and opens private keys.
pub(crate) struct Vault {
    present: Aes256Gcm,
    before: Option<Aes256Gcm>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Vault { .. }")
    }
}

impl Vault {
    /// A vault under this wrapping key, that opens what is sealed under the one before it too.
    pub(crate) fn new(wrapping_key: &[u8; 32], before: Option<&[u8; 32]>) -> Self {
        let before = before.map(|key| Aes256Gcm::new(key.into()));
        Self { present: Aes256Gcm::new(wrapping_key.into()), before }
    }

    /// Seals a secret for one purpose.
    pub(crate) fn seal(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let mut nonce = [0u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: secret, aad: purpose.as_bytes() };
        let sealed = self.present.encrypt(&nonce.into(), payload).expect("a key is far below the cipher's limit");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for the same purpose.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut keys = std::iter::once(&self.present).chain(&self.before);
        keys.find_map(|key| opened(key, purpose, sealed).ok()).ok_or(VaultError)
    }

    /// What was sealed for the same purpose, sealed anew; `None` when that was under the present wrapping key.
    pub(crate) fn renewed(&self, purpose: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        if opened(&self.present, purpose, sealed).is_ok() {
            return Ok(None);
        }
        let before = self.before.as_ref().ok_or(VaultError)?;
        Ok(Some(self.seal(purpose, &opened(before, purpose, sealed)?)))
    }
}

fn opened(key: &Aes256Gcm, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(VaultError)?;
    let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
    key.decrypt(nonce.into(), payload).map_err(|_| VaultError)
}

/// Reads a key of 32 bytes in base64, as the key files hold it.
pub(crate) fn read_key(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

/// A new key as a key file holds it.
pub(crate) fn new_key() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_only_with_its_key_and_for_its_purpose() {
        let key = read_key(&new_key()).expect("it reads back");
        let vault = Vault::new(&key, None);
        let sealed = vault.seal("edge 1", b"private");
        assert_eq!(vault.open("edge 1", &sealed).expect("opens"), b"private");
        assert!(vault.open("edge 2", &sealed).is_err());
        assert!(vault.open("edge 1", &sealed[..5]).is_err());
        assert!(Vault::new(&[0; 32], None).open("edge 1", &sealed).is_err());
        assert!(read_key("c2hvcnQ=").is_none() && read_key("not base64").is_none());
    }

    #[test]
    fn the_key_before_opens_and_seals_nothing() {
        let (old, new) = ([1; 32], [2; 32]);
        let sealed = Vault::new(&old, None).seal("totp 1", b"secret");
        let both = Vault::new(&new, Some(&old));
        assert_eq!(both.open("totp 1", &sealed).expect("opens"), b"secret");
        assert!(both.open("totp 2", &sealed).is_err() && both.renewed("totp 2", &sealed).is_err());
        let renewed = both.renewed("totp 1", &sealed).expect("opens").expect("sealed anew");
        let alone = Vault::new(&new, None);
        assert_eq!(alone.open("totp 1", &renewed).expect("opens"), b"secret");
        assert_eq!(both.renewed("totp 1", &renewed).expect("opens"), None);
        assert!(alone.renewed("totp 1", &sealed).is_err() && Vault::new(&old, None).open("totp 1", &renewed).is_err());
    }
}
