//! `workos`: the whole platform on one machine, and the commands around it.
mod admin;
mod bench;
mod bootstrap;
mod certificates;
mod contract;
mod demo;
mod login;
mod running;
mod services;
mod terminal;
mod up;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use chassis::{Config, block_on, outcome};
use clap::{Parser, Subcommand};

/// The WorkOS platform: six services and an edge in one binary.
#[derive(Parser)]
#[command(name = "workos", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: chassis::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Start engines, services and edge here, in the foreground
    Up(up::Arguments),
    /// Run services against engines given by URL, for example `workos serve document`
    Serve {
        /// Services to run; all when none is named
        services: Vec<String>,
    },
    /// Bring the database schemas of the services up to date
    Migrate,
    /// Look at the configuration: `check`, `print` or `default`
    Config(chassis::ConfigCommand),
    /// Ask a running process for its health
    Health(chassis::HealthCommand),
    /// Tell the whole story on a folder of real files
    Demo(demo::Arguments),
    /// Measure against the goals and a peer
    Bench(bench::Arguments),
    /// Sign in and print an access token for curl
    Login(login::Arguments),
    /// What is made from the contract: routes, OpenAPI, mesh policy, a new service
    #[command(subcommand)]
    Contract(contract::Command),
    /// Write a development CA and a certificate for every service
    Certificates {
        /// Folder to write to
        dir: PathBuf,
    },
    /// Administration beside the API
    #[command(subcommand)]
    Admin(admin::Command),
}

fn main() -> ExitCode {
    engines::guard::main_if_asked();
    let Arguments { command, options } = Arguments::parse();
    match command {
        Command::Up(arguments) => block_on(async move { outcome(up::run(&arguments, &options).await) }),
        Command::Serve { services } => match (chosen(&services), Config::load(&options)) {
            (Ok(specs), Ok(config)) => block_on(async move { chassis::serve(&specs, config).await }),
            (Err(unknown), _) => fail(&unknown),
            (_, Err(error)) => outcome(Err(error.into())),
        },
        Command::Migrate => block_on(async move { outcome(migrate(&options).await) }),
        Command::Config(command) => match Config::load(&options) {
            Ok(config) => chassis::config_command(&command, &services::SERVICES, &config),
            Err(error) => outcome(Err(error.into())),
        },
        Command::Health(command) => block_on(async move { chassis::health(command).await }),
        Command::Demo(arguments) => block_on(async move { outcome(demo::run(&arguments, &options).await) }),
        Command::Bench(arguments) => block_on(async move { outcome(bench::run(&arguments).await) }),
        Command::Login(arguments) => block_on(async move { outcome(login::run(&arguments).await) }),
        Command::Contract(command) => outcome(contract::run(&command)),
        Command::Certificates { dir } => outcome(certificates::write(&dir)),
        Command::Admin(command) => block_on(async move { outcome(Box::pin(admin::run(&command, &options)).await) }),
    }
}

async fn migrate(options: &chassis::Options) -> Result<()> {
    let applied = chassis::migrate(&services::SERVICES, &Config::load(options)?).await?;
    terminal::line(format!("{} migrations applied; every schema is up to date", applied.len()));
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static chassis::ServiceSpec>, String> {
    if names.is_empty() {
        return Ok(services::SERVICES.to_vec());
    }
    let known = || services::SERVICES.iter().map(|spec| spec.name()).collect::<Vec<_>>().join(", ");
    let find = |name: &String| services::SERVICES.iter().copied().find(|spec| spec.name() == name);
    names
        .iter()
        .map(|name| find(name).ok_or_else(|| format!("there is no service {name}; known are {}", known())))
        .collect()
}

fn fail(text: &str) -> ExitCode {
    terminal::note(format!("workos: {text}"));
    ExitCode::from(64)
}
