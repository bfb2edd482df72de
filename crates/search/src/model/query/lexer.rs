//! The parts of a query with their places.
use super::QueryError;
use crate::model::limit;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lexeme {
    Open,
    Close,
    Not,
    Or,
    Term(Term),
}

/// A word or phrase as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) prefix: bool,
}

/// Takes a query apart; places are characters counted from 1.
pub(super) fn lex(query: &str) -> Result<Vec<(usize, Lexeme)>, QueryError> {
    let letters: Vec<char> = query.chars().take(limit::QUERY + 1).collect();
    if letters.len() > limit::QUERY {
        let problem = "the query is longer than 1,024 characters; shorten it";
        return Err(QueryError::Invalid { position: limit::QUERY + 1, problem });
    }
    if let Some(at) = letters.iter().position(|letter| letter.is_control() && !letter.is_whitespace()) {
        return Err(QueryError::Invalid { position: at + 1, problem: "a control character; remove it" });
    }
    let (mut lexemes, mut at, mut clauses) = (Vec::new(), 0, 0);
    while at < letters.len() {
        let position = at + 1;
        let (lexeme, length) = match letters[at] {
            letter if letter.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => (Lexeme::Open, 1),
            ')' => (Lexeme::Close, 1),
            '-' => (Lexeme::Not, 1),
            '"' => phrase(&letters[at..], position)?,
            _ => word(&letters[at..], position)?,
        };
        clauses += usize::from(matches!(lexeme, Lexeme::Term(_)));
        if clauses > limit::CLAUSES {
            return Err(QueryError::TooComplex { what: "words and phrases", limit: limit::CLAUSES });
        }
        lexemes.push((position, lexeme));
        at += length;
    }
    Ok(lexemes)
}

fn phrase(letters: &[char], position: usize) -> Result<(Lexeme, usize), QueryError> {
    let problem = "the quotation mark is not closed; add another one or remove it";
    let length = letters.iter().skip(1).position(|letter| *letter == '"');
    let length = length.ok_or(QueryError::Invalid { position, problem })?;
    let text = letters[1..=length].iter().collect();
    Ok((Lexeme::Term(Term { text, quoted: true, prefix: false }), length + 2))
}

fn word(letters: &[char], position: usize) -> Result<(Lexeme, usize), QueryError> {
    let ends = |letter: &char| letter.is_whitespace() || matches!(letter, '(' | ')' | '"');
    let length = letters.iter().position(ends).unwrap_or(letters.len());
    let word: String = letters[..length].iter().collect();
    if word == "OR" {
        return Ok((Lexeme::Or, length));
    }
    let star = letters[..length].iter().position(|letter| *letter == '*');
    match star {
        Some(star) if star + 1 < length => {
            let problem = "* can only stand at the end of a word; remove it, or quote the word";
            Err(QueryError::Invalid { position: position + star, problem })
        }
        Some(star) => {
            let text = letters[..star].iter().collect();
            Ok((Lexeme::Term(Term { text, quoted: false, prefix: true }), length))
        }
        None => Ok((Lexeme::Term(Term { text: word, quoted: false, prefix: false }), length)),
    }
}
