//! The four engines by name, and what is told about them while they start.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An outside system that this crate can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL 18.
    Postgres,
    /// Valkey, which speaks the Redis protocol.
    Valkey,
    /// NATS with JetStream.
    Nats,
    /// The Temporal dev server.
    Temporal,
}

impl Engine {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Engine; 4] = [Engine::Postgres, Engine::Valkey, Engine::Nats, Engine::Temporal];

    /// The name in files, logs and `engines.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "postgres",
            Engine::Valkey => "valkey",
            Engine::Nats => "nats",
            Engine::Temporal => "temporal",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// One line about one engine on its way up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which engine.
    pub engine: Engine,
    /// What happens to it.
    pub step: Step,
    /// Time since the start of the whole set.
    pub elapsed: Duration,
}

/// What happens to an engine while it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A URL is configured: used from there, not started.
    External,
    /// The one before still stops (its parent was killed a moment ago).
    WaitingForPrevious,
    /// Its program was copied to a place its account can reach.
    Copying,
    /// A new data folder is made.
    Initializing,
    /// The process runs and does not answer yet.
    Starting {
        /// Its port on 127.0.0.1.
        port: u16,
    },
    /// It answered in its own protocol.
    Ready {
        /// Its port on 127.0.0.1.
        port: u16,
        /// The program's version.
        version: String,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{:5.1} s] {:<9} ", self.elapsed.as_secs_f64(), self.engine)?;
        match &self.step {
            Step::External => formatter.write_str("used at its configured url"),
            Step::WaitingForPrevious => formatter.write_str("waiting for the previous one to stop"),
            Step::Copying => formatter.write_str("copying the program to where its account can reach it"),
            Step::Initializing => formatter.write_str("making a new data folder"),
            Step::Starting { port } => write!(formatter, "starting on 127.0.0.1:{port}"),
            Step::Ready { port, version } => write!(formatter, "{version} ready on 127.0.0.1:{port}"),
        }
    }
}
