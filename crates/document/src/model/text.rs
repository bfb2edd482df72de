//! Rules for text that people write: titles, contents, folder names, and the keys they are compared by.
use unicode_normalization::UnicodeNormalization;

use super::limit;
use crate::error::Error;

const DEFAULT_MEDIA_TYPE: &str = "text/plain";

/// The text of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// IANA media type.
    pub(crate) media_type: String,
    /// The text.
    pub(crate) text: String,
}

impl Content {
    /// Checks type and text. An empty type is `text/plain`.
    pub(crate) fn parse(media_type: String, text: String) -> Result<Self, Error> {
        if text.len() > limit::CONTENT {
            return Err(Error::ContentInvalid("is too long"));
        }
        if text.contains('\0') {
            return Err(Error::ContentInvalid("holds a NUL character"));
        }
        let media_type = if media_type.is_empty() { DEFAULT_MEDIA_TYPE.to_owned() } else { media_type };
        if !is_media_type(&media_type) {
            return Err(Error::ContentInvalid("has a media type that is not of the form type/subtype"));
        }
        Ok(Self { media_type, text })
    }
}

impl Default for Content {
    fn default() -> Self {
        Self { media_type: DEFAULT_MEDIA_TYPE.to_owned(), text: String::new() }
    }
}

/// `type/subtype` of RFC 9110 tokens, perhaps with parameters in printable ASCII.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let printable = parameters.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let halves = essence.trim_end().split_once('/');
    text.len() <= limit::MEDIA_TYPE && printable && halves.is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// Checks the title of a document.
pub(crate) fn title(text: String) -> Result<String, Error> {
    match text {
        text if text.trim().is_empty() => Err(Error::TitleInvalid("is empty")),
        text if text.len() > limit::TITLE => Err(Error::TitleInvalid("is too long")),
        text if text.chars().any(char::is_control) => Err(Error::TitleInvalid("holds a control character")),
        text => Ok(text),
    }
}

/// Checks the name of a folder.
pub(crate) fn display_name(text: String) -> Result<String, Error> {
    let refused = |problem: &str| Err(Error::Api(api::Error::invalid_field("folder.display_name", problem)));
    match text {
        text if text.trim().is_empty() => refused("is empty; send 1 to 255 characters"),
        text if text.chars().count() > limit::DISPLAY_NAME => refused("is too long; send at most 255 characters"),
        text if text.chars().any(char::is_control) => refused("holds a control character; remove it"),
        text => Ok(text),
    }
}

/// The key that two spellings of one name share: trimmed, NFC, without case. Cut where an index could not hold it.
///
/// Upper case first: it unfolds letters such as `ß` and joins the two small sigmas, which lower case alone keeps apart.
pub(crate) fn key(text: &str) -> String {
    let folded = text.trim().nfc().collect::<String>().to_uppercase().to_lowercase();
    let key = folded.nfc().collect::<String>();
    head_of(&key, limit::KEY).to_owned()
}

/// The longest head of a text that has at most `bytes` bytes.
pub(crate) fn head_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_take_for_one_have_one_key() {
        for (one, other) in
            [("Straße", "STRASSE"), ("Re\u{301}sume\u{301}", "RÉSUMÉ"), (" plan ", "Plan"), ("ΣΊΣΥΦΟΣ", "σίσυφος")]
        {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        assert_ne!(key("plan"), key("plans"));
        assert!(key(&"ﬃ".repeat(1000)).len() <= limit::KEY);
    }

    #[test]
    fn a_title_has_text_and_no_control_characters() {
        assert!(title("é".repeat(512)).is_ok());
        for text in [
            String::new(),
            " \u{a0}".to_owned(),
            "é".repeat(513),
            "a\0b".to_owned(),
            "a\nb".to_owned(),
            "a\u{85}b".to_owned(),
        ] {
            assert!(title(text.clone()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_media_type_has_two_tokens() {
        for text in ["text/markdown", "text/plain; charset=utf-8", "application/vnd.a+json"] {
            assert!(is_media_type(text), "{text}");
        }
        for text in ["text", "text/", "/plain", "text/plain/x", "text /plain", "text/plain;\n", "téxt/plain"] {
            assert!(!is_media_type(text), "{text}");
        }
        assert_eq!(Content::parse(String::new(), "x".to_owned()).expect("valid").media_type, "text/plain");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(head_of("aé", 2), "a");
        assert_eq!(head_of("aé", 3), "aé");
        assert_eq!(head_of("aé", 9), "aé");
    }
}
