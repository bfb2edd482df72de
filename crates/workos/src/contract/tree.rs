//! The source tree that generators write to: the nearest one above the current folder.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use chassis::ConfigError;

/// Root of the source tree. Not where this binary was built: that folder may be gone, or another clone.
pub(crate) fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be read")?;
    let is_root = |folder: &&Path| folder.join("proto/workos").is_dir() && folder.join("Cargo.toml").is_file();
    let found = here.ancestors().find(is_root).map(Path::to_owned);
    found.ok_or_else(|| ConfigError::new("no source tree here; run this inside a clone of the platform").into())
}

/// Reads a file of the tree.
pub(crate) fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("{path} cannot be read"))
}

/// Writes a file of the tree, with its folders.
pub(crate) fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let full = root.join(path);
    let folder = full.parent().unwrap_or(root);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&full, text))
        .with_context(|| format!("{path} cannot be written"))
}
