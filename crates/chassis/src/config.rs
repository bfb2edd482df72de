//! Configuration: defaults in code < `workos.toml` < environment `WORKOS__SECTION__KEY` < `--set` on the command line.
//!
//! One file serves every binary: platform sections ([`Platform`]) and one section per service, each read by the struct that
//! stands beside its user ([`Section`]). Unknown keys are errors everywhere, and everything is read and checked before a
//! port opens. This file is the only reader of the environment.
mod describe;
pub mod duration;
mod file_keys;
mod platform;
pub(crate) mod secret;
mod size;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Source,
    providers::{Env, Format as _, Serialized, Toml},
    value::Value,
};
use serde::{Serialize, de::DeserializeOwned};

pub use platform::{
    Admin, Engines, Lifecycle, LogFormat, Nats, Platform, Postgres, Profile, Redis, Rpc, Telemetry, Temporal,
};
pub use secret::{EngineUrl, Secret};
pub use size::Size;

/// File that is read when none is named.
const DEFAULT_FILE: &str = "workos.toml";

/// The configuration is wrong; the process ends with exit code 78.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// Says what is wrong and what to write instead.
    pub fn new(text: impl Into<String>) -> ConfigError {
        ConfigError(text.into())
    }
}

/// The configuration of one service, a struct in its `config.rs`.
pub trait Section: Serialize + DeserializeOwned + Default + Send + 'static {
    /// `include_str!("config.rs")`: the field comments become the comments of `config default`.
    const SOURCE: &'static str;

    /// Refuses values that cannot work, naming the setting and its range.
    ///
    /// # Errors
    /// The sentence that the operator reads.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Where to read, beside the environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Configuration file; without it `workos.toml` of the current folder is read when there is one
    #[arg(long, global = true, value_name = "FILE", env = "WORKOS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Sets one value, over file and environment: `--set document.page_size_max=50` (repeatable)
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The platform sections.
    pub platform: Platform,
    figment: Figment,
}

impl Config {
    /// Reads file, environment and options, and checks the platform sections.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a wrong type, a value out of range, a secret in the file.
    pub fn load(options: &Options) -> Result<Config, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = file_to_read(options)? {
            figment = figment.merge(file_keys::FileKeys(Toml::file_exact(path)));
        }
        figment = figment.merge(file_keys::FileKeys(Env::prefixed("WORKOS__").split("__")));
        for assignment in &options.set {
            figment = figment.merge(read_assignment(assignment)?);
        }
        Config::read(figment)
    }

    /// Nothing but defaults; for tests and for `config default`.
    ///
    /// # Errors
    /// None in practice: the defaults are tested.
    pub fn defaults() -> Result<Config, ConfigError> {
        Config::read(Figment::new())
    }

    /// The configuration with one value replaced, over everything else.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn set(&mut self, key: &str, value: impl Serialize) -> Result<(), ConfigError> {
        let figment = self.figment.clone().merge(file_keys::FileKeys(Serialized::default(key, value)));
        *self = Config::read(figment)?;
        Ok(())
    }

    /// The mesh as one process uses it: `{service}` in file names is its service, and a service that runs alone speaks mutual
    /// TLS unless the configuration says otherwise.
    pub(crate) fn mesh_settings(&self, service: &str) -> mesh::Settings {
        let mut settings = self.platform.mesh.clone();
        for path in [&mut settings.certificate, &mut settings.key, &mut settings.ca] {
            *path = PathBuf::from(path.to_string_lossy().replace("{service}", service));
        }
        settings
    }

    /// The configuration says how calls travel.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.figment.contains(key)
    }

    /// The section of one service, checked.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value that the section's `check` refuses.
    pub fn section<C: Section>(&self, service: &str) -> Result<C, ConfigError> {
        let section = if self.figment.contains(service) { self.extract(Some(service))? } else { C::default() };
        section.check().map_err(|text| ConfigError(format!("[{service}] {text}")))?;
        Ok(section)
    }

    fn read(figment: Figment) -> Result<Config, ConfigError> {
        let mut config = Config { platform: Platform::default(), figment };
        config.refuse_unknown_sections()?;
        config.platform = config.extract(None)?;
        config.platform.check()?;
        Ok(config)
    }

    fn extract<T: DeserializeOwned>(&self, section: Option<&str>) -> Result<T, ConfigError> {
        secret::forget_literals();
        let read = match section {
            Some(section) => self.figment.extract_inner(section),
            None => self.figment.extract(),
        };
        let value = read.map_err(|error| ConfigError(error.to_string()))?;
        for tag in secret::literals() {
            let source = self.figment.get_metadata(tag).and_then(|metadata| metadata.source.as_ref());
            if let Some(Source::File(path)) = source {
                let place = section.map_or_else(String::new, |section| format!(" in [{section}]"));
                return Err(ConfigError(format!(
                    "a secret{place} stands in {}; give it by environment (WORKOS__...), or as the path of a file under its name with `_file`",
                    path.display()
                )));
            }
        }
        Ok(value)
    }

    /// A misspelled section would be ignored in silence: every top-level key must be known.
    fn refuse_unknown_sections(&self) -> Result<(), ConfigError> {
        let given: figment::value::Dict = self.figment.extract().map_err(|error| ConfigError(error.to_string()))?;
        let platform = table(&Platform::default())?;
        let services = contract_services();
        for key in given.keys() {
            if !platform.contains_key(key) && !services.contains(key.as_str()) {
                let known: Vec<_> = platform.keys().map(String::as_str).chain(services.iter().copied()).collect();
                return Err(ConfigError(format!("unknown key or section `{key}`; known are: {}", known.join(", "))));
            }
        }
        Ok(())
    }

    /// The platform sections as TOML, secrets masked.
    pub(crate) fn print_platform(&self) -> Result<String, ConfigError> {
        Ok(describe::render(Platform::SOURCE, "Platform", &table(&self.platform)?, ""))
    }

    /// One service's section as TOML, secrets masked.
    pub(crate) fn print_section<C: Section>(&self, service: &str) -> Result<String, ConfigError> {
        let section: C = self.section(service)?;
        Ok(describe::render(C::SOURCE, "Config", &table(&section)?, service))
    }
}

/// Names that a section may have beside the platform's: the services of the contract and the workloads it names.
fn contract_services() -> BTreeSet<&'static str> {
    let access = proto::methods().iter().filter_map(|method| method.access.as_ref());
    let peers = access.flat_map(|access| access.peers.iter().map(String::as_str));
    proto::methods().iter().map(|method| method.service).chain(peers).collect()
}

fn table(value: &impl Serialize) -> Result<toml::Table, ConfigError> {
    toml::Table::try_from(value).map_err(|error| ConfigError(format!("cannot print the configuration: {error}")))
}

fn file_to_read(options: &Options) -> Result<Option<PathBuf>, ConfigError> {
    match &options.config {
        Some(path) if path.is_file() => Ok(Some(path.clone())),
        Some(path) => Err(ConfigError(format!("the configuration file {} does not exist", path.display()))),
        None => Ok(Some(PathBuf::from(DEFAULT_FILE)).filter(|path| Path::is_file(path))),
    }
}

fn read_assignment(text: &str) -> Result<file_keys::FileKeys<Serialized<Value>>, ConfigError> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(|| {
        ConfigError(format!("--set {text}: write KEY=VALUE, such as --set document.page_size_max=50"))
    })?;
    let Ok(value) = value.parse::<Value>();
    Ok(file_keys::FileKeys(Serialized::default(key.trim(), value)))
}

#[cfg(test)]
mod tests;
