//! Secrets: how they are made, kept, tested and signed. The only place that names argon2, jsonwebtoken, totp-rs and webauthn-rs.
//!
//! No type in here prints what it holds. Random secrets of 256 bits are stored as SHA-256; passwords as Argon2id with a pepper that
//! is not in the database; private keys under AES-256-GCM with a wrapping key that is not in the database either.

mod device;
mod handle;
mod hash;
mod id_token;
mod jwt;
mod keyring;
mod mail;
mod passkey;
mod password;
mod refresh_token;
mod totp;
mod vault;

pub(crate) use device::DeviceKey;
pub(crate) use handle::{Handle, challenge_of, digest};
pub(crate) use hash::{HashPool, PasswordHash};
pub(crate) use id_token::{IdClaims, IdTokens, access_hash};
pub(crate) use jwt::{Actor, Claims, Edge};
pub(crate) use keyring::{GoneKey, KeyUse, Keyring, NewKey, PublicKey, StoredKey};
pub(crate) use mail::MailKey;
pub(crate) use passkey::{Credential, Passkeys, Tested, new_user_handle};
pub(crate) use password::Password;
pub(crate) use refresh_token::{RefreshKey, RefreshToken, hmac};
pub(crate) use totp::{TotpSecret, new_recovery_code, plain_recovery_code};
pub(crate) use vault::{Vault, VaultError, new_key, read_key};
