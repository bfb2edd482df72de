//! How frequent words are, counted over what the asker may find alone.
//!
//! tantivy's own statistics span all organizations and all hidden resources: a score, and with it an order, would tell how often a
//! word occurs in what the asker must not know of.
use std::{
    cell::OnceCell,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tantivy::{
    Searcher, Term,
    collector::Count,
    query::{Bm25StatisticsProvider, BooleanQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
};

use super::schema::Fields;

/// Words of an average title and text. Fixed, for the same reason.
const TITLE: u64 = 6;
const BODY: u64 = 300;

/// Statistics of what passes a filter.
pub(super) struct Visible<'a> {
    searcher: &'a Searcher,
    fields: Fields,
    filter: &'a dyn Query,
    documents: OnceCell<u64>,
    frequencies: Mutex<HashMap<Term, u64>>,
}

impl<'a> Visible<'a> {
    pub(super) fn new(searcher: &'a Searcher, fields: Fields, filter: &'a dyn Query) -> Self {
        Self { searcher, fields, filter, documents: OnceCell::new(), frequencies: Mutex::default() }
    }
}

impl Bm25StatisticsProvider for Visible<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        let title = field == self.fields.title || field == self.fields.title_stemmed;
        Ok(self.total_num_docs()? * if title { TITLE } else { BODY })
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        if let Some(documents) = self.documents.get() {
            return Ok(*documents);
        }
        // At least one, since averages divide by it.
        let counted = (self.searcher.search(self.filter, &Count)? as u64).max(1);
        Ok(*self.documents.get_or_init(|| counted))
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let held = self.frequencies.lock().unwrap_or_else(PoisonError::into_inner).get(term).copied();
        if let Some(frequency) = held {
            return Ok(frequency);
        }
        let with: Box<dyn Query> = Box::new(TermQuery::new(term.clone(), IndexRecordOption::Basic));
        let both = BooleanQuery::intersection(vec![with, self.filter.box_clone()]);
        let frequency = (self.searcher.search(&both, &Count)? as u64).min(self.total_num_docs()?);
        self.frequencies.lock().unwrap_or_else(PoisonError::into_inner).insert(term.clone(), frequency);
        Ok(frequency)
    }
}
