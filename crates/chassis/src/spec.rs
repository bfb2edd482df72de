//! What a service says about itself, as one constant. The host runs it; the same constant runs alone or beside others.
use futures::future::BoxFuture;

use crate::{Config, ConfigError, Section, kit::Kit, mount::Mount};

/// Why a process could not start; printed once. A [`ConfigError`] inside means exit code 78, else 70.
pub type BootError = anyhow::Error;

/// Starts a service: reads its configuration, builds it, mounts what it offers.
pub type Boot = for<'a> fn(Kit, &'a mut Mount) -> BoxFuture<'a, Result<(), BootError>>;

/// A service: name, start function, and what it needs.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSpec {
    pub(crate) name: &'static str,
    pub(crate) boot: Boot,
    pub(crate) migrations: Option<db::Migrations>,
    pub(crate) events: bool,
    pub(crate) settings: Option<Settings>,
}

/// The type of the service's configuration, erased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) check: fn(&Config, &str) -> Result<(), ConfigError>,
    pub(crate) print: fn(&Config, &str) -> Result<String, ConfigError>,
}

impl ServiceSpec {
    /// A service named as its crate and its package in the contract, without database and configuration.
    #[must_use]
    pub const fn new(name: &'static str, boot: Boot) -> ServiceSpec {
        ServiceSpec { name, boot, migrations: None, events: true, settings: None }
    }

    /// It has a schema of its own: `kit.db()` works, its outbox is relayed, `EventAdminService` is mounted.
    #[must_use]
    pub const fn migrations(mut self, migrations: db::Migrations) -> ServiceSpec {
        self.migrations = Some(migrations);
        self
    }

    /// It neither publishes nor hears events: no connection to the broker.
    #[must_use]
    pub const fn without_events(mut self) -> ServiceSpec {
        self.events = false;
        self
    }

    /// Its section of the configuration is read as `C`; checked before anything opens, shown by `config print`.
    #[must_use]
    pub const fn config<C: Section>(mut self) -> ServiceSpec {
        self.settings = Some(Settings {
            check: |config, name| config.section::<C>(name).map(drop),
            print: |config, name| config.print_section::<C>(name),
        });
        self
    }

    /// The service's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its migrations, when it has a database.
    #[must_use]
    pub const fn migration_set(&self) -> Option<db::Migrations> {
        self.migrations
    }
}
