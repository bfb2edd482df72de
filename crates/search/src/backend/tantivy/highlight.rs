//! Where a query matched: pieces of the original text, marked by bytes.
use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
};

use super::analysis::Stems;
use crate::{
    backend::{Highlight, Tree},
    model::{Words, limit},
};

/// Bytes before and after the first mark of a piece, about.
const BEFORE: usize = 64;
const AFTER: usize = 160;

/// What is marked in texts.
pub(super) struct Needles {
    words: HashSet<String>,
    stems: HashSet<String>,
    prefixes: Vec<String>,
    phrases: Vec<Phrase>,
    stemmer: Stems,
    /// Stems of words met before: texts repeat words.
    met: HashMap<String, bool>,
}

struct Phrase {
    words: Vec<String>,
    /// Of the last word only the beginning is known.
    open: bool,
}

/// Words of which the stem is remembered.
const MET: usize = 10_000;

impl Needles {
    /// What a query wants; what it excludes is not marked.
    pub(super) fn new(tree: &Tree) -> Self {
        let mut needles = Self {
            words: HashSet::new(),
            stems: HashSet::new(),
            prefixes: Vec::new(),
            phrases: Vec::new(),
            stemmer: Stems::new(),
            met: HashMap::new(),
        };
        needles.take(tree);
        needles
    }

    fn take(&mut self, tree: &Tree) {
        match tree {
            Tree::Everything | Tree::Nothing | Tree::Not(_) => {}
            Tree::Word(word) => {
                self.stems.insert(self.stemmer.of(word));
                self.words.insert(word.clone());
            }
            Tree::Prefix(words) | Tree::Phrase(words) => {
                let open = matches!(tree, Tree::Prefix(_));
                match words.as_slice() {
                    [word] if open => self.prefixes.push(word.clone()),
                    [word] => _ = self.words.insert(word.clone()),
                    _ => self.phrases.push(Phrase { words: words.clone(), open }),
                }
            }
            Tree::All(trees) | Tree::Any(trees) => trees.iter().for_each(|tree| self.take(tree)),
        }
    }

    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.prefixes.is_empty() && self.phrases.is_empty()
    }

    /// At most five pieces: one of the title, the others of the body, in the order of the text.
    pub(super) fn highlights(&mut self, title: &str, body: &str) -> Vec<Highlight> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut highlights = self.pieces("title", title, 1);
        let left = limit::HIGHLIGHTS - highlights.len();
        highlights.extend(self.pieces("body", body, left));
        highlights
    }

    fn pieces(&mut self, field: &'static str, text: &str, most: usize) -> Vec<Highlight> {
        let mut pieces: Vec<(Range<usize>, Vec<Range<usize>>)> = Vec::new();
        let mut marks = Marks::new(text, self);
        while let Some(mark) = marks.read() {
            let end = pieces.last().map_or(0, |(piece, _)| piece.end);
            if mark.start >= end {
                if pieces.len() == most {
                    break;
                }
                pieces.push((around(text, &mark, end), vec![mark]));
            } else if let Some((_, ranges)) = pieces.last_mut() {
                let apart = ranges.last().is_none_or(|last| last.end <= mark.start);
                if mark.end <= end && apart {
                    ranges.push(mark);
                }
            }
        }
        let highlight = |(piece, ranges): (Range<usize>, Vec<Range<usize>>)| Highlight {
            field,
            text: text[piece.clone()].to_owned(),
            ranges: ranges.into_iter().map(|range| range.start - piece.start..range.end - piece.start).collect(),
        };
        pieces.into_iter().map(highlight).collect()
    }

    fn marks_alone(&mut self, word: &str) -> bool {
        if self.words.contains(word) || self.prefixes.iter().any(|prefix| word.starts_with(prefix)) {
            return true;
        }
        if self.stems.is_empty() {
            return false;
        }
        if let Some(marked) = self.met.get(word) {
            return *marked;
        }
        let marked = self.stems.contains(&self.stemmer.of(word));
        if self.met.len() < MET {
            self.met.insert(word.to_owned(), marked);
        }
        marked
    }
}

