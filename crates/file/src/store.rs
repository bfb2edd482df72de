//! SQL and rows. Every statement names the organization although row-level security already keeps to it.
pub(crate) mod content;
pub(crate) mod erase;
pub(crate) mod file;
pub(crate) mod reference;
pub(crate) mod upload;
