//! The words of the model as tantivy's tokenizers.
use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};

use crate::model::Words;

/// Words, folded.
pub(super) const FOLDED: &str = "folded";
/// Words, folded and reduced to their English stem.
pub(super) const STEMMED: &str = "stemmed";

/// Registers both.
pub(super) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(FOLDED, TextAnalyzer::from(Folded::default()));
    manager.register(STEMMED, stemmer());
    manager
}

fn stemmer() -> TextAnalyzer {
    TextAnalyzer::builder(Folded::default()).filter(Stemmer::new(Language::English)).build()
}

/// Reduces folded words to their stem.
pub(super) struct Stems(TextAnalyzer);

impl Stems {
    pub(super) fn new() -> Self {
        Self(stemmer())
    }

    /// The stem of one folded word.
    pub(super) fn of(&mut self, word: &str) -> String {
        let mut stream = self.0.token_stream(word);
        if stream.advance() { stream.token().text.clone() } else { word.to_owned() }
    }
}

#[derive(Clone, Default)]
struct Folded {
    token: Token,
}

struct FoldedStream<'a> {
    words: Words<'a>,
    token: &'a mut Token,
}

impl Tokenizer for Folded {
    type TokenStream<'a> = FoldedStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> FoldedStream<'a> {
        self.token.reset();
        FoldedStream { words: Words::new(text), token: &mut self.token }
    }
}

impl TokenStream for FoldedStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(range) = self.words.read(&mut self.token.text) else { return false };
        self.token.position = self.token.position.wrapping_add(1);
        (self.token.offset_from, self.token.offset_to) = (range.start, range.end);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
