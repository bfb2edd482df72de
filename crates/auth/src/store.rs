//! SQL and rows of identity; it decides nothing.
//!
//! Every statement names its tenant or user although row-level security stands behind it: a transaction for a caller sees his own
//! rows of other tenants too.

pub(crate) mod api_key;
pub(crate) mod attempt;
pub(crate) mod audit;
pub(crate) mod authorize;
pub(crate) mod bootstrap;
pub(crate) mod client;
pub(crate) mod consent;
pub(crate) mod custom_role;
pub(crate) mod delegation;
pub(crate) mod device;
pub(crate) mod factor;
pub(crate) mod graph;
pub(crate) mod group;
pub(crate) mod invitation;
pub(crate) mod key;
pub(crate) mod link;
pub(crate) mod login;
pub(crate) mod mail;
pub(crate) mod membership;
pub(crate) mod organization;
pub(crate) mod passkey;
pub(crate) mod pending;
pub(crate) mod provider;
pub(crate) mod relation;
pub(crate) mod revocation;
pub(crate) mod sealed;
pub(crate) mod session;
pub(crate) mod standing;
pub(crate) mod user;

use api::Id;
use db::Row;
use uuid::Uuid;

/// An id column.
fn id(row: &Row, column: &str) -> Result<Id, db::Error> {
    Ok(Id::from_uuid(row.try_get::<_, Uuid>(column)?))
}

/// An id column that may be null.
fn id_opt(row: &Row, column: &str) -> Result<Option<Id>, db::Error> {
    Ok(row.try_get::<_, Option<Uuid>>(column)?.map(Id::from_uuid))
}
