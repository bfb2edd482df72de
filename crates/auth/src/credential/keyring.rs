//! The platform's signing keys: made at the first start, kept sealed in the database, opened at each start.
//!
//! The newest key of each kind signs, all of a kind verify. A kid is part of what a key is sealed for.
use api::Clock;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};

use super::{Edge, RefreshKey, Vault, VaultError};
use crate::error::Error;

/// What a key is for; the numbers are those of the database, and of the contract for the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// Internal tokens: Ed25519.
    Internal = 1,
    /// Access tokens: ES256.
    Edge = 2,
    /// Refresh tokens: HMAC.
    Refresh = 3,
}

impl KeyUse {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Internal, Self::Edge, Self::Refresh];

    /// The kind with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i16 == number)
    }
}

/// A key as it is stored.
pub(crate) struct StoredKey {
    /// Number, unique over all kinds.
    pub(crate) key_id: u32,
    /// What it is for.
    pub(crate) kind: KeyUse,
    /// Text id, in JWT headers.
    pub(crate) kid: String,
    /// Public part; empty for a secret key.
    pub(crate) public_key: Vec<u8>,
    /// Private part under the wrapping key.
    pub(crate) sealed_key: Vec<u8>,
}

/// A key to be stored.
pub(crate) struct NewKey {
    /// Number, unique over all kinds.
    pub(crate) key_id: i32,
    /// What it is for.
    pub(crate) kind: KeyUse,
    /// Text id.
    pub(crate) kid: String,
    /// Public part; empty for a secret key.
    pub(crate) public_key: Vec<u8>,
    /// Private part under the wrapping key.
    pub(crate) sealed_key: Vec<u8>,
}

impl NewKey {
    /// Makes a key.
    pub(crate) fn make(vault: &Vault, kind: KeyUse, key_id: i32) -> Result<Self, Error> {
        let (private, public_key) = match kind {
            KeyUse::Internal => generate_internal(),
            KeyUse::Edge => generate_edge()?,
            KeyUse::Refresh => (random(), Vec::new()),
        };
        let named = if public_key.is_empty() { random() } else { public_key.clone() };
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(named)[..16]);
        let sealed_key = vault.seal(&purpose(kind, &kid), &private);
        Ok(Self { key_id, kind, kid, public_key, sealed_key })
    }

    /// The key as it will be read.
    pub(crate) fn stored(self) -> StoredKey {
        let Self { key_id, kind, kid, public_key, sealed_key } = self;
        StoredKey { key_id: key_id.unsigned_abs(), kind, kid, public_key, sealed_key }
    }
}

/// A public key for verifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// What it verifies; never `Refresh`.
    pub(crate) kind: KeyUse,
    /// Number.
    pub(crate) key_id: u32,
    /// Text id.
    pub(crate) kid: String,
    /// 32 raw bytes, or an uncompressed SEC1 point.
    pub(crate) bytes: Vec<u8>,
}

/// The opened keys.
pub(crate) struct Keyring {
    /// Makes internal tokens.
    pub(crate) mint: authz::Mint,
    /// Signs and reads access tokens.
    pub(crate) edge: Edge,
    /// Writes and reads refresh tokens.
    pub(crate) refresh: RefreshKey,
    /// What verifiers get.
    pub(crate) public: Vec<PublicKey>,
}

impl Keyring {
    /// Opens the stored keys, oldest first, of which each kind has at least one.
    ///
    /// # Errors
    /// The wrapping key is another one than that which sealed them.
    pub(crate) fn open(vault: &Vault, keys: &[StoredKey], clock: &Clock) -> Result<Self, VaultError> {
        let newest = |kind| keys.iter().rev().find(|key| key.kind == kind).ok_or(VaultError);
        let private = |key: &StoredKey| vault.open(&purpose(key.kind, &key.kid), &key.sealed_key);
        let (internal, edge, refresh) = (newest(KeyUse::Internal)?, newest(KeyUse::Edge)?, newest(KeyUse::Refresh)?);
        let points =
            keys.iter().filter(|key| key.kind == KeyUse::Edge).map(|key| (key.kid.clone(), key.public_key.clone()));
        let public = keys.iter().filter(|key| key.kind != KeyUse::Refresh);
        let public = public.map(|key| PublicKey {
            kind: key.kind,
            key_id: key.key_id,
            kid: key.kid.clone(),
            bytes: key.public_key.clone(),
        });
        Ok(Self {
            mint: authz::Mint::new(&private(internal)?, internal.key_id, clock.clone()).map_err(|_| VaultError)?,
            edge: Edge::new(&edge.kid, &private(edge)?, points),
            refresh: RefreshKey::new(private(refresh)?.try_into().map_err(|_| VaultError)?),
            public: public.collect(),
        })
    }
}

fn purpose(kind: KeyUse, kid: &str) -> String {
    format!("workos signing key {} {kid}", kind as i16)
}

fn random() -> Vec<u8> {
    let mut bytes = vec![0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn generate_internal() -> (Vec<u8>, Vec<u8>) {
    let (private, public) = authz::generate_key();
    (private.to_vec(), public.to_vec())
}

/// A new P-256 key: PKCS #8 and the uncompressed public point.
pub(super) fn generate_edge() -> Result<(Vec<u8>, Vec<u8>), Error> {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).map_err(Error::fault)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).map_err(Error::fault)?;
    Ok((document.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
}
