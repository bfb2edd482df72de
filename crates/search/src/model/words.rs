//! Words of a text: where they stand, and their folded form, by which they are compared.
//!
//! Index and query fold alike: compatibility decomposition (NFKD), without accents, in lower case, ß as ss and so on. Letters
//! of scripts that write without spaces (Han, Kana) are words of one letter each; a query for several of them is a phrase.
//! A change here makes the index incompatible: raise [`FOLDING`].
use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Version of the folding; part of the mapping's hash.
pub(crate) const FOLDING: u32 = 1;
/// A longer word is compared by as many bytes.
const WORD: usize = 128;

/// Reads the words of a text one after the other.
pub(crate) struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    /// From the beginning.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Writes the folded form of the next word and says which bytes of the text it covers.
    pub(crate) fn read(&mut self, folded: &mut String) -> Option<Range<usize>> {
        loop {
            let start = self.at + self.text[self.at..].find(char::is_alphanumeric)?;
            let end = start + length(&self.text[start..]);
            self.at = end;
            folded.clear();
            fold(&self.text[start..end], folded);
            if !folded.is_empty() {
                return Some(start..end);
            }
        }
    }

    /// All folded words of a short text.
    pub(crate) fn all(text: &'a str) -> Vec<String> {
        let (mut words, mut all, mut folded) = (Self::new(text), Vec::new(), String::new());
        while words.read(&mut folded).is_some() {
            all.push(folded.clone());
        }
        all
    }
}

/// Bytes of the word at the beginning of the text.
fn length(text: &str) -> usize {
    let mut letters = text.char_indices();
    let first = letters.next().map_or('\0', |(_, letter)| letter);
    let stands_alone = is_word_by_itself(first);
    let ends = |letter: char| {
        if letter.is_ascii() {
            return !letter.is_ascii_alphanumeric();
        }
        let continues =
            is_combining_mark(letter) || (letter.is_alphanumeric() && !stands_alone && !is_word_by_itself(letter));
        !continues
    };
    let ends = |letter: char| ends(letter) || (stands_alone && letter.is_ascii());
    letters.find(|(_, letter)| ends(*letter)).map_or(text.len(), |(at, _)| at)
}

/// Han, Hiragana, Katakana: written without spaces.
fn is_word_by_itself(letter: char) -> bool {
    matches!(letter,
        '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

fn fold(word: &str, folded: &mut String) {
    if word.is_ascii() {
        folded.extend(word.bytes().take(WORD).map(|byte| char::from(byte.to_ascii_lowercase())));
        return;
    }
    for letter in word.nfkd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase) {
        match letter {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            // What lower case itself decomposed, as the dot of İ.
            mark if is_combining_mark(mark) => {}
            other => folded.push(other),
        }
        if folded.len() >= WORD {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_compared_without_case_and_accents() {
        for (text, words) in [
            ("Café CAFE\u{301} cafe", vec!["cafe", "cafe", "cafe"]),
            ("Straße STRASSE", vec!["strasse", "strasse"]),
            ("İstanbul ıssız", vec!["istanbul", "issiz"]),
            ("ﬁne ① Ⅷ", vec!["fine", "1", "viii"]),
            ("東京 tower東", vec!["東", "京", "tower", "東"]),
            ("don't re-use a_b v1.27 🙂", vec!["don", "t", "re", "use", "a", "b", "v1", "27"]),
            ("Σίσυφος", vec!["σισυφοσ"]),
            ("", vec![]),
        ] {
            assert_eq!(Words::all(text), words, "{text}");
        }
    }

    #[test]
    fn a_word_covers_its_original_letters() {
        let text = "– Café!";
        let mut folded = String::new();
        let range = Words::new(text).read(&mut folded).expect("there is a word");
        assert_eq!((&text[range], folded.as_str()), ("Café", "cafe"));
    }

    proptest! {
        #[test]
        fn every_text_has_bounded_words_in_order(text: String) {
            let (mut words, mut folded, mut last) = (Words::new(&text), String::new(), 0);
            while let Some(range) = words.read(&mut folded) {
                prop_assert!(range.start >= last && range.start < range.end);
                prop_assert!(text.get(range.clone()).is_some());
                prop_assert!(!folded.is_empty() && folded.len() < WORD + 4);
                last = range.end;
            }
        }
    }
}
