//! What mails carry: made of the id of a delivery with a key that is not in the database, so that a mail sent again says the same.
use api::Id;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{digest, hmac};

/// Key of all links and codes in mails.
pub(crate) struct MailKey([u8; 32]);

impl MailKey {
    /// The key that belongs to this pepper.
    pub(crate) fn new(pepper: &[u8; 32]) -> Self {
        Self(hmac(pepper, &[b"workos mail secrets v1"]))
    }

    /// What the link carries: 43 characters of base64url.
    pub(crate) fn token(&self, delivery: Id) -> String {
        URL_SAFE_NO_PAD.encode(hmac(&self.0, &[b"link", delivery.uuid().as_bytes()]))
    }

    /// What is stored of it.
    pub(crate) fn digest(&self, delivery: Id) -> Vec<u8> {
        digest(&self.token(delivery))
    }

    /// Eight digits that may be typed instead.
    pub(crate) fn code(&self, delivery: Id) -> String {
        let bytes = hmac(&self.0, &[b"code", delivery.uuid().as_bytes()]);
        let number = bytes[..8].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:08}", number % 100_000_000)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_delivery_says_the_same_every_time_and_never_what_another_says() {
        let (one, other) = (Id::from_uuid(Uuid::from_u128(1)), Id::from_uuid(Uuid::from_u128(2)));
        let key = MailKey::new(&[1; 32]);
        assert_eq!((key.token(one), key.code(one)), (key.token(one), key.code(one)));
        assert!(key.token(one) != key.token(other) && key.token(one) != MailKey::new(&[2; 32]).token(one));
        assert_eq!((key.token(one).len(), key.code(one).len()), (43, 8));
        assert_eq!(key.digest(one), digest(&key.token(one)));
    }
}
