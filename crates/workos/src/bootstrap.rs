//! `workos admin bootstrap`: the one-time code for the first owner. It is printed on this terminal only, never in a log.
use anyhow::{Context, Result};
use chassis::Config;
use http::Method;
use serde_json::json;

use crate::{
    admin,
    demo::http::{Call, Http},
    terminal,
};

/// Runs the command.
pub(crate) async fn run(config: &Config) -> Result<()> {
    let code = new_code(config).await?;
    terminal::line(format!("One-time code for the first owner, good for 15 minutes: {code}"));
    terminal::line("Complete it with POST /v1/bootstrap:complete, or let ./dev demo do it.");
    Ok(())
}

/// Makes a new code.
pub(crate) async fn new_code(config: &Config) -> Result<String> {
    let (platform, db) = (&config.platform, admin::auth_db(config).await?);
    let link = auth::bootstrap_code(&db, &api::Clock::default(), &platform.data_dir.join("auth"), &platform.public_url)
        .await?;
    auth::code_of_link(&link).map(str::to_owned).context("the bootstrap link holds no code")
}

/// Whether the platform at `gateway` has its first owner; an error when nobody answers there.
pub(crate) async fn is_completed(gateway: &str) -> Result<bool> {
    let http = Http::quiet(gateway);
    let answer =
        http.once(&Call::new("bootstrap state", Method::GET, "/v1/bootstrap")).await?.success("bootstrap state")?;
    Ok(answer["completed"] == json!(true))
}
