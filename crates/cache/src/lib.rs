//! Redis protocol (Valkey or Redis): typed keys with a lifetime, single flight, rate limits.
//!
//! What must hold: nothing here is the only copy of anything. A cache that is away slows a service down and never stops it: it
//! starts without it, answers without it and uses it again when it is back. Rate limits never fail open: while the shared
//! ones cannot be asked, every instance applies its own share, and a metric says so.

mod cache;
mod connection;
mod error;
mod flight;
mod key;
mod limit;
mod metrics;
mod settings;

pub use cache::Cache;
pub use connection::probe;
pub use error::Error;
pub use key::Key;
pub use limit::{Decision, Limit, Source};
pub use settings::Settings;
