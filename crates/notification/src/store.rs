//! SQL and rows. Every statement names the organization although row-level security already keeps to it: the indexes begin
//! with it, and one wall is not enough.
use api::Id;
use db::ToSql;

use crate::model::Window;

pub(crate) mod delivery;
pub(crate) mod inbox;
pub(crate) mod mail;
pub(crate) mod queue;
pub(crate) mod sweep;

/// No id is larger.
const LARGEST: &str = "7zzzzzzzzzzzzzzzzzzzzzzzzz";

/// What the ids of a page, newest first, are smaller than. Always a value, so that the index finds the beginning of every page.
fn before(window: &Window<Id>) -> impl ToSql + Sync + Send + use<> {
    window.after.unwrap_or_else(|| LARGEST.parse().expect("it is an id")).uuid()
}
