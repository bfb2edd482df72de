//! The text of API keys: `wos_sk_`, 43 characters of chance (256 bits), six of checksum; base62.
//!
//! The edge tells garbage from a key by the checksum, without asking anybody, and scanners tell a leaked key from any other text.
use sha2::{Digest, Sha256};

/// What every key begins with.
pub const PREFIX: &str = "wos_sk_";
const BODY: usize = 43;
const CHECKSUM: usize = 6;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes a key; `chance` gives numbers below 62, of a generator fit for secrets.
pub fn write(mut chance: impl FnMut() -> u8) -> String {
    let body: String = (0..BODY).map(|_| char::from(LETTERS[usize::from(chance() % 62)])).collect();
    let sum = checksum(&body);
    format!("{PREFIX}{body}{sum}")
}

/// The text has the form of a key; whether there is such a key only its owner's service knows.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    rest.len() == BODY + CHECKSUM
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && checksum(&rest[..BODY]) == rest[BODY..]
}

fn checksum(body: &str) -> String {
    let hash = Sha256::digest(body.as_bytes());
    let mut number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let mut text = [0u8; CHECKSUM];
    for letter in text.iter_mut().rev() {
        *letter = LETTERS[(number % 62) as usize];
        number /= 62;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.1 wrote it; written by another program.
    #[test]
    fn auth_b10_a_key_of_version_0_1_is_a_key() {
        assert!(is_well_formed("wos_sk_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn4PMa63"));
    }

    #[test]
    fn auth_t05_a_changed_key_is_recognized_without_asking() {
        let mut next = 0u8;
        let key = write(|| {
            next = (next + 7) % 62;
            next
        });
        assert!(is_well_formed(&key) && key.len() == PREFIX.len() + BODY + CHECKSUM);
        for position in PREFIX.len()..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(&String::from_utf8(bytes).expect("ASCII")), "{position}");
        }
        for garbage in ["", "wos_sk_", "wos_sk_é", &key[1..], &format!("{key}0"), &key.to_uppercase()] {
            assert!(!is_well_formed(garbage), "{garbage}");
        }
    }
}
