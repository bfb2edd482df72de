//! PostgreSQL: tenant transactions, migrations, outbox, processed events, idempotent requests, audit rows.
//!
//! [`Db`] is the only door. A transaction is opened for an organization, for a user, or for a stated reason across tenants;
//! row-level security does the rest: policies are forced, the service's role owns no table and cannot bypass them, settings
//! end with the transaction. An event, an audit row and the answer to a request id are written in the transaction of the change
//! they belong to, so there is never one without the other. What [`Tx::commit`] acknowledges is durable.
//!
//! Speed: `BEGIN` rides with the first statement, events and audit row ride with `COMMIT`, statements are prepared once per
//! connection. A transaction of one statement costs two round trips, a read one.

mod audit;
mod door;
mod endpoint;
mod error;
mod idempotency;
mod keeping;
mod metrics;
mod migrate;
mod outbox;
mod pipeline;
mod pool;
mod schema;
mod scope;
mod settings;
mod tx;

pub use audit::Record;
pub use door::{Db, probe};
pub use error::{Error, Kind};
pub use idempotency::{Replay, fingerprint};
pub use keeping::Purged;
pub use migrate::{Applied, MigrateError, migrate};
pub use outbox::{Backlog, Claim, Outbox, OutboxRow};
pub use schema::Migrations;
pub use settings::Settings;
pub use tokio_postgres::{
    Row,
    types::{FromSql, Json, ToSql},
};
pub use tx::{Query, Tx};
