//! What a caller may say about the engines. Everything has a default; nothing is read from the environment but the
//! place of the tools folder (`found`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;

/// How engines are to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `.workos` folder: tools, and in `Mode::Up` data, log and run. Default: the nearest one above the current
    /// folder, else one in the current folder.
    pub root: PathBuf,
    /// What for.
    pub mode: Mode,
    /// A PostgreSQL that runs elsewhere; it is then not started.
    pub postgres_url: Option<String>,
    /// A Valkey or Redis that runs elsewhere.
    pub redis_url: Option<String>,
    /// A NATS that runs elsewhere.
    pub nats_url: Option<String>,
    /// A Temporal that runs elsewhere.
    pub temporal_url: Option<String>,
    /// The account PostgreSQL runs under when we are root. Default: `postgres`, else `nobody`.
    pub account: Option<String>,
    /// Programs to use instead of the pinned ones, by engine name (`postgres`, `valkey`, `nats`, `temporal`).
    pub programs: BTreeMap<String, PathBuf>,
    /// Preferred ports in `Mode::Up`; a taken one is replaced by the next free one. `Mode::Test` takes free ones.
    pub ports: Ports,
    /// The users of the NATS account `workos` (`Mode::Up`), or of each account of the pool (`Mode::Test`).
    /// Empty: one user that may do everything.
    pub nats_users: Vec<NatsUser>,
    /// How many NATS accounts the pool of `Mode::Test` has, one per test of a run.
    pub nats_accounts: u32,
    /// How long one engine may take to answer before the start fails.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: nearest_root(),
            mode: Mode::Up,
            postgres_url: None,
            redis_url: None,
            nats_url: None,
            temporal_url: None,
            account: None,
            programs: BTreeMap::new(),
            ports: Ports::default(),
            nats_users: Vec::new(),
            nats_accounts: 1000,
            patience: Duration::from_secs(90),
        }
    }
}

impl Settings {
    /// The configured URL of an engine; an empty one is none.
    pub(crate) fn url(&self, engine: Engine) -> Option<&str> {
        let url = match engine {
            Engine::Postgres => &self.postgres_url,
            Engine::Valkey => &self.redis_url,
            Engine::Nats => &self.nats_url,
            Engine::Temporal => &self.temporal_url,
        };
        url.as_deref().filter(|url| !url.is_empty())
    }
}

/// What the engines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Durable, in `.workos/data`, one per folder.
    Up,
    /// Throw-away: in a temporary folder that goes with the engines, durability off, free ports.
    Test,
}

/// Preferred ports on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// PostgreSQL.
    pub postgres: u16,
    /// Valkey.
    pub redis: u16,
    /// NATS clients.
    pub nats: u16,
    /// Temporal's gRPC API.
    pub temporal: u16,
    /// Temporal's web pages.
    pub temporal_ui: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { postgres: 15432, redis: 16379, nats: 14222, temporal: 17233, temporal_ui: 18233 }
    }
}

/// A user of the NATS account, with its subject permissions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NatsUser {
    /// Its name: the service that connects.
    pub name: String,
    /// Its password; `None`: one is made and kept with the data, `Addresses` has it.
    pub password: Option<String>,
    /// Subjects it may publish to; empty: all.
    pub publish: Vec<String>,
    /// Subjects it may subscribe to; empty: all.
    pub subscribe: Vec<String>,
}

fn nearest_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let above = here.ancestors().map(|folder| folder.join(".workos")).find(|folder| folder.is_dir());
    above.unwrap_or_else(|| here.join(".workos"))
}
