//! SQL and rows. Every statement names the organization although row-level security already keeps to it: the indexes begin
//! with it, and one wall is not enough.
use api::Caller;
use time::OffsetDateTime;

pub(crate) mod document;
pub(crate) mod erase;
pub(crate) mod folder;
pub(crate) mod grant;
pub(crate) mod index;
pub(crate) mod revision;
pub(crate) mod sweep;

/// For whom documents are read: whose grants count, and which of them have ended.
#[derive(Clone, Copy)]
pub(crate) struct Viewer<'a> {
    /// Names of the caller; none when he reads everything by role, so that grants need not be looked up.
    principals: &'a [String],
    /// Grants that end at this time or before do not count.
    now: OffsetDateTime,
}

impl<'a> Viewer<'a> {
    /// The caller, now.
    pub(crate) fn new(caller: &'a Caller, now: OffsetDateTime) -> Self {
        Self { principals: if caller.granted() { &[] } else { caller.principals() }, now }
    }
}

/// A number that the contract bounds far below what PostgreSQL counts.
fn count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or_default()
}
