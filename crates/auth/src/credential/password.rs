//! Which passwords are good enough (NIST SP 800-63B-4 section 3.1.1.2).
//!
//! At least 15 code points where it stands alone and 8 beside a second factor, at most 1,024 bytes, nothing trimmed or truncated, no rules of composition. Refused are known passwords,
//! known words with digits or signs around them, one piece repeated, sequences, and the names of service, organization and
//! user. The lists are part of the program, so there is no start without them.
use std::{collections::HashSet, sync::LazyLock};

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Unfit};

/// Least code points of a password that is the only factor.
const ALONE: usize = 15;
/// Least code points beside a second factor.
const BESIDE: usize = 8;
const MOST_BYTES: usize = 1024;

/// Known passwords of 8 characters and more, in lower case (lists of zxcvbn and Django, and well-known phrases).
static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("blocklist.txt").lines().collect());
/// The commonest words in passwords.
static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());

/// A password in NFC, as it is hashed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password { .. }")
    }
}

impl Password {
    /// A new password that is the only factor, tested against the rules. `names` are those of organization and user.
    ///
    /// # Errors
    /// PASSWORD_UNFIT with the reason.
    pub(crate) fn choose(field: &'static str, text: &str, names: &[&str]) -> Result<Self, Error> {
        Self::new(field, text, names, ALONE)
    }

    /// A new password beside a second factor.
    ///
    /// # Errors
    /// As [`Password::choose`].
    pub(crate) fn choose_beside(field: &'static str, text: &str, names: &[&str]) -> Result<Self, Error> {
        Self::new(field, text, names, BESIDE)
    }

    /// It is long enough to be the only factor.
    pub(crate) fn fits_alone(&self) -> bool {
        self.0.chars().count() >= ALONE
    }

    fn new(field: &'static str, text: &str, names: &[&str], least: usize) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::PasswordUnfit(field, Unfit::TooLong));
        }
        let password: String = text.nfc().collect();
        match problem(&password, names, least) {
            Some(unfit) => Err(Error::PasswordUnfit(field, unfit)),
            None => Ok(Self(password)),
        }
    }

    /// A password to be tested; only its size is looked at, before anything costs time.
    ///
    /// # Errors
    /// FIELD_INVALID above 1,024 bytes.
    pub(crate) fn present(field: &'static str, text: &str) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::PasswordTooLong(field));
        }
        Ok(Self(text.nfc().collect()))
    }

    /// The bytes that are hashed.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn problem(password: &str, names: &[&str], least: usize) -> Option<Unfit> {
    if password.chars().count() < least {
        return Some(if least == ALONE { Unfit::TooShort } else { Unfit::TooShortBeside });
    }
    let folded = password.to_lowercase();
    let core = folded.trim_matches(|letter: char| !letter.is_alphabetic());
    if KNOWN.contains(folded.as_str()) || WORDS.contains(core) {
        return Some(Unfit::Common);
    }
    let letters: Vec<char> = folded.chars().collect();
    if is_repetition(&letters) || is_sequence(&letters) {
        return Some(Unfit::Pattern);
    }
    let service = ["workos", "workos platform"];
    let plain = letters_and_digits(core);
    let named = names.iter().chain(service.iter()).map(|name| letters_and_digits(&name.to_lowercase()));
    named
        .into_iter()
        .any(|name| !name.is_empty() && (name == plain || name == letters_and_digits(&folded)))
        .then_some(Unfit::Name)
}

/// One piece of at most eleven letters again and again, the last time perhaps cut off.
fn is_repetition(letters: &[char]) -> bool {
    (1..=11.min(letters.len() / 2))
        .any(|period| letters.iter().skip(period).eq(letters.iter().take(letters.len() - period)))
}

/// Each letter follows the one before by the same step of at most one: `abcdefgh`, `987654321`; 9 and 0 are neighbors.
fn is_sequence(letters: &[char]) -> bool {
    let follows = |step: i64| {
        letters.windows(2).all(|pair| {
            let difference = i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
            difference == step || (pair == ['9', '0'] && step == 1) || (pair == ['0', '9'] && step == -1)
        })
    };
    follows(1) || follows(-1)
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Password, Unfit> {
        Password::choose("password", text, &["Ada Lovelace Analytical", "ada.lovelace@example.com"]).map_err(|error| {
            match error {
                Error::PasswordUnfit(_, unfit) => unfit,
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn auth_p03_length_is_counted_in_code_points_and_nothing_is_cut() {
        assert_eq!(check("vK4 rqz Lp8 wm"), Err(Unfit::TooShort));
        assert!(check("vK4 rqz Lp8 wmN").is_ok());
        let unicode: String = "жщфя漢字кошта ".chars().cycle().take(16).chain("плывет куда хочет".chars()).collect();
        assert!(check(&format!(" {unicode} ")).is_ok());
        let long = "vK4rqzLp8wmN".repeat(5) + "tail tail tail ";
        assert_ne!(check(&format!("{long}a")).expect("fit"), check(&format!("{long}b")).expect("fit"));
        let with_nul = check("vK4 rqz\0Lp8 wmN").expect("kept");
        assert!(with_nul.bytes().contains(&0));
        assert_eq!(check(&"aé".repeat(512)), Err(Unfit::TooLong));
    }

    #[test]
    fn auth_p05_known_patterned_and_named_passwords_are_refused_with_the_reason() {
        for text in ["Correct Horse Battery Staple", "1qaz2wsx3edc4rfv", "password1234567!", "123456-dragon-123456"] {
            assert_eq!(check(text), Err(Unfit::Common), "{text}");
        }
        for text in [
            "aaaaaaaaaaaaaaaa",
            "xyxyxyxyxyxyxyxyx",
            "tr0mbonetr0mbone",
            "bcdefghijklmnopq",
            "345678901234567",
            "zyxwvutsrqponmlk",
        ] {
            assert_eq!(check(text), Err(Unfit::Pattern), "{text}");
        }
        for text in
            ["ada.lovelace@example.com", "AdaLovelaceAnalytical", "ada lovelace analytical 2026!", "WorkOS--Platform"]
        {
            assert_eq!(check(text), Err(Unfit::Name), "{text}");
        }
    }

    #[test]
    fn the_same_letters_in_another_form_are_the_same_password() {
        let composed = check("Å vK4 rqz Lp8 wmN").expect("fit");
        assert_eq!(composed, check("A\u{30a} vK4 rqz Lp8 wmN").expect("fit"));
        assert_eq!(format!("{composed:?}"), "Password { .. }");
    }
}
