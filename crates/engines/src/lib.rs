//! Real engines as child processes: PostgreSQL, Valkey, NATS with JetStream, the Temporal dev server.
//!
//! Knows engines, not services. What must hold: an engine is ready only when it answered in its own protocol; one
//! that ends unasked is reported and restarted on the same port; none outlives its parent, however that ends
//! (`guard`); what an engine acknowledged in `Mode::Up` is on disk. Nothing is downloaded here: programs come from
//! the tools folder that `./dev` makes, or from the settings, never from `PATH`.

pub use address::{Addresses, NatsAccount, NatsCredentials, NatsPool};
pub use engine::{Engine, Progress, Step};
pub use error::EngineError;
pub use settings::{Mode, NatsUser, Ports, Settings};
pub use start::Engines;
pub use testing::for_tests;

mod account;
mod address;
mod child;
pub mod command;
mod engine;
mod error;
mod found;
pub mod guard;
mod nats;
mod place;
mod port;
mod postgres;
mod probe;
mod secrets;
mod settings;
mod start;
mod supervise;
mod temporal;
mod testing;
mod valkey;
