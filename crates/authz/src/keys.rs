//! Public keys that verify internal tokens, and the making of new key pairs. Ed25519 only.
//!
//! The key id of a token is an unsigned hint: an unknown one is refused, none too, and a key that has gone verifies nothing,
//! also not what was verified a moment ago.
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use biscuit_auth::{Algorithm, KeyPair, PublicKey};
use bytes::Bytes;
use proto::auth::v1::list_verify_keys_response as wire;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("an Ed25519 key has 32 bytes that stand for a point of the curve")]
pub struct KeyError;

/// A public key and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyKey {
    /// The id that tokens name.
    pub key_id: u32,
    /// 32 bytes.
    pub public_key: Bytes,
}

impl VerifyKey {
    /// Reads a key as `auth` lists it; `None` for keys of edge tokens.
    #[must_use]
    pub fn parse(key: &wire::VerifyKey) -> Option<Self> {
        let internal = key.r#use() == wire::verify_key::Use::Internal;
        internal.then(|| Self { key_id: key.key_id, public_key: key.public_key.clone() })
    }
}

/// The keys in force. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Keys(Arc<RwLock<Arc<HashMap<u32, PublicKey>>>>);

impl Keys {
    /// These keys.
    #[must_use]
    pub fn new(keys: Vec<VerifyKey>) -> Self {
        let all = Self::default();
        all.replace(keys);
        all
    }

    /// Puts these keys in the place of all others. A key that is no Ed25519 key is left out and logged.
    pub fn replace(&self, keys: Vec<VerifyKey>) {
        let mut next = HashMap::with_capacity(keys.len());
        for key in keys {
            match PublicKey::from_bytes(&key.public_key, Algorithm::Ed25519) {
                Ok(public) => drop(next.insert(key.key_id, public)),
                Err(_) => tracing::warn!(key_id = key.key_id, "verify key is no ed25519 key"),
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// There is no key: nothing can be verified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn get(&self, key_id: u32) -> Option<PublicKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key_id).copied()
    }
}

/// A new key pair: (private, public), 32 bytes each.
#[must_use]
pub fn generate_key() -> (Bytes, Bytes) {
    let pair = KeyPair::new_with_algorithm(Algorithm::Ed25519);
    (Bytes::copy_from_slice(&pair.private().to_bytes()), Bytes::from(pair.public().to_bytes()))
}
