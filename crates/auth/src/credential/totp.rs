//! Codes of authenticator apps (RFC 6238) and recovery codes.
//!
//! SHA-1, 6 digits, 30 s, one step to either side: what every app understands. A code that was taken is never taken again; that
//! is for whoever stores the newest step. Recovery codes hold 80 random bits, so their digest needs no slow hash.
use rand::Rng;
use time::OffsetDateTime;
use totp_rs::{Algorithm, Builder, Totp};

use crate::error::Error;

const SECRET: usize = 20;
const CODE: usize = 10;
/// Longest text that can be a code of either kind, blanks and dashes included.
const MOST_BYTES: usize = 64;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The secret that an app and we share: 160 bits.
pub(crate) struct TotpSecret(Vec<u8>);

impl TotpSecret {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut bytes = [0u8; SECRET];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.to_vec())
    }

    /// The secret with these bytes, as the vault gave them.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the vault.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The step whose code this is, among the present one and its two neighbors.
    pub(crate) fn step_of(&self, code: &str, now: OffsetDateTime) -> Result<Option<i64>, Error> {
        let digits: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
        if code.len() > MOST_BYTES || digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        Ok(self.totp("", None)?.check(&digits, seconds).and_then(|step| i64::try_from(step).ok()))
    }

    /// Base32 for typing, and the URI for a QR code. `issuer` and `account` may not hold a colon there; it is left out.
    pub(crate) fn shown(&self, issuer: &str, account: &str) -> Result<(String, String), Error> {
        let plain = |text: &str| text.replace(':', " ");
        let totp = self.totp(&plain(account), Some(plain(issuer)))?;
        Ok((totp.secret().to_base32(), totp.to_url().map_err(Error::fault)?))
    }

    fn totp(&self, account: &str, issuer: Option<String>) -> Result<Totp, Error> {
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(1).with_step_duration(30);
        let builder = builder.with_secret(self.0.clone()).with_account_name(account.to_owned()).with_issuer(issuer);
        builder.build().map_err(Error::fault)
    }
}

/// A new recovery code: four groups of four letters and digits.
pub(crate) fn new_recovery_code() -> String {
    let mut bytes = [0u8; CODE];
    rand::rng().fill_bytes(&mut bytes);
    let mut bits = bytes.iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let mut letters = Vec::with_capacity(19);
    for index in 0..16 {
        if index > 0 && index % 4 == 0 {
            letters.push('-');
        }
        letters.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    letters.into_iter().collect()
}

/// A recovery code as it is compared: without dashes and blanks, in lower case. `None` for what cannot be one.
pub(crate) fn plain_recovery_code(text: &str) -> Option<String> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let plain: String = text
        .chars()
        .filter(|letter| *letter != '-' && !letter.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    (plain.len() == 16 && plain.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, SHA-1, the last six of eight digits.
    #[test]
    fn auth_p09_codes_are_those_of_the_standard_within_one_step() {
        let secret = TotpSecret::of_bytes(b"12345678901234567890".to_vec());
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("in range");
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let step = Some(seconds / 30);
            assert_eq!(secret.step_of(code, at(seconds)).expect("tested"), step);
            assert_eq!(
                secret.step_of(&format!("{} {}", &code[..3], &code[3..]), at(seconds + 30)).expect("tested"),
                step
            );
            assert_eq!(secret.step_of(code, at(seconds - 30)).expect("tested"), step);
            assert_eq!(secret.step_of(code, at(seconds + 60)).expect("tested"), None);
            assert_eq!(secret.step_of(code, at(seconds - 60)).expect("tested"), step.filter(|step| *step < 2));
        }
        for wrong in ["", "28708", "2870820", "28708a", "٢٨٧٠٨٢", &"1".repeat(1000)] {
            assert_eq!(secret.step_of(wrong, at(59)).expect("tested"), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_shown_as_apps_read_it() {
        let (text, uri) = TotpSecret::of_bytes(vec![0; 20]).shown("WorkOS: x", "ada@example.com").expect("shown");
        assert_eq!(text, "A".repeat(32));
        assert!(uri.starts_with("otpauth://totp/") && uri.contains(&text) && uri.contains("issuer=WorkOS"), "{uri}");
    }

    #[test]
    fn auth_p12_a_recovery_code_is_read_in_any_spelling() {
        let code = new_recovery_code();
        assert_eq!((code.len(), code.matches('-').count()), (19, 3));
        let plain = plain_recovery_code(&code).expect("it is one");
        assert_eq!(plain_recovery_code(&format!(" {} ", code.to_uppercase().replace('-', " "))), Some(plain));
        assert_ne!(code, new_recovery_code());
        for wrong in ["", "abcd", "abcd-efgh-ijkl-mno1", &"a".repeat(1000)] {
            assert_eq!(plain_recovery_code(wrong), None);
        }
    }
}
