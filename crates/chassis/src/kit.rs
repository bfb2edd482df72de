//! What every service may use, handed to its start function.
use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use api::{Clock, Ids, Sealer};
use authz::{Directory, Keys, Revocations};
use db::Db;
use mesh::client::Mesh;

use crate::{BootError, Config, ConfigError, Groups, Platform, Profile, Section, Tasks, keys::RootKey};

/// An engine beside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// Valkey or Redis.
    Redis,
    /// NATS with JetStream.
    Nats,
    /// Temporal.
    Temporal,
}

impl Engine {
    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Postgres => "postgres",
            Engine::Redis => "redis",
            Engine::Nats => "nats",
            Engine::Temporal => "temporal",
        }
    }
}

/// The parts of one service; clones share them.
#[derive(Clone)]
pub struct Kit(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) service: &'static str,
    pub(crate) config: Config,
    pub(crate) root_key: RootKey,
    pub(crate) data_dir: PathBuf,
    pub(crate) db: Option<Db>,
    pub(crate) cache: cache::Cache,
    pub(crate) mesh: Mesh,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
    pub(crate) keys: Keys,
    pub(crate) revocations: Revocations,
    pub(crate) directory: Directory,
    pub(crate) groups: Groups,
}

impl Kit {
    /// The service's section of the configuration, checked.
    ///
    /// # Errors
    /// Something in it is wrong; the process ends with 78.
    pub fn config<C: Section>(&self) -> Result<C, BootError> {
        Ok(self.0.config.section(self.0.service)?)
    }

    /// The service's database.
    ///
    /// # Panics
    /// When its constant declares no migrations: a mistake in code that the first start shows.
    #[must_use]
    pub fn db(&self) -> Db {
        self.0.db.clone().expect("a service with a database says .migrations(MIGRATIONS) in its SERVICE constant")
    }

    /// The cache, with keys of this service only.
    #[must_use]
    pub fn cache(&self) -> cache::Cache {
        self.0.cache.clone()
    }

    /// Calls to other services under this workload's name.
    #[must_use]
    pub fn mesh(&self) -> Mesh {
        self.0.mesh.clone()
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    /// New ids.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.0.ids.clone()
    }

    /// Seals page tokens with a key of this service.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::new(&self.derive_key("page tokens"))
    }

    /// A key of this service for one purpose, derived from the root secret: the same on every start and every instance.
    #[must_use]
    pub fn derive_key(&self, purpose: &str) -> [u8; 32] {
        self.0.root_key.derive(&format!("{}/{purpose}", self.0.service))
    }

    /// Background work.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        self.0.tasks.clone()
    }

    /// A folder for this service alone; it exists.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.0.data_dir.clone()
    }

    /// Kind of environment.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.0.config.platform.profile
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Address under which clients reach the gateway, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        self.0.config.platform.public_url.trim_end_matches('/')
    }

    /// Where an engine is, for services that speak to one directly.
    ///
    /// # Errors
    /// No address is configured; the process ends with 78.
    pub fn engine_url(&self, engine: Engine) -> Result<String, BootError> {
        Ok(engine_url(&self.0.config.platform, engine)?)
    }

    /// Namespace of Temporal.
    #[must_use]
    pub fn temporal_namespace(&self) -> &str {
        &self.0.config.platform.engines.temporal.namespace
    }

    /// Keys that verify internal tokens, kept fresh.
    #[must_use]
    pub fn verify_keys(&self) -> Keys {
        self.0.keys.clone()
    }

    /// What was revoked, kept fresh.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        self.0.revocations.clone()
    }

    /// What custom roles allow, kept fresh.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.0.directory.clone()
    }

    /// Which groups callers are in, for who decides by shares.
    #[must_use]
    pub fn groups(&self) -> Groups {
        self.0.groups.clone()
    }

    /// All platform settings.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.0.config.platform
    }
}

pub(crate) fn engine_url(platform: &Platform, engine: Engine) -> Result<String, ConfigError> {
    let engines = &platform.engines;
    let url = match engine {
        Engine::Postgres => &engines.postgres.url,
        Engine::Redis => &engines.redis.url,
        Engine::Nats => &engines.nats.url,
        Engine::Temporal => &engines.temporal.url,
    };
    if url.is_empty() {
        let name = engine.as_str();
        let variable = name.to_uppercase();
        return Err(ConfigError::new(format!(
            "engines.{name}.url is empty: `serve` starts no engine, so give its address (WORKOS__ENGINES__{variable}__URL), or use `workos up`"
        )));
    }
    Ok(url.reveal())
}

/// Makes the folder of one service, private to our account.
pub(crate) fn data_dir(platform: &Platform, service: &str) -> Result<PathBuf, BootError> {
    let folder = platform.data_dir.join(service);
    let context = || format!("create the data folder {} (data_dir)", folder.display());
    std::fs::create_dir_all(&folder).with_context(context)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).with_context(context)?;
    }
    Ok(folder.canonicalize().unwrap_or(folder))
}
