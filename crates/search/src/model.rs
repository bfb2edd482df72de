//! What is searched and how it is asked for, as values. Pure: no I/O, no clock, nothing of the wire or of an index engine.
mod entry;
mod name;
mod query;
mod question;
mod words;

pub use entry::{Entry, Revision, Write};
pub(crate) use entry::{PRINCIPALS, Read, Rejection};
pub use name::{Kind, ResourceName};
pub use query::{QueryError, Tree};
pub use question::{Facet, FacetCounts, Highlight, Hit, Page, Position, Question, Selection};
pub(crate) use words::{FOLDING, Words};

/// What a request and an indexed resource may hold at most.
pub(crate) mod limit {
    /// Characters of a query.
    pub(crate) const QUERY: usize = 1024;
    /// Words and phrases of a query.
    pub(crate) const CLAUSES: usize = 64;
    /// Levels of parentheses of a query.
    pub(crate) const DEPTH: usize = 8;
    /// Values that a request may select of each facet.
    pub(crate) const SELECTED: usize = 100;
    /// Results of a page.
    pub(crate) const PAGE: usize = 100;
    /// Values of a facet that are listed.
    pub(crate) const FACET_VALUES: usize = 20;
    /// Highlights of a result.
    pub(crate) const HIGHLIGHTS: usize = 5;
    /// Bytes of text of a resource that are indexed.
    pub(crate) const BODY: usize = 256 << 10;
    /// Bytes of a title.
    pub(crate) const TITLE: usize = 4096;
    /// Bytes of a keyword: principal, media type, folder.
    pub(crate) const KEYWORD: usize = 512;
    /// Principals of a resource.
    pub(crate) const PRINCIPALS: usize = 200_000;
}
