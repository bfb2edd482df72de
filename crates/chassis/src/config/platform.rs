//! The sections that are the same for every process: who we are, where things are, how to start and stop.
//!
//! Everything here has a default that works on one machine; `check` refuses what cannot work before anything opens.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ConfigError, EngineUrl, Secret, Size};

/// Settings of the process, outside the sections of services.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `dev`, `staging` or `prod`. Outside `dev` a secret key must be given.
    pub profile: Profile,
    /// Address under which clients reach the gateway; goes into links and tokens.
    pub public_url: String,
    /// Folder for what this process keeps on disk; each service has its own folder in it.
    pub data_dir: PathBuf,
    /// Root of all keys this process derives (page tokens, passwords of engine accounts), at least 32 characters. Empty in
    /// `dev`: made once and kept as `secret.key` in the data folder.
    pub secret_key: Secret,
    /// Logs, traces, metrics.
    pub telemetry: Telemetry,
    /// How calls travel between services.
    pub mesh: mesh::Settings,
    /// Where the engines are.
    pub engines: Engines,
    /// Metrics, readiness, log level, health in plain text.
    pub admin: Admin,
    /// gRPC inside the mesh (modes `direct` and `sidecar`).
    pub rpc: Rpc,
    /// Start and stop.
    pub lifecycle: Lifecycle,
}

impl Default for Platform {
    fn default() -> Platform {
        Platform {
            profile: Profile::Dev,
            public_url: "http://localhost:8080".to_owned(),
            data_dir: PathBuf::from(".workos/data"),
            secret_key: Secret::default(),
            telemetry: Telemetry::default(),
            mesh: mesh::Settings::default(),
            engines: Engines::default(),
            admin: Admin::default(),
            rpc: Rpc::default(),
            lifecycle: Lifecycle::default(),
        }
    }
}

/// Kind of environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One machine, one developer.
    Dev,
    /// As production, with data that may be lost.
    Staging,
    /// The real thing.
    Prod,
}

impl Profile {
    /// The profile's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Staging => "staging",
            Profile::Prod => "prod",
        }
    }
}

/// Logs, traces, metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Least level that is logged, or directives such as `info,mesh=debug`.
    pub level: String,
    /// `json` (one ECS line per event on stdout), `pretty` (for people, on stderr) or `auto`: pretty on a terminal.
    pub format: LogFormat,
    /// File that takes the log as JSON instead of stdout; the one before it is kept as `.1`. Empty: no file.
    pub file: PathBuf,
    /// OTLP/gRPC address that takes the traces (Jaeger: `http://localhost:4317`); empty: no traces leave the process.
    pub otlp_url: String,
    /// Share of new traces that is kept, 0 to 1. A caller's decision is followed.
    pub sample_ratio: f64,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        let format = LogFormat::Auto;
        Telemetry { level: "info".to_owned(), format, file: PathBuf::new(), otlp_url: String::new(), sample_ratio: 1.0 }
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// One ECS line per event on stdout.
    Json,
    /// For people, on stderr.
    Pretty,
}

/// Where the engines are. An empty `url`: `workos up` starts the engine, `serve` refuses to start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engines {
    /// Account that runs PostgreSQL when `workos up` runs as root; empty: `postgres`, else `nobody`.
    pub account: String,
    /// PostgreSQL 18.
    pub postgres: Postgres,
    /// Valkey or Redis.
    pub redis: Redis,
    /// NATS with JetStream.
    pub nats: Nats,
    /// Temporal.
    pub temporal: Temporal,
}

/// PostgreSQL 18.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://host:port/database`; each service signs in with its own role.
    pub url: EngineUrl,
    /// The same with an account that may create roles and schemas, for `migrate`; empty: `url`.
    pub admin_url: EngineUrl,
    /// Password of the service's role; empty: derived from the secret key, as `migrate` does.
    pub password: Secret,
    /// Most connections of one service.
    pub pool_size: usize,
    /// Server program for `workos up`; empty: the one of the tools folder.
    pub program: PathBuf,
}

impl Default for Postgres {
    fn default() -> Postgres {
        Postgres {
            url: EngineUrl::default(),
            admin_url: EngineUrl::default(),
            password: Secret::default(),
            pool_size: 16,
            program: PathBuf::new(),
        }
    }
}

/// Valkey or Redis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://:password@host:port`.
    pub url: EngineUrl,
    /// Instances of each service that share its rate limits: while Redis is away, each grants its part of them.
    pub instances: u32,
    /// How long the shared limits may take to answer before the local ones do: part of the latency of each request then.
    #[serde(with = "crate::duration")]
    pub limit_timeout: Duration,
    /// Server program for `workos up`; empty: the one of the tools folder.
    pub program: PathBuf,
}

impl Default for Redis {
    fn default() -> Redis {
        Redis {
            url: EngineUrl::default(),
            instances: 1,
            limit_timeout: Duration::from_millis(20),
            program: PathBuf::new(),
        }
    }
}

