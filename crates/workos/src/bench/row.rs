//! One measured figure, and how all benches print and write theirs. The benches of other crates include this file.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

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
    /// A figure beside a peer's, if there is one, without a goal.
    pub(crate) fn of(name: &str, unit: &'static str, ours: f64, beside: Option<f64>, peer: &str) -> Self {
        let ratio = beside.filter(|beside| *beside > 0.0).map(|beside| ours / beside);
        let (name, peer) = (name.to_owned(), peer.to_owned());
        Self { name, unit, ours, beside, peer, ratio, goal: String::new(), holds: None }
    }

    /// What is to be reached, and whether it is; `None` where the peer could not be had.
    pub(crate) fn goal(self, goal: String, holds: Option<bool>) -> Self {
        Self { goal, holds, ..self }
    }
}

/// The rows as cells, a heading first.
pub(crate) fn table(rows: &[Row]) -> Vec<Vec<String>> {
    let heading = ["", "ours", "beside", "ratio", "goal", "holds", "peer"].map(str::to_owned).to_vec();
    let figure = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
    let cells = rows.iter().map(|row| {
        let holds = row.holds.map(|holds| if holds { "yes" } else { "NO" }).unwrap_or_default();
        vec![
            row.name.clone(),
            format!("{:.2} {}", row.ours, row.unit),
            figure(row.beside),
            figure(row.ratio),
            row.goal.clone(),
            holds.to_owned(),
            row.peer.clone(),
        ]
    });
    std::iter::once(heading).chain(cells).collect()
}

/// Writes the rows as `NAME.json` in a folder.
pub(crate) fn write(folder: &Path, name: &str, rows: &[Row]) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(rows)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
