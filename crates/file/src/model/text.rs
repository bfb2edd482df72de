//! Names shown to people: data, never a path.
use crate::error::Error;

const NAME_CHARACTERS: usize = 255;

/// Checks a display name.
pub(crate) fn display_name(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::NameInvalid("is empty"));
    }
    if text.chars().count() > NAME_CHARACTERS {
        return Err(Error::NameInvalid("is too long"));
    }
    if text.chars().any(is_hidden) {
        return Err(Error::NameInvalid("holds control or direction characters"));
    }
    Ok(text.to_owned())
}

/// Control characters, and those that turn the direction of text so that an ending looks like another.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_path_is_data() {
        assert_eq!(display_name("../../etc/passwd").expect("data"), "../../etc/passwd");
        for bad in ["", "  ", "a\nb", "a\0b", "gpj.\u{202e}exe", &"x".repeat(256)] {
            assert!(display_name(bad).is_err(), "{bad:?}");
        }
    }
}