/// The piece around a mark, not before `from`, cut between words where that is near.
fn around(text: &str, mark: &Range<usize>, from: usize) -> Range<usize> {
    let start = text.ceil_char_boundary(mark.start.saturating_sub(BEFORE).max(from));
    let end = text.floor_char_boundary(mark.start.saturating_add(AFTER)).max(mark.end);
    let start = match start {
        0 => 0,
        start => text[start..mark.start].find(char::is_whitespace).map_or(start, |space| {
            let next = start + space;
            next + text[next..].chars().next().map_or(0, char::len_utf8)
        }),
    };
    let end = match text[mark.end..end].rfind(char::is_whitespace) {
        Some(space) if end < text.len() => mark.end + space,
        _ => end,
    };
    start..end
}

/// Reads the marks of a text in order of their end.
struct Marks<'a> {
    words: Words<'a>,
    needles: &'a mut Needles,
    /// The last words, as many as the longest phrase has.
    window: VecDeque<(String, Range<usize>)>,
    longest: usize,
}

impl<'a> Marks<'a> {
    fn new(text: &'a str, needles: &'a mut Needles) -> Self {
        let longest = needles.phrases.iter().map(|phrase| phrase.words.len()).max().unwrap_or(0);
        Self { words: Words::new(text), needles, window: VecDeque::with_capacity(longest), longest }
    }

    fn read(&mut self) -> Option<Range<usize>> {
        let mut word = String::new();
        loop {
            let range = self.words.read(&mut word)?;
            if self.longest > 0 {
                if self.window.len() == self.longest {
                    self.window.pop_front();
                }
                self.window.push_back((word.clone(), range.clone()));
            }
            if let Some(start) = self.phrase_start() {
                return Some(start..range.end);
            }
            if self.needles.marks_alone(&word) {
                return Some(range);
            }
        }
    }

    /// Where a phrase begins that ends with the last word.
    fn phrase_start(&self) -> Option<usize> {
        let fits = |phrase: &&Phrase| {
            let Some(skipped) = self.window.len().checked_sub(phrase.words.len()) else { return false };
            let last = phrase.words.len() - 1;
            self.window.iter().skip(skipped).zip(&phrase.words).enumerate().all(|(at, ((word, _), wanted))| {
                word == wanted || (phrase.open && at == last && word.starts_with(wanted.as_str()))
            })
        };
        let phrase = self.needles.phrases.iter().filter(fits).max_by_key(|phrase| phrase.words.len())?;
        let first = self.window.len() - phrase.words.len();
        self.window.get(first).map(|(_, range)| range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(query: &str, title: &str, body: &str) -> Vec<(&'static str, Vec<String>)> {
        let tree = Tree::parse(query).expect("a valid query");
        let highlights = Needles::new(&tree).highlights(title, body);
        let marks = |piece: &Highlight| piece.ranges.iter().map(|range| piece.text[range.clone()].to_owned()).collect();
        highlights.iter().map(|piece| (piece.field, marks(piece))).collect()
    }

    #[test]
    fn the_original_letters_are_marked() {
        let found = marked("cafe OR strass*", "Le Café", "Die Straße zum CAFE\u{301}");
        assert_eq!(found, [("title", vec!["Café".into()]), ("body", vec!["Straße".into(), "CAFE\u{301}".into()])]);
    }

    #[test]
    fn inflected_forms_and_whole_phrases_are_marked_and_excluded_words_are_not() {
        let body = "Running whales. The blue whale runs; a blue boat.";
        let found = marked("run \"blue whale\" -boat", "", body);
        assert_eq!(found, [("body", vec!["Running".into(), "blue whale".into(), "runs".into()])]);
        assert_eq!(marked("blue-wha*", "", body), [("body", vec!["blue whale".into()])]);
        assert!(marked("", "a", "b").is_empty());
    }

    #[test]
    fn pieces_are_short_few_and_do_not_overlap() {
        let body = format!("{}needle ", "some words in between é ".repeat(20)).repeat(9);
        let tree = Tree::parse("needle").expect("a valid query");
        let highlights = Needles::new(&tree).highlights("needle", &body);
        assert_eq!(highlights.len(), limit::HIGHLIGHTS);
        for piece in &highlights {
            assert!(piece.text.len() <= BEFORE + AFTER + 8, "{}", piece.text.len());
            assert!(piece.ranges.iter().all(|range| &piece.text[range.clone()] == "needle"));
        }
    }
}
