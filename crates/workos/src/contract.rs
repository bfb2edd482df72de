//! `workos contract`: what is made from the contract.
mod document;
mod generate;
mod manifest;
mod new_service;
mod policy;
mod reasons;
mod route;
mod tree;

use anyhow::Result;

/// What to make.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The descriptor set, as bytes on standard output
    Descriptors,
    /// The OpenAPI 3.1 document
    Openapi,
    /// Every REST route with its RPC and who may call it
    Routes,
    /// The mesh policy of every workload, as Kubernetes objects
    Policy {
        /// Write it into k8s/base instead of showing it
        #[arg(long)]
        write: bool,
    },
    /// Rewrite everything in the tree that is made from contract and code
    Generate {
        /// Change nothing; fail when a file is missing or stale
        #[arg(long)]
        check: bool,
    },
    /// Write the five places of a new service
    NewService {
        /// Its name, a singular noun in lower case: `audit`
        name: String,
    },
}

/// Makes it.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Descriptors => document::descriptors(),
        Command::Openapi => document::openapi(),
        Command::Routes => route::table(),
        Command::Policy { write: true } => generate::write(&tree::root()?, generate::policies()),
        Command::Policy { write: false } => generate::show_policies(),
        Command::Generate { check: false } => generate::write(&tree::root()?, generate::all()?),
        Command::Generate { check: true } => generate::check(&tree::root()?),
        Command::NewService { name } => new_service::run(&tree::root()?, name),
    }
}
