//! The commands of the thin binary `workos-engines`: `run -- COMMAND` with a throw-away set around it, `hold` for a
//! test that was started alone, and `psql` and `reset` on the engines of this folder.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::io::AsyncReadExt;

use crate::error::EngineError;
use crate::settings::{Mode, Settings};
use crate::start::Engines;

mod psql;
mod reset;
mod run;

/// Real engines around a command, and small tools on those of this folder.
#[derive(Parser)]
#[command(name = "workos-engines", version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start a throw-away set, run COMMAND with its addresses in the environment, stop the set, return COMMAND's
    /// exit code
    Run {
        /// The command and its arguments
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Start a set, print its addresses as one line of JSON, stop it when standard input closes
    Hold {
        /// The durable set of this `.workos` folder instead of a throw-away one
        #[arg(long, value_name = "FOLDER")]
        durable: Option<PathBuf>,
    },
    /// psql on the PostgreSQL of the running platform, as its superuser
    Psql {
        /// Arguments of psql
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Delete the data of the engines and services in this folder; refused while an `up` runs
    Reset {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// The whole life of the thin binary.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("start the runtime: {error}"), 71),
    };
    let result = match arguments.command {
        Action::Run { command } => runtime.block_on(run::run(&command)),
        Action::Hold { durable } => runtime.block_on(hold(durable)),
        Action::Psql { arguments } => psql::psql(&arguments),
        Action::Reset { yes } => reset::reset(yes),
    };
    // The runtime is not waited for: a thread of it may sit in a read of standard input.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => complain(&error.to_string(), error.exit_code()),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "workos-engines: {text}");
    ExitCode::from(code)
}

/// Settings of a throw-away set.
fn throw_away() -> Settings {
    Settings { mode: Mode::Test, ..Settings::default() }
}

/// For `for_tests`, and for services run apart: one line on standard output, the addresses or why there are none.
async fn hold(durable: Option<PathBuf>) -> Result<u8, EngineError> {
    let settings = match durable {
        Some(root) => Settings { root, ..Settings::default() },
        None => Settings { nats_accounts: 256, ..throw_away() }, // one process has fewer tests than a whole run
    };
    let engines = match Engines::start(settings, |_| {}).await {
        Ok(engines) => engines,
        Err(error) => {
            let _ = writeln!(std::io::stdout(), "{error}");
            return Ok(error.exit_code());
        }
    };
    let line = serde_json::to_string(engines.addresses()).expect("strings and numbers always serialize");
    let _ = writeln!(std::io::stdout(), "{line}");
    let mut rest = Vec::new();
    let mut stdin = tokio::io::stdin();
    let failed = tokio::select! {
        _ = stdin.read_to_end(&mut rest) => None,
        error = engines.failed() => Some(error),
    };
    engines.stop().await;
    failed.map_or(Ok(0), |error| Ok(error.exit_code()))
}
