//! `workos bench [NAME]`: measures against the goals and a peer, side by side in one run.
//!
//! Prints a table and writes `.workos/bench/NAME.json`. Figures are ratios and CPU time per request; a wall time alone says
//! nothing on a shared machine. Run it on a release build (`./dev bench`).
mod load;
mod platform;
mod process;
mod raw;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::{running, terminal};

/// Arguments of `workos bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure: `platform`
    #[arg(default_value = "platform")]
    name: String,
    /// Documents to import
    #[arg(long, default_value_t = 2000)]
    documents: usize,
    /// Calls per measured path
    #[arg(long, default_value_t = 4000)]
    calls: usize,
}

/// One measured figure.
#[derive(Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// Unit of `ours` and `beside`.
    pub(crate) unit: &'static str,
    /// Our figure.
    pub(crate) ours: f64,
    /// The other side's figure from the same run.
    pub(crate) beside: Option<f64>,
    /// The other side's name and version.
    pub(crate) peer: String,
    /// `ours / beside`.
    pub(crate) ratio: Option<f64>,
    /// What is to be reached, in words.
    pub(crate) goal: String,
    /// Whether it is.
    pub(crate) holds: Option<bool>,
}

impl Row {
    /// A figure with a limit that it must not exceed.
    pub(crate) fn at_most(name: &str, unit: &'static str, ours: f64, limit: f64) -> Self {
        let goal = format!("at most {limit} {unit}");
        Self {
            name: name.to_owned(),
            unit,
            ours,
            beside: None,
            peer: String::new(),
            ratio: None,
            goal,
            holds: Some(ours <= limit),
        }
    }

    /// A figure that must reach a limit.
    pub(crate) fn at_least(name: &str, unit: &'static str, ours: f64, limit: f64) -> Self {
        let goal = format!("at least {limit} {unit}");
        Self {
            name: name.to_owned(),
            unit,
            ours,
            beside: None,
            peer: String::new(),
            ratio: None,
            goal,
            holds: Some(ours >= limit),
        }
    }

    /// A figure beside a peer's, without a goal of its own.
    pub(crate) fn beside(name: &str, unit: &'static str, ours: f64, beside: f64, peer: &str) -> Self {
        let ratio = (beside > 0.0).then(|| ours / beside);
        Self {
            name: name.to_owned(),
            unit,
            ours,
            beside: Some(beside),
            peer: peer.to_owned(),
            ratio,
            goal: String::new(),
            holds: None,
        }
    }
}

/// Measures, prints and writes.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    if arguments.name != "platform" {
        bail!("there is no bench {}; known is: platform", arguments.name);
    }
    if cfg!(debug_assertions) {
        terminal::note("this is a debug build: the figures say nothing about speed; use ./dev bench");
    }
    let rows = platform::measure(arguments.documents, arguments.calls).await?;
    print(&rows);
    write(&running::root().join("bench"), &arguments.name, &rows)
}

fn print(rows: &[Row]) {
    let mut table = vec![["", "ours", "beside", "ratio", "goal", "holds", "peer"].map(str::to_owned).to_vec()];
    for row in rows {
        let figure = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
        let holds = row.holds.map(|holds| if holds { "yes" } else { "NO" }).unwrap_or_default();
        let ours = format!("{:.2} {}", row.ours, row.unit);
        table.push(vec![
            row.name.clone(),
            ours,
            figure(row.beside),
            figure(row.ratio),
            row.goal.clone(),
            holds.to_owned(),
            row.peer.clone(),
        ]);
    }
    terminal::table(&table);
}

fn write(folder: &Path, name: &str, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(rows)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    terminal::note(format!("written: {}", path.display()));
    Ok(())
}
