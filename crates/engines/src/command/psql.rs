//! `workos-engines psql`: becomes the psql that came with the pinned PostgreSQL. The password goes by environment,
//! where other accounts cannot see it, not by argument, where they can.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::address::Addresses;
use crate::engine::Engine;
use crate::error::{Doing, EngineError};
use crate::found::program;
use crate::settings::Settings;

/// Returns only when it cannot become psql.
pub(super) fn psql(arguments: &[OsString]) -> Result<u8, EngineError> {
    let settings = Settings::default();
    let addresses = Addresses::of_running(&settings.root).ok_or_else(|| {
        EngineError::Configuration(format!("no `up` runs in {}: start one with `./dev up`", settings.root.display()))
    })?;
    let url: http::Uri = addresses.postgres.parse().map_err(|_| damaged("postgres"))?;
    let authority = url.authority().ok_or_else(|| damaged("postgres"))?.as_str();
    let (user, password) = authority
        .rsplit_once('@')
        .map_or(("postgres", ""), |(credentials, _)| credentials.split_once(':').unwrap_or((credentials, "")));
    let psql = program(Engine::Postgres, &settings)?.beside("psql");
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    let mut command = Command::new(&psql);
    command
        .args(arguments)
        .env("PGHOST", url.host().unwrap_or("127.0.0.1"))
        .env("PGPORT", url.port_u16().unwrap_or(5432).to_string())
        .env("PGUSER", user)
        .env("PGPASSWORD", password)
        .env("PGDATABASE", url.path().trim_start_matches('/'));
    Err(command.exec()).doing(|| format!("run {}", psql.display()))
}

fn damaged(what: &str) -> EngineError {
    EngineError::Configuration(format!("the address of {what} in ports.json is not a url: start `up` again"))
}
