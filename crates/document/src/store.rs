//! SQL and rows. Every statement names the organization although row-level security already keeps to it: the indexes begin
//! with it, and one wall is not enough.
use api::Principals;
use time::OffsetDateTime;

pub(crate) mod document;
pub(crate) mod erase;
pub(crate) mod folder;
pub(crate) mod grant;
pub(crate) mod index;
pub(crate) mod revision;
pub(crate) mod sweep;

/// For whom documents are read: whose grants count, and which of them have ended.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    /// He may do it by role: grants need not be looked up.
    pub(crate) by_role: bool,
    /// Names of the caller; none when he may do it by role.
    pub(crate) principals: Principals,
    /// Grants that end at this time or before do not count.
    pub(crate) now: OffsetDateTime,
}

/// A number that the contract bounds far below what PostgreSQL counts.
fn count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or_default()
}
