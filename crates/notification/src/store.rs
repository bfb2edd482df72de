//! SQL and rows. Every statement names the organization although row-level security already keeps to it: the indexes begin
//! with it, and one wall is not enough.
pub(crate) mod delivery;
pub(crate) mod inbox;
pub(crate) mod mail;
pub(crate) mod queue;
pub(crate) mod sweep;
