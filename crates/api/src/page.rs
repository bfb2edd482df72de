//! Pages (AIP-158): sizes, and tokens that are sealed.
//!
//! A page token carries a position, never a right. It is encrypted and bound to the list, its parent, filter and order, so
//! that a token of another list, or one that somebody changed, is refused.
use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::{CommonReason, Error};

const NONCE: usize = 12;
/// Bytes of a sealed position: a way over a hundred resources by name fits.
const BYTES_MAX: usize = 24 * 1024;

/// How many items a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items wanted, at least 1.
    pub size: usize,
}

impl Page {
    /// Reads `page_size`: 0 is `default`, more than `max` is coerced.
    ///
    /// # Errors
    /// FIELD_INVALID when negative.
    pub fn parse(page_size: i32, default: usize, max: usize) -> Result<Self, Error> {
        match usize::try_from(page_size) {
            Err(_) => Err(Error::invalid_field("page_size", "must not be negative; leave it out for the default")),
            Ok(0) => Ok(Self { size: default }),
            Ok(size) => Ok(Self { size: size.min(max) }),
        }
    }
}

/// Seals page tokens (AES-256-GCM). One key for all replicas of a deployment.
#[derive(Clone)]
pub struct Sealer(Arc<Aes256Gcm>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer { .. }")
    }
}

impl Sealer {
    /// A sealer whose key is derived from the deployment's secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let key = Sha256::new().chain_update(b"workos page token v1").chain_update(secret).finalize();
        Self(Arc::new(Aes256Gcm::new_from_slice(&key).expect("SHA-256 gives 32 bytes")))
    }

    /// Seals a position. `context` names the list method, `binding` the parameters that must be the same on the next page.
    #[must_use]
    pub fn seal(&self, context: &str, binding: &[u8], position: &[u8]) -> String {
        let mut nonce = [0u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: position, aad: &bound(context, binding) };
        let sealed = self.0.encrypt(&nonce.into(), payload).expect("a position is far below the cipher's limit");
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    /// Opens a token; an empty one is the first page (`None`).
    ///
    /// # Errors
    /// PAGE_TOKEN_INVALID for a token of another list, filter or order, or one that was changed.
    pub fn open(&self, context: &str, binding: &[u8], token: &str) -> Result<Option<Vec<u8>>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() > NONCE && bytes.len() < BYTES_MAX);
        let bytes = bytes.ok_or_else(invalid)?;
        let (nonce, sealed) = bytes.split_at(NONCE);
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| invalid())?;
        let payload = Payload { msg: sealed, aad: &bound(context, binding) };
        self.0.decrypt(&nonce.into(), payload).map(Some).map_err(|_| invalid())
    }
}

fn bound(context: &str, binding: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(context.as_bytes()).chain_update([0]).chain_update(binding).finalize().to_vec()
}

fn invalid() -> Error {
    let message =
        "page_token is unknown, changed, or belongs to another list, filter or order; start at the first page";
    Error::invalid(CommonReason::PageTokenInvalid, message).violation("page_token", "is not a token of this list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_for_its_own_list_and_key() {
        let sealer = Sealer::new(b"secret");
        let token = sealer.seal("ListDocuments", b"folder", b"position");
        assert_eq!(sealer.open("ListDocuments", b"folder", &token).expect("valid"), Some(b"position".to_vec()));
        assert_eq!(sealer.open("ListDocuments", b"folder", "").expect("first page"), None);
        for (context, binding) in [("ListDocuments", &b"other"[..]), ("ListFolders", b"folder")] {
            assert_eq!(sealer.open(context, binding, &token).expect_err("foreign").reason(), "PAGE_TOKEN_INVALID");
        }
        assert!(Sealer::new(b"other").open("ListDocuments", b"folder", &token).is_err());
        let mut changed = token.clone().into_bytes();
        changed[20] ^= 1;
        assert!(sealer.open("ListDocuments", b"folder", &String::from_utf8_lossy(&changed)).is_err());
    }

    #[test]
    fn page_sizes_are_defaulted_refused_and_coerced() {
        assert_eq!(Page::parse(0, 50, 1000).expect("default").size, 50);
        assert!(Page::parse(-1, 50, 1000).is_err());
        assert_eq!(Page::parse(1_000_000_000, 50, 1000).expect("coerced").size, 1000);
    }
}
