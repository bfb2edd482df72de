//! What an index engine must do for search, whichever it is. One suite of tests runs over every implementation.
//!
//! What must hold of each: a write with an older revision never replaces a newer one, also after a crash; a tombstone counts as a
//! write; one with the same revision replaces (the principals of a file change with its documents). What was applied is
//! durable and found after [`SearchBackend::refresh`], and after nothing else. What a question may not find has no influence
//! on its answer: not on hits, counts, facets, order or score.
use futures::future::BoxFuture;

use api::OrganizationId;

pub use crate::model::{
    Entry, Facet, FacetCounts, Highlight, Hit, Kind, Page, Position, QueryError, Question, ResourceName, Revision,
    Selection, Tree, Write,
};

mod tantivy;

pub use tantivy::Tantivy;

/// One index out of several that may exist at once: a new one is built beside the one that is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i32);

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is taken.
    Applied,
    /// A newer one is there already, which is as good.
    Stale,
    /// The engine will never take it.
    Rejected,
}

/// Why an engine could not do something. The texts are for the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackendError {
    /// There is no such generation, or what is there cannot be read: build another one.
    #[error("the index is missing, damaged, or of another version: {0}")]
    Unusable(String),
    /// Somebody else holds it, or the engine is away: try again.
    #[error("the index cannot be used now: {0}")]
    Busy(String),
    /// The engine failed. Writes since the last refresh are lost and must be applied again.
    #[error("the index engine failed: {0}")]
    Failed(String),
}

/// What an engine answers with.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, BackendError>>;

/// An index engine.
pub trait SearchBackend: Send + Sync + 'static {
    /// Names fields and analysis; a generation of another mapping is unusable.
    fn mapping(&self) -> String;

    /// Makes an empty generation, in place of anything that is left of it.
    fn create(&self, generation: Generation) -> Answer<'_, ()>;

    /// Opens a generation that was made before. [`BackendError::Unusable`] when it must be built again.
    fn open(&self, generation: Generation) -> Answer<'_, ()>;

    /// Removes a generation; one that is not there is fine.
    fn remove(&self, generation: Generation) -> Answer<'_, ()>;

    /// Takes writes, in order, and says what became of each. After an error those since the last refresh are lost.
    fn apply(&self, generation: Generation, batch: Vec<Write>) -> Answer<'_, Vec<WriteOutcome>>;

    /// Makes durable and found what was applied.
    fn refresh(&self, generation: Generation) -> Answer<'_, ()>;

    /// Answers a question.
    fn search(&self, generation: Generation, question: Question) -> Answer<'_, Page>;

    /// Counts the resources of an organization, tombstones not counted.
    fn count(&self, generation: Generation, organization: OrganizationId) -> Answer<'_, u64>;
}
