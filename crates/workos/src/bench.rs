//! `workos bench [NAME]`: measures against the goals and a peer, side by side in one run.
//!
//! Prints a table and writes `.workos/bench/NAME.json`. Figures are ratios and CPU time per request; a wall time alone says
//! nothing on a shared machine. Run it on a release build (`./dev bench`).
mod authorization;
mod family;
mod load;
mod peer;
mod platform;
mod process;
mod raw;
pub(crate) mod row;
mod usage;
mod warm;

use anyhow::{Result, bail};

use crate::{running, terminal};

/// Arguments of `workos bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure: `platform` or `auth`
    #[arg(default_value = "platform")]
    name: String,
    /// Documents to import
    #[arg(long, default_value_t = 2000)]
    documents: usize,
    /// Calls per measured path
    #[arg(long, default_value_t = 4000)]
    calls: usize,
    /// Of `auth`: sign-ins and answers per kind of account that are timed
    #[arg(long, default_value_t = 200)]
    sign_ins: usize,
    /// Of `auth`: minutes of calls while all cores are busy
    #[arg(long, default_value_t = 5)]
    busy_minutes: u64,
}

/// Measures, prints and writes.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    if cfg!(debug_assertions) {
        terminal::note("this is a debug build: the figures say nothing about speed; use ./dev bench");
    }
    let rows = match arguments.name.as_str() {
        "platform" => platform::measure(arguments.documents, arguments.calls).await?,
        "auth" => authorization::measure(arguments).await?,
        other => bail!("there is no bench {other} here; ./dev bench knows all: platform, auth, gateway"),
    };
    terminal::table(&row::table(&rows));
    let path = row::write(&running::root().join("bench"), &arguments.name, &rows)?;
    terminal::note(format!("written: {}", path.display()));
    Ok(())
}
