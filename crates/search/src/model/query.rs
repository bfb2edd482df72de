//! The query language: words, `"phrases"`, `-not`, `prefix*`, `OR`, parentheses. Words beside each other must all match.
//!
//! The parser is total: every text gives a bounded tree, or an error with a place. Nothing of what a user writes reaches an
//! index engine in the engine's own language.
use super::{Words, limit};

mod lexer;

use lexer::{Lexeme, Term, lex};

/// What a user searches for. All words are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// An empty query: everything.
    Everything,
    /// A query without a single word, such as `???`: nothing.
    Nothing,
    /// A word, in any of its inflected forms.
    Word(String),
    /// Words exactly so beside each other.
    Phrase(Vec<String>),
    /// As a phrase, but of the last word only the beginning is known. At least one word.
    Prefix(Vec<String>),
    /// What does not match.
    Not(Box<Self>),
    /// All of these, at least two.
    All(Vec<Self>),
    /// At least one of these, at least two.
    Any(Vec<Self>),
}

/// Why a query cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// Something is wrong at a place.
    Invalid {
        /// Which character, counted from 1.
        position: usize,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// It has too many parts.
    TooComplex {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

impl Tree {
    /// Reads a query.
    ///
    /// # Errors
    /// With a place, or with the limit that it exceeds.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        if query.trim().is_empty() {
            return Ok(Self::Everything);
        }
        let lexemes = lex(query)?;
        let mut parser = Parser { lexemes: &lexemes, at: 0, depth: 0 };
        let tree = parser.any()?;
        match parser.peek() {
            None => Ok(tree.unwrap_or(Self::Nothing)),
            Some(_) => Err(parser.invalid("closes nothing; remove the parenthesis, or open one before")),
        }
    }
}

struct Parser<'a> {
    lexemes: &'a [(usize, Lexeme)],
    at: usize,
    depth: usize,
}

/// `None` is a clause without a word, which is passed over.
type Clause = Result<Option<Tree>, QueryError>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Lexeme> {
        self.lexemes.get(self.at).map(|(_, lexeme)| lexeme)
    }

    /// An error at the lexeme that comes next, or at the last one when there is none.
    fn invalid(&self, problem: &'static str) -> QueryError {
        let found = self.lexemes.get(self.at).or(self.lexemes.last());
        QueryError::Invalid { position: found.map_or(1, |(position, _)| *position), problem }
    }

    fn any(&mut self) -> Clause {
        let mut alternatives = Vec::new();
        alternatives.extend(self.all()?);
        while self.peek() == Some(&Lexeme::Or) {
            self.at += 1;
            alternatives.extend(self.all()?);
        }
        Ok(joined(alternatives, Tree::Any))
    }

    fn all(&mut self) -> Clause {
        let mut clauses = Vec::new();
        let first = self.at;
        while let Some(lexeme) = self.peek() {
            match lexeme {
                Lexeme::Or | Lexeme::Close => break,
                Lexeme::Not => clauses.extend(self.not()?),
                Lexeme::Open | Lexeme::Term(_) => clauses.extend(self.one()?),
            }
        }
        if self.at == first {
            return Err(self.invalid("a word is missing here; write one beside OR and inside parentheses"));
        }
        Ok(joined(clauses, Tree::All))
    }

    fn not(&mut self) -> Clause {
        self.at += 1;
        match self.peek() {
            Some(Lexeme::Open | Lexeme::Term(_)) => Ok(self.one()?.map(|tree| Tree::Not(Box::new(tree)))),
            _ => Err(self.invalid("- excludes what follows it; write a word, a phrase or parentheses right after it")),
        }
    }

    fn one(&mut self) -> Clause {
        let next = self.peek().cloned();
        match next {
            Some(Lexeme::Term(term)) => {
                let tree = self.term(&term);
                self.at += 1;
                tree
            }
            _ => self.group(),
        }
    }

    fn group(&mut self) -> Clause {
        let opened = self.at;
        if self.depth == limit::DEPTH {
            return Err(QueryError::TooComplex { what: "levels of parentheses", limit: limit::DEPTH });
        }
        self.depth += 1;
        self.at += 1;
        let tree = self.any()?;
        if self.peek() != Some(&Lexeme::Close) {
            self.at = opened;
            return Err(self.invalid("the parenthesis is not closed; add ) or remove it"));
        }
        self.depth -= 1;
        self.at += 1;
        Ok(tree)
    }

    fn term(&self, term: &Term) -> Clause {
        let mut words = Words::all(&term.text);
        if term.prefix {
            let short = match words.as_slice() {
                [] => true,
                [word] => word.is_ascii() && word.len() < 2,
                _ => false,
            };
            return match short {
                true => Err(self.invalid("* stands for the rest of a word; write at least two letters before it")),
                false => Ok(Some(Tree::Prefix(words))),
            };
        }
        Ok(match words.len() {
            0 => None,
            1 if !term.quoted => words.pop().map(Tree::Word),
            _ => Some(Tree::Phrase(words)),
        })
    }
}

fn joined(mut trees: Vec<Tree>, join: fn(Vec<Tree>) -> Tree) -> Option<Tree> {
    match trees.len() {
        0 | 1 => trees.pop(),
        _ => Some(join(trees)),
    }
}

#[cfg(test)]
mod tests;
