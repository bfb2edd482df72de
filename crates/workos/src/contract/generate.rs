//! Files of the tree that are made from the contract and the code. Edited by nobody: a test compares them.
use std::path::Path;

use anyhow::{Result, bail};

use super::{manifest, policy::Graph, reasons, tree};
use crate::{services::SERVICES, terminal};

/// One file: path from the root, text.
pub(crate) type File = (String, String);

/// The mesh policy of every workload.
pub(crate) fn policies() -> Vec<File> {
    let graph = Graph::of_contract(&SERVICES);
    graph.workloads().map(|workload| (policy_path(workload), manifest::render(&graph, workload))).collect()
}

fn policy_path(workload: &str) -> String {
    match workload {
        "gateway" => "k8s/base/gateway/policy.gen.yaml".to_owned(),
        service => format!("k8s/base/services/{service}/policy.gen.yaml"),
    }
}

/// Everything that is generated.
pub(crate) fn all() -> Result<Vec<File>> {
    let mut files = policies();
    files.push(("docs/errors.md".to_owned(), reasons::page()?));
    files.push(("docs/config.toml".to_owned(), chassis::default_text(&SERVICES)?));
    Ok(files)
}

/// Shows the mesh policy.
pub(crate) fn show_policies() -> Result<()> {
    for (index, (path, text)) in policies().into_iter().enumerate() {
        terminal::line(format!("{}# {path}\n{}", if index == 0 { "" } else { "---\n" }, text.trim_end()));
    }
    Ok(())
}

/// Writes files and says which of them changed.
pub(crate) fn write(root: &Path, files: Vec<File>) -> Result<()> {
    let total = files.len();
    let mut changed = 0;
    for (path, text) in files {
        if tree::read(root, &path).is_ok_and(|found| found == text) {
            continue;
        }
        tree::write(root, &path, &text)?;
        terminal::line(format!("written  {path}"));
        changed += 1;
    }
    terminal::line(format!("{total} generated files, {changed} changed"));
    Ok(())
}

/// Compares without writing.
pub(crate) fn check(root: &Path) -> Result<()> {
    let stale: Vec<String> = all()?
        .into_iter()
        .filter(|(path, text)| tree::read(root, path).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("generated and stale: {}; run ./dev generate and commit the result", stale.join(", "))
}
