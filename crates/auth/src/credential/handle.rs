//! Handles and codes: 256 random bits, shown once, stored as SHA-256.
//!
//! A random secret needs no slow hash: there is nothing to guess.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};

/// A new secret: its text for the client, its digest for the database.
pub(crate) struct Handle {
    /// 43 characters of base64url.
    pub(crate) text: String,
    /// What is stored.
    pub(crate) digest: Vec<u8>,
}

impl Handle {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        Self { digest: digest(&text), text }
    }
}

/// The PKCE challenge of a verifier, method S256 (RFC 7636 section 4.2).
pub(crate) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// The stored form of a handle that a client sends. Any text has one; only that of a real handle is found.
pub(crate) fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
