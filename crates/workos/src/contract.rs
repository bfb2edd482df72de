//! `workos contract`: what is made from the contract.
mod document;
mod route;

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
}

/// Makes it.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Descriptors => document::descriptors(),
        Command::Openapi => document::openapi(),
        Command::Routes => route::table(),
    }
}
