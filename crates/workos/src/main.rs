//! `workos`: the whole platform on one machine, and the commands around it.
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
    #[command(subcommand)]
    Config(chassis::ConfigCommand),
    /// Ask a running process whether it is ready (exit code 0) or not (1)
    Health(chassis::HealthArguments),
    /// Tell the whole story on a folder of real files
    Demo(demo::Arguments),
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
    Admin(bootstrap::Command),
}

fn main() -> ExitCode {
    engines::guard::main_if_asked();
    let Arguments { command, options } = Arguments::parse();
    match command {
        Command::Up(arguments) => chassis::run(async move { up::run(&arguments, &options).await }),
        Command::Serve { services } => match chosen(&services) {
            Ok(specs) => chassis::serve(&specs, &options),
            Err(unknown) => fail(&unknown),
        },
        Command::Migrate => chassis::migrate(&services::SERVICES, &options),
        Command::Config(command) => command.run(&services::SERVICES, &options),
        Command::Health(arguments) => arguments.run(&options),
        Command::Demo(arguments) => chassis::run(async move { demo::run(&arguments, &options).await.map(|()| ExitCode::SUCCESS) }),
        Command::Login(arguments) => chassis::run(async move { login::run(&arguments).await.map(|()| ExitCode::SUCCESS) }),
        Command::Contract(command) => chassis::run(async move { contract::run(&command).map(|()| ExitCode::SUCCESS) }),
        Command::Certificates { dir } => chassis::run(async move { certificates::write(&dir).map(|()| ExitCode::SUCCESS) }),
        Command::Admin(command) => chassis::run(async move { bootstrap::run(&command, &options).await.map(|()| ExitCode::SUCCESS) }),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static chassis::ServiceSpec>, String> {
    if names.is_empty() {
        return Ok(services::SERVICES.to_vec());
    }
    let known = || services::SERVICES.iter().map(|spec| spec.name()).collect::<Vec<_>>().join(", ");
    let find = |name: &String| services::SERVICES.iter().copied().find(|spec| spec.name() == name);
    names.iter().map(|name| find(name).ok_or_else(|| format!("there is no service {name}; known are {}", known()))).collect()
}

fn fail(text: &str) -> ExitCode {
    terminal::note(format!("workos: {text}"));
    ExitCode::from(64)
}
