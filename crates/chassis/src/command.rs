//! The command line of thin binaries, and its parts for `workos`.
//!
//! `serve` runs, `migrate` brings the database up to date, `config` shows and checks, `health` asks a running process. Exit
//! codes: 0, 70 when something of ours broke, 78 when the configuration is wrong.
mod health;

use std::{collections::BTreeMap, future::Future, io::Write as _, process::ExitCode};

use clap::{Args, Parser, Subcommand};

pub use health::{HealthCommand, health};

use crate::{
    BootError, Config, ConfigError, Host, Options, Parts, ServiceSpec, host,
    keys::RootKey,
    lifecycle::{EXIT_CONFIG, EXIT_FAILED, EXIT_OK, Signals},
    telemetry,
};

/// One service of the WorkOS platform.
#[derive(Parser)]
#[command(version, about = "One service of the WorkOS platform", after_help = AFTER_HELP)]
struct Command {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    options: Options,
}

const AFTER_HELP: &str = "Configuration: defaults < workos.toml < environment WORKOS__SECTION__KEY < --set. `config default` prints every\nsetting with its meaning. Exit codes: 0 done, 70 failed, 78 wrong configuration.";

#[derive(Subcommand)]
enum Action {
    /// Runs the service until SIGTERM or SIGINT
    Serve,
    /// Creates or updates the service's schema; safe to run any number of times, also at once
    Migrate,
    /// Checks or shows the configuration
    Config(ConfigCommand),
    /// Asks a running process for its health; for image health checks
    Health(HealthCommand),
}

/// What to do with the configuration.
#[derive(Args, Clone, Debug)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Subcommand, Clone, Copy, Debug)]
enum ConfigAction {
    /// Reads everything and says what is wrong
    Check,
    /// Prints the configuration in force, secrets masked
    Print,
    /// Prints all settings with their meaning and default
    Default,
}

/// The whole of a thin binary: `fn main() -> ExitCode { chassis::main(&[&document::SERVICE]) }`.
#[must_use]
pub fn main(specs: &[&'static ServiceSpec]) -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => error.exit(),
    };
    if let Action::Health(health_command) = &command.action {
        return block_on(health(health_command.clone()));
    }
    if let Action::Config(ConfigCommand { action: ConfigAction::Default }) = &command.action {
        return outcome(default_text(specs).map(|text| show(&text)).map_err(BootError::from));
    }
    let mut config = match Config::load(&command.options) {
        Ok(config) => config,
        Err(error) => return outcome(Err(error.into())),
    };
    match command.action {
        Action::Config(action) => config_command(&action, specs, &config),
        Action::Migrate => block_on(async { outcome(run_migrate(specs, &config).await) }),
        _ => match direct_unless_said(specs, &mut config) {
            Ok(()) => block_on(serve(specs, config)),
            Err(error) => outcome(Err(error.into())),
        },
    }
}

