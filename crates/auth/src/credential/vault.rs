//! Private keys at rest: AES-256-GCM under the wrapping key, bound to what they are for.
//!
//! A database dump holds no usable secret, and a sealed key moved to another row does not open.
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
pub(crate) struct Vault(Aes256Gcm);

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Vault { .. }")
    }
}

impl Vault {
    /// A vault under this wrapping key.
    pub(crate) fn new(wrapping_key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(wrapping_key.into()))
    }

    /// Seals a secret for one purpose.
    pub(crate) fn seal(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let mut nonce = [0u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: secret, aad: purpose.as_bytes() };
        let sealed = self.0.encrypt(&nonce.into(), payload).expect("a key is far below the cipher's limit");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for the same purpose.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(VaultError)?;
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        self.0.decrypt(nonce.into(), payload).map_err(|_| VaultError)
    }
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
        let vault = Vault::new(&key);
        let sealed = vault.seal("edge 1", b"private");
        assert_eq!(vault.open("edge 1", &sealed).expect("opens"), b"private");
        assert!(vault.open("edge 2", &sealed).is_err());
        assert!(vault.open("edge 1", &sealed[..5]).is_err());
        assert!(Vault::new(&[0; 32]).open("edge 1", &sealed).is_err());
        assert!(read_key("c2hvcnQ=").is_none() && read_key("not base64").is_none());
    }
}
