//! From a question to tantivy's queries. tantivy's own query language is not used.
use std::ops::Bound;

use tantivy::{
    Term,
    query::{
        AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, InvertedIndexRangeQuery,
        Occur, PhrasePrefixQuery, PhraseQuery, Query, TermQuery,
    },
    schema::{Field, IndexRecordOption},
};

use super::{analysis::Stems, schema::Fields};
use crate::backend::{Facet, Question, Tree};

type Boxed = Box<dyn Query>;

/// How much a match counts by where it is.
const TITLE: f32 = 3.0;
const BODY: f32 = 1.0;
/// How much an inflected form counts beside the word itself.
const STEMMED: f32 = 0.7;
/// How much the weaker fields add when a word is in several.
const TIE: f32 = 0.1;
/// Words that the beginning of a word in a phrase may stand for.
const EXPANSIONS: u32 = 1000;

/// Makes queries for one question.
pub(super) struct Plan<'a> {
    fields: Fields,
    question: &'a Question,
}

impl<'a> Plan<'a> {
    pub(super) fn new(fields: Fields, question: &'a Question) -> Self {
        Self { fields, question }
    }

    /// What the asker may find: his organization, his principals, nothing that was found to be hidden.
    pub(super) fn access(&self) -> Boxed {
        let Question { organization, principals, withheld, except, .. } = self.question;
        if principals.is_empty() {
            return Box::new(EmptyQuery);
        }
        let mut clauses = vec![
            (Occur::Must, keyword(self.fields.organization, &organization.to_string())),
            (Occur::Must, any_keyword(self.fields.principals, principals)),
        ];
        for kind in withheld {
            clauses.push((Occur::MustNot, keyword(self.fields.kind, kind.as_str())));
        }
        for name in except {
            clauses.push((Occur::MustNot, keyword(self.fields.name, &name.to_string())));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    /// What the asker may find, selected and searched for. The selection of one facet can be left out, to count it.
    pub(super) fn whole(&self, access: &dyn Query, without: Option<Facet>) -> Boxed {
        let mut clauses = vec![(Occur::Must, silent(access.box_clone()))];
        let selection = &self.question.selection;
        let kinds: Vec<String> = selection.kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
        let selected = [
            (Facet::Type, self.fields.kind, &kinds),
            (Facet::MediaType, self.fields.media_type, &selection.media_types),
            (Facet::Folder, self.fields.folder, &selection.folders),
        ];
        for (facet, field, values) in selected {
            if !values.is_empty() && without != Some(facet) {
                clauses.push((Occur::Must, silent(any_keyword(field, values))));
            }
        }
        if self.question.tree != Tree::Everything {
            clauses.push((Occur::Must, self.tree(&self.question.tree, &mut Stems::new())));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    fn tree(&self, tree: &Tree, stems: &mut Stems) -> Boxed {
        match tree {
            Tree::Everything => Box::new(AllQuery),
            Tree::Nothing => Box::new(EmptyQuery),
            Tree::Word(word) => self.word(word, stems),
            Tree::Phrase(words) => self.in_both(|field| phrase(field, words)),
            Tree::Prefix(words) => self.in_both(|field| prefix(field, words)),
            Tree::Not(tree) => excluding(vec![self.tree(tree, stems)], Vec::new()),
            Tree::Any(trees) => {
                let alternatives = trees.iter().map(|tree| (Occur::Should, self.tree(tree, stems)));
                Box::new(BooleanQuery::with_minimum_required_clauses(alternatives.collect(), 1))
            }
            Tree::All(trees) => {
                let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
                for tree in trees {
                    match tree {
                        Tree::Not(tree) => unwanted.push(self.tree(tree, stems)),
                        other => wanted.push(self.tree(other, stems)),
                    }
                }
                excluding(unwanted, wanted)
            }
        }
    }

    /// A word by itself, or any word of the same stem.
    fn word(&self, word: &str, stems: &mut Stems) -> Boxed {
        let (fields, stem) = (self.fields, stems.of(word));
        let places = [
            (fields.title, word, TITLE),
            (fields.title_stemmed, stem.as_str(), TITLE * STEMMED),
            (fields.body, word, BODY),
            (fields.body_stemmed, stem.as_str(), BODY * STEMMED),
        ];
        best(places.map(|(field, word, boost)| boosted(term(field, word), boost)).into())
    }

    fn in_both(&self, query: impl Fn(Field) -> Boxed) -> Boxed {
        best(vec![boosted(query(self.fields.title), TITLE), boosted(query(self.fields.body), BODY)])
    }
}

fn term(field: Field, word: &str) -> Boxed {
    Box::new(TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs))
}

fn phrase(field: Field, words: &[String]) -> Boxed {
    match words {
        [word] => term(field, word),
        words => Box::new(PhraseQuery::new(words.iter().map(|word| Term::from_field_text(field, word)).collect())),
    }
}

fn prefix(field: Field, words: &[String]) -> Boxed {
    match words {
        [word] => {
            // Every word with this beginning sorts between it and it followed by the last character there is.
            let (first, last) =
                (Term::from_field_text(field, word), Term::from_field_text(field, &format!("{word}{}", char::MAX)));
            Box::new(InvertedIndexRangeQuery::new(Bound::Included(first), Bound::Included(last)))
        }
        words => {
            let terms = words.iter().map(|word| Term::from_field_text(field, word)).collect();
            let mut query = PhrasePrefixQuery::new(terms);
            query.set_max_expansions(EXPANSIONS);
            Box::new(query)
        }
    }
}

/// The wanted ones without the unwanted ones; without wanted ones everything but the unwanted.
fn excluding(unwanted: Vec<Boxed>, mut wanted: Vec<Boxed>) -> Boxed {
    if wanted.is_empty() {
        wanted.push(silent(Box::new(AllQuery)));
    }
    let clauses = wanted.into_iter().map(|query| (Occur::Must, query));
    let clauses = clauses.chain(unwanted.into_iter().map(|query| (Occur::MustNot, query)));
    Box::new(BooleanQuery::new(clauses.collect()))
}

fn best(queries: Vec<Boxed>) -> Boxed {
    Box::new(DisjunctionMaxQuery::with_tie_breaker(queries, TIE))
}

fn boosted(query: Boxed, boost: f32) -> Boxed {
    Box::new(BoostQuery::new(query, boost))
}

/// Decides what is found and adds nothing to its score.
fn silent(query: Boxed) -> Boxed {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

fn keyword(field: Field, value: &str) -> Boxed {
    Box::new(TermQuery::new(Term::from_field_text(field, value), IndexRecordOption::Basic))
}

fn any_keyword(field: Field, values: &[String]) -> Boxed {
    let values = values.iter().map(|value| (Occur::Should, keyword(field, value))).collect();
    Box::new(BooleanQuery::with_minimum_required_clauses(values, 1))
}