/// A service alone is reached over sockets: without a word in the configuration it speaks mutual TLS.
fn direct_unless_said(specs: &[&'static ServiceSpec], config: &mut Config) -> Result<(), ConfigError> {
    if specs.len() == 1 && !config.has("mesh.mode") { config.set("mesh.mode", "direct") } else { Ok(()) }
}

/// Runs services until a signal, and drains.
pub async fn serve(specs: &[&'static ServiceSpec], config: Config) -> ExitCode {
    let served = run(specs, config).await;
    outcome(served)
}

async fn run(specs: &[&'static ServiceSpec], config: Config) -> Result<(), BootError> {
    let mut signals = Signals::take()?;
    let host = Host::start(specs, config, Parts::default()).await?;
    let began = tokio::time::Instant::now();
    tokio::select! {
        ready = host.ready() => ready?,
        name = signals.next() => return stop(host, signals, name).await,
    }
    let addresses = host.addresses();
    tracing::info!(admin = %addresses.admin, rpc = ?addresses.rpc, elapsed_ms = began.elapsed().as_millis(), "ready");
    // A broken process stays up and says so (liveness fails), so that its logs can be read; whoever runs it restarts it.
    let name = signals.next().await;
    stop(host, signals, name).await
}

async fn stop(host: Host, mut signals: Signals, name: &'static str) -> Result<(), BootError> {
    tracing::info!(signal = name, "stopping");
    let failed = host.readiness().state().failed;
    let telemetry = host.telemetry();
    let cut = tokio::select! {
        cut = host.stop() => cut,
        () = signals.end_on_next() => Vec::new(),
    };
    // Sending the last traces blocks, and the collector may be away.
    let _ = tokio::task::spawn_blocking(move || telemetry.flush()).await;
    match failed {
        Some(failed) => Err(anyhow::anyhow!(failed)),
        None if cut.is_empty() => Ok(()),
        None => Err(anyhow::anyhow!("cut at the drain deadline: {}", cut.join(", "))),
    }
}

/// Brings the database to the migrations of these services. Roles get the passwords that the services will use.
///
/// # Errors
/// No address, no right to create roles, or a migration that PostgreSQL refused.
pub async fn migrate(specs: &[&'static ServiceSpec], config: &Config) -> Result<Vec<db::Applied>, BootError> {
    let postgres = &config.platform.engines.postgres;
    let url = if postgres.admin_url.is_empty() { &postgres.url } else { &postgres.admin_url };
    if url.is_empty() {
        let text = "engines.postgres.admin_url is empty: give the address of PostgreSQL with an account that may create roles and schemas";
        return Err(ConfigError::new(text).into());
    }
    let root_key = RootKey::resolve(&config.platform)?;
    let sets: Vec<_> = specs.iter().filter_map(|spec| spec.migrations).collect();
    let password = |service: &str| match postgres.password.reveal() {
        derived if derived.is_empty() => root_key.password("postgres", service),
        given => given,
    };
    let passwords: BTreeMap<_, _> = sets.iter().map(|set| (set.service.to_owned(), password(set.service))).collect();
    Ok(db::migrate(&url.reveal(), &sets, &passwords).await?)
}

/// Password of a service's account at NATS or PostgreSQL when none is configured; whoever starts the engine makes the account.
///
/// # Errors
/// The root secret cannot be read or made.
pub fn engine_password(config: &Config, engine: crate::Engine, service: &str) -> Result<String, BootError> {
    Ok(RootKey::resolve(&config.platform)?.password(engine.as_str(), service))
}

async fn run_migrate(specs: &[&'static ServiceSpec], config: &Config) -> Result<(), BootError> {
    telemetry::install(&config.platform, "workos-migrate")?;
    let applied = migrate(specs, config).await?;
    let lines: String = applied.iter().map(|applied| format!("{} {}\n", applied.service, applied.name)).collect();
    show(if lines.is_empty() { "nothing to do\n" } else { &lines });
    Ok(())
}

/// `config check | print | default`.
#[must_use]
pub fn config_command(command: &ConfigCommand, specs: &[&'static ServiceSpec], config: &Config) -> ExitCode {
    let text = match command.action {
        ConfigAction::Default => default_text(specs),
        ConfigAction::Print => host::print(specs, config),
        ConfigAction::Check => host::print(specs, config).map(|_| "configuration: good\n".to_owned()),
    };
    outcome(text.map(|text| show(&text)).map_err(BootError::from))
}

/// All settings of these services with meaning and default: the text of `docs/config.toml`.
///
/// # Errors
/// None in practice.
pub fn default_text(specs: &[&'static ServiceSpec]) -> Result<String, ConfigError> {
    host::print(specs, &Config::defaults()?)
}

/// Runs a command on the runtime that every binary uses.
#[must_use]
pub fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    // First thing: rustls refuses to choose between providers by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // What blocks in the background must not hold up the end.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            code
        }
        Err(error) => outcome(Err(BootError::new(error).context("start the runtime"))),
    }
}

/// Says once what went wrong, and turns it into an exit code.
#[must_use]
pub fn outcome(result: Result<(), BootError>) -> ExitCode {
    let Err(error) = result else { return ExitCode::from(EXIT_OK) };
    let is_configuration = error.chain().any(|cause| cause.downcast_ref::<ConfigError>().is_some());
    let prefix = if is_configuration { "configuration: " } else { "" };
    // Nobody may be listening: then the exit code says it.
    let _ = writeln!(std::io::stderr().lock(), "{prefix}{error:#}");
    ExitCode::from(if is_configuration { EXIT_CONFIG } else { EXIT_FAILED })
}

fn show(text: &str) {
    // A closed pipe (`| head`) is no failure.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
