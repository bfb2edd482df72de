//! The platform's signing keys: made at the first start, replaced in time, kept sealed in the database, opened at each start.
//!
//! Which key of a kind signs, and which verify, is a matter of their times (`model::signing_key`). A kid is part of what a key is
//! sealed for.
use api::Clock;
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Edge, IdTokens, RefreshKey, Vault, VaultError, jwt::EdgeKey};
use crate::{
    error::Error,
    model::{IdTokenAlgorithm, KeyTimes, active},
};

/// What a key is for; the numbers are those of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// Internal tokens: Ed25519.
    Internal = 1,
    /// Access tokens: ES256.
    Edge = 2,
    /// Refresh tokens: HMAC.
    Refresh = 3,
    /// ID tokens of clients that want RS256.
    IdToken = 4,
}

impl KeyUse {
    /// All kinds.
    pub(crate) const ALL: [Self; 4] = [Self::Internal, Self::Edge, Self::Refresh, Self::IdToken];
    /// Those that are replaced in time. The refresh key is the master of all refresh tokens, which live as long as sessions.
    pub(crate) const TURNED: [Self; 3] = [Self::Internal, Self::Edge, Self::IdToken];

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
    /// From when to when it is used.
    pub(crate) times: KeyTimes,
}

impl StoredKey {
    /// Its private part sealed anew, if it is not sealed under the present wrapping key.
    pub(crate) fn renewed(&self, vault: &Vault) -> Result<Option<Vec<u8>>, VaultError> {
        vault.renewed(&purpose(self.kind, &self.kid), &self.sealed_key)
    }
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
    /// From when on it signs.
    pub(crate) activate: OffsetDateTime,
}

impl NewKey {
    /// Makes a key that signs from then on.
    pub(crate) fn make(vault: &Vault, kind: KeyUse, key_id: i32, activate: OffsetDateTime) -> Result<Self, Error> {
        let (private, public_key) = match kind {
            KeyUse::Internal => generate_internal(),
            KeyUse::Edge => generate_edge()?,
            KeyUse::Refresh => (random(), Vec::new()),
            KeyUse::IdToken => generate_id_token()?,
        };
        let named = if public_key.is_empty() { random() } else { public_key.clone() };
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(named)[..16]);
        let sealed_key = vault.seal(&purpose(kind, &kid), &private);
        Ok(Self { key_id, kind, kid, public_key, sealed_key, activate })
    }

    /// The key as it will be read.
    pub(crate) fn stored(self) -> StoredKey {
        let Self { key_id, kind, kid, public_key, sealed_key, activate } = self;
        let times = KeyTimes { activate, expire: None };
        StoredKey { key_id: key_id.unsigned_abs(), kind, kid, public_key, sealed_key, times }
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
    /// 32 raw bytes, an uncompressed SEC1 point, or a big-endian modulus.
    pub(crate) bytes: Vec<u8>,
    /// From when to when it is used.
    pub(crate) times: KeyTimes,
}

/// What is left of a key that is gone: it reads the ID tokens that it has signed, as hints.
pub(crate) struct GoneKey {
    /// Text id.
    pub(crate) kid: String,
    /// What it has signed ID tokens with.
    pub(crate) signed: IdTokenAlgorithm,
    /// An uncompressed SEC1 point, or a big-endian modulus.
    pub(crate) bytes: Vec<u8>,
}

/// The opened keys.
pub(crate) struct Keyring {
    /// Each makes internal tokens while it is active.
    mints: Vec<(KeyTimes, authz::Mint)>,
    /// Signs and reads access tokens.
    pub(crate) edge: Edge,
    /// Signs and reads ID tokens.
    pub(crate) id_tokens: IdTokens,
    /// Writes and reads refresh tokens.
    pub(crate) refresh: RefreshKey,
    /// What verifiers get.
    pub(crate) public: Vec<PublicKey>,
}

impl Keyring {
    /// Opens the stored keys, of which each kind has at least one. Those that are gone are there for hints alone.
    ///
    /// # Errors
    /// The wrapping key is another one than that which sealed them.
    pub(crate) fn open(
        vault: &Vault,
        keys: &[StoredKey],
        gone: Vec<GoneKey>,
        clock: &Clock,
    ) -> Result<Self, VaultError> {
        let private = |key: &StoredKey| vault.open(&purpose(key.kind, &key.kid), &key.sealed_key);
        let (mut mints, mut edge, mut id_tokens, mut refresh) = (Vec::new(), Vec::new(), Vec::new(), None);
        for key in keys {
            let secret = private(key)?;
            match key.kind {
                KeyUse::Internal => {
                    let mint = authz::Mint::new(&secret, key.key_id, clock.clone()).map_err(|_| VaultError)?;
                    mints.push((key.times, mint));
                }
                KeyUse::Edge => {
                    let opened = EdgeKey::open((key.key_id, &key.kid), key.times, &secret, &key.public_key);
                    edge.push(opened.ok_or(VaultError)?);
                }
                KeyUse::IdToken => id_tokens.push((key.kid.clone(), key.times, secret, key.public_key.clone())),
                KeyUse::Refresh => refresh = Some(RefreshKey::new(secret.try_into().map_err(|_| VaultError)?)),
            }
        }
        let public = keys.iter().filter(|key| key.kind != KeyUse::Refresh);
        let public = public.map(|key| PublicKey {
            kind: key.kind,
            key_id: key.key_id,
            kid: key.kid.clone(),
            bytes: key.public_key.clone(),
            times: key.times,
        });
        let gone = gone.into_iter().map(|key| (key.kid, key.signed, key.bytes));
        let id_tokens = IdTokens::open(id_tokens).ok_or(VaultError)?.remembering(gone);
        Ok(Self {
            mints,
            edge: Edge::new(edge),
            id_tokens,
            refresh: refresh.ok_or(VaultError)?,
            public: public.collect(),
        })
    }

    /// The mint that is active now.
    pub(crate) fn mint(&self, now: OffsetDateTime) -> Result<&authz::Mint, Error> {
        active(&self.mints, now).ok_or(Error::KeysAwaited)
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

/// A new RSA key of 2,048 bits: PKCS #8 and the big-endian modulus. Its exponent is 65,537.
pub(super) fn generate_id_token() -> Result<(Vec<u8>, Vec<u8>), Error> {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map_err(Error::fault)?;
    let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&pair).map_err(Error::fault)?;
    // RSAPublicKey (RFC 8017 appendix A.1.1) of this size and exponent: two integers in a sequence, with fixed lengths.
    let public = pair.public_key().as_ref().strip_prefix(&[0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0]);
    let modulus =
        public.and_then(|rest| rest.strip_suffix(&[2, 3, 1, 0, 1])).ok_or_else(|| Error::fault("no RSA-2048 key"))?;
    Ok((private.as_ref().to_vec(), modulus.to_vec()))
}
