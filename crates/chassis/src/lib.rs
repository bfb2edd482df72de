//! How a process lives: configuration, telemetry, tasks, readiness, start, stop, and the services in it.
//!
//! A service says what it is in one constant ([`ServiceSpec`]); [`main`] makes a thin binary of it, [`Host`] runs it beside
//! others. What must hold: every port is bound before an engine is asked; a wrong configuration ends the start before that
//! (exit 78); nothing runs without a name; a process is ready only when nothing is awaited; the end is in order, within a
//! deadline, and acknowledges nothing that is lost.

mod admin;
mod command;
pub mod config;
mod groups;
mod host;
pub mod identity;
mod keys;
mod kit;
pub mod lifecycle;
mod memory;
mod mount;
pub mod readiness;
pub mod reflection;
mod refusals;
mod spec;
pub mod tasks;
pub mod telemetry;

pub use command::{
    ConfigCommand, HealthCommand, block_on, config_command, default_text, engine_password, health, main, migrate,
    outcome, serve,
};
pub use config::{
    Config, ConfigError, EngineUrl, LogFormat, Options, Platform, Profile, Secret, Section, Size, duration,
};
pub use groups::{Belief, Groups};
pub use host::{Addresses, Host, NatsSignIn, Parts};
pub use kit::{Engine, Kit};
pub use mount::Mount;
pub use readiness::Awaited;
pub use spec::{Boot, BootError, ServiceSpec};
pub use tasks::Tasks;
