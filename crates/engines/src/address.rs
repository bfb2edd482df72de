//! Where the engines are: what `start` gives its caller, `ports.json` a script, and the environment a test.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::nats::pool_user;
use crate::place::Places;
use crate::postgres::SUPERUSER;
use crate::secrets::{Secrets, derive, nats_users};
use crate::settings::{Mode, Settings};
use crate::start::Started;

/// Under this name the addresses of a set reach a command (`workos-engines run`).
const VARIABLE: &str = "WORKOS_ENGINES";

/// Addresses with credentials: never to be logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// `postgres://postgres:<password>@127.0.0.1:<port>/postgres`: the superuser, in the database that always exists.
    pub postgres: String,
    /// `redis://:<password>@127.0.0.1:<port>`.
    pub redis: String,
    /// `nats://127.0.0.1:<port>`, without credentials.
    pub nats: String,
    /// The users of the account `workos` and their passwords (`Mode::Up`); empty when NATS runs elsewhere.
    pub nats_users: BTreeMap<String, String>,
    /// The accounts for tests (`Mode::Test`).
    pub nats_pool: Option<NatsPool>,
    /// `http://127.0.0.1:<port>`, gRPC.
    pub temporal: String,
    /// The web pages of the Temporal server we started.
    pub temporal_ui: Option<String>,
}

/// Accounts made beforehand, `t0` to `t<count - 1>`, each with JetStream of its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct NatsPool {
    /// How many.
    pub count: u32,
    /// Names of the users that each account has; empty: one user for everything.
    pub users: BTreeMap<String, Option<String>>,
    /// The passwords are derived from it.
    pub secret: String,
    /// Holds the number of the next unused account; all processes of a test run share it.
    pub counter: PathBuf,
}

/// A NATS account of a test.
#[derive(Clone)]
pub struct NatsAccount {
    /// `t<n>`.
    pub name: String,
    users: BTreeMap<String, NatsCredentials>,
}

/// How to sign in to NATS.
#[derive(Clone)]
pub struct NatsCredentials {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl NatsAccount {
    /// The credentials of one named user (a service). A pool without named users has one that stands for all.
    pub fn user(&self, name: &str) -> Option<&NatsCredentials> {
        self.users.get(name).or_else(|| self.users.get(""))
    }
}

impl Addresses {
    pub(crate) fn of(settings: &Settings, places: &Places, secrets: &Secrets, started: &[Started]) -> Addresses {
        let started = |engine| started.iter().find(|started| started.plan.engine == engine);
        let address = |engine, scheme: &str, rest: &str| match (settings.url(engine), started(engine)) {
            (Some(url), _) => url.to_owned(),
            (None, Some(started)) => format!("{scheme}127.0.0.1:{}{rest}", started.plan.port),
            (None, None) => String::new(),
        };
        let ours = settings.url(Engine::Nats).is_none();
        let up = settings.mode == Mode::Up;
        let pool = NatsPool {
            count: settings.nats_accounts,
            users: settings.nats_users.iter().map(|user| (user.name.clone(), user.password.clone())).collect(),
            secret: secrets.nats.clone(),
            counter: places.base().join("nats-accounts"),
        };
        let users = if ours && up { nats_users(&secrets.nats, &crate::nats::users(settings)) } else { BTreeMap::new() };
        let pages = started(Engine::Temporal).and_then(|started| started.pages);
        Addresses {
            postgres: address(
                Engine::Postgres,
                &format!("postgres://{SUPERUSER}:{}@", secrets.postgres),
                &format!("/{SUPERUSER}"),
            ),
            redis: address(Engine::Valkey, &format!("redis://:{}@", secrets.valkey), ""),
            nats: address(Engine::Nats, "nats://", ""),
            nats_users: users,
            nats_pool: (ours && !up).then_some(pool),
            temporal: address(Engine::Temporal, "http://", ""),
            temporal_ui: pages.map(|port| format!("http://127.0.0.1:{port}")),
        }
    }

    /// The addresses of the set that `workos-engines run` started around this process, if it did.
    pub fn from_env() -> Option<Addresses> {
        #[expect(clippy::disallowed_methods, reason = "this is how `workos-engines run` hands them over")]
        let text = std::env::var(VARIABLE).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The variables by which a command hears of this set: `WORKOS_ENGINES` holds all of it for `from_env`, the
    /// others are for scripts.
    pub fn to_env(&self) -> Vec<(String, String)> {
        let all = serde_json::to_string(self).expect("strings and numbers always serialize");
        let single =
            [("POSTGRES", &self.postgres), ("REDIS", &self.redis), ("NATS", &self.nats), ("TEMPORAL", &self.temporal)];
        let single = single.into_iter().map(|(name, value)| (format!("{VARIABLE}_{name}"), value.clone()));
        std::iter::once((VARIABLE.to_owned(), all)).chain(single).collect()
    }

    /// The addresses of the `up` that runs in a `.workos` folder, if one does.
    pub fn of_running(root: &Path) -> Option<Addresses> {
        let text = std::fs::read_to_string(root.join("run/ports.json")).ok()?;
        let alive = std::fs::File::open(root.join("run/lock")).ok()?.try_lock_shared().is_err();
        alive.then(|| serde_json::from_str(&text).ok()).flatten()
    }

    /// Account `n` of the pool; `None` beyond its end or when this set has no pool.
    pub fn nats_account(&self, n: u32) -> Option<NatsAccount> {
        let pool = self.nats_pool.as_ref().filter(|pool| n < pool.count)?;
        let name = format!("t{n}");
        let credentials = |user: &str, password: &Option<String>| {
            let full = pool_user(&name, user);
            let password = password.clone().unwrap_or_else(|| derive(&pool.secret, &full));
            (user.to_owned(), NatsCredentials { user: full, password })
        };
        let mut users: BTreeMap<_, _> = pool.users.iter().map(|(user, password)| credentials(user, password)).collect();
        if users.is_empty() {
            users.extend([credentials("", &None)]);
        }
        Some(NatsAccount { name, users })
    }

    /// An account that no test of this run has had yet, across all its processes. `None`: no pool, or none left.
    pub fn next_nats_account(&self) -> Option<NatsAccount> {
        let counter = &self.nats_pool.as_ref()?.counter;
        let next = || -> std::io::Result<u32> {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(counter)?;
            file.lock()?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let number = text.trim().parse().unwrap_or(0_u32);
            file.rewind()?;
            writeln!(file, "{}", number + 1)?;
            Ok(number)
        };
        self.nats_account(next().ok()?)
    }
}