/// NATS with JetStream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// `nats://host:port`; with `user:password@` that account is used by every service.
    pub url: EngineUrl,
    /// Password of the service's NATS user; empty: derived from the secret key.
    pub password: Secret,
    /// Passwords of single services' users, for a process that runs several: `auth = "..."`. One that stands here wins.
    pub passwords: BTreeMap<String, Secret>,
    /// Size that the stream of each service may reach, reserved by the server; a full one pushes back into the outbox.
    pub stream_size: Size,
    /// How long streams keep events.
    #[serde(with = "super::duration")]
    pub stream_age: Duration,
    /// Size that the stream of dead letters may reach, reserved by the server.
    pub dead_letter_size: Size,
    /// Copies of each stream: 1 on one machine, 3 in a cluster.
    pub replicas: usize,
    /// Server program for `workos up`; empty: the one of the tools folder.
    pub program: PathBuf,
}

impl Nats {
    /// User and password of a service; none is given when its password is to be derived.
    pub(crate) fn account(&self, service: &str) -> Option<(String, String)> {
        let own = || self.passwords.get(service).or((!self.password.is_empty()).then_some(&self.password));
        self.url.userinfo().or_else(|| own().map(|password| (service.to_owned(), password.reveal())))
    }
}

impl Default for Nats {
    fn default() -> Nats {
        Nats {
            url: EngineUrl::default(),
            password: Secret::default(),
            passwords: BTreeMap::new(),
            stream_size: Size::from_mib(1024),
            stream_age: Duration::from_secs(14 * 86_400),
            dead_letter_size: Size::from_mib(256),
            replicas: 1,
            program: PathBuf::new(),
        }
    }
}

/// Temporal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Temporal {
    /// `http://host:port`.
    pub url: EngineUrl,
    /// Namespace, which must exist.
    pub namespace: String,
    /// Server program for `workos up`; empty: the one of the tools folder.
    pub program: PathBuf,
}

impl Default for Temporal {
    fn default() -> Temporal {
        Temporal { url: EngineUrl::default(), namespace: "workos".to_owned(), program: PathBuf::new() }
    }
}

/// Metrics, readiness, log level, health in plain text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address of the admin port.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin { listen: SocketAddr::from(([127, 0, 0, 1], 9090)) }
    }
}

/// gRPC inside the mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rpc {
    /// Address of the gRPC port (modes `direct` and `sidecar`).
    pub listen: SocketAddr,
}

impl Default for Rpc {
    fn default() -> Rpc {
        Rpc { listen: SocketAddr::from(([127, 0, 0, 1], 50051)) }
    }
}

/// Start and stop.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// Longest time from the signal to the end of the process; what runs then is cut and named in the log.
    #[serde(with = "super::duration")]
    pub drain: Duration,
}

impl Default for Lifecycle {
    fn default() -> Lifecycle {
        Lifecycle { drain: Duration::from_secs(40) }
    }
}

impl Platform {
    /// Where the comments of `config default` are read from.
    pub(super) const SOURCE: &'static str =
        concat!(include_str!("platform.rs"), include_str!("../../../mesh/src/settings.rs"));

    /// Refuses values that cannot work, naming the setting.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::new(text));
        if !self.public_url.starts_with("http://") && !self.public_url.starts_with("https://") {
            return refuse(format!("public_url = \"{}\" must begin with http:// or https://", self.public_url));
        }
        if self.profile != Profile::Dev && self.secret_key.is_empty() {
            return refuse(
                "secret_key is empty: outside the profile `dev` give it by WORKOS__SECRET_KEY or secret_key_file"
                    .to_owned(),
            );
        }
        if !self.secret_key.is_empty() && self.secret_key.reveal().chars().count() < 32 {
            return refuse("secret_key is shorter than 32 characters; make one with: openssl rand -hex 32".to_owned());
        }
        self.mesh.check().map_err(ConfigError::new)?;
        if !(0.0..=1.0).contains(&self.telemetry.sample_ratio) {
            return refuse(format!(
                "telemetry.sample_ratio = {} must lie between 0 and 1",
                self.telemetry.sample_ratio
            ));
        }
        if !(1..=1000).contains(&self.engines.redis.instances) {
            return refuse("engines.redis.instances must lie between 1 and 1000".to_owned());
        }
        if !(1..=1000).contains(&self.engines.postgres.pool_size) {
            return refuse(format!(
                "engines.postgres.pool_size = {} must lie between 1 and 1000",
                self.engines.postgres.pool_size
            ));
        }
        if !(1..=5).contains(&self.engines.nats.replicas) {
            return refuse(format!("engines.nats.replicas = {} must lie between 1 and 5", self.engines.nats.replicas));
        }
        if self.lifecycle.drain.is_zero() || self.lifecycle.drain > Duration::from_secs(600) {
            return refuse("lifecycle.drain must lie between 1ms and 10m".to_owned());
        }
        Ok(())
    }
}
