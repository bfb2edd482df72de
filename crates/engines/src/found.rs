//! Where an engine's program lies: the settings, else `engines.toml` of the tools folder that `./dev` made for the
//! very `tools.txt` this binary was built with. Never `PATH`: versions are pinned.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::error::{Doing, EngineError};
use crate::settings::Settings;

const PINS: &str = include_str!("../tools.txt");

/// A program that can be started.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Program {
    pub(crate) version: String,
    #[serde(rename = "program")]
    pub(crate) path: PathBuf,
    /// The folder that has to be copied when the program moves; none: the program stands alone.
    #[serde(default)]
    pub(crate) tree: Option<PathBuf>,
}

impl Program {
    /// The part of the version that says whether data can be read: before the first dot.
    pub(crate) fn major(&self) -> &str {
        self.version.split('.').next().unwrap_or(&self.version)
    }

    /// A program beside this one (`initdb` beside `postgres`).
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }
}

/// Finds the program of one engine.
pub(crate) fn program(engine: Engine, settings: &Settings) -> Result<Program, EngineError> {
    if let Some(path) = settings.programs.get(engine.name()) {
        return configured(engine, path);
    }
    let places = places(&settings.root);
    let found = places.iter().find(|folder| folder.join("engines.toml").is_file());
    let missing = || EngineError::Missing {
        engine,
        searched: places.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let file = found.ok_or_else(missing)?.join("engines.toml");
    let text = std::fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
    let mut programs: BTreeMap<String, Program> = toml::from_str(&text).map_err(|error| {
        EngineError::Configuration(format!("{} is damaged ({error}): delete its folder and run ./dev", file.display()))
    })?;
    programs.remove(engine.name()).filter(|program| program.path.is_file()).ok_or_else(missing)
}

/// Name of the tools folder: the same 16 digits that `./dev` takes.
fn pins_hash() -> String {
    Sha256::digest(PINS.as_bytes()).iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The tools folders in which we would be content, best first.
fn places(root: &Path) -> Vec<PathBuf> {
    let hash = pins_hash();
    let here = std::env::current_dir().unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the one setting of `./dev` itself: where it put the tools")]
    let moved = std::env::var_os("WORKOS_TOOLS_DIR").map(PathBuf::from);
    let mut places: Vec<PathBuf> = moved.into_iter().map(|folder| folder.join(&hash)).collect();
    places.push(root.join("tools").join(&hash));
    places
        .extend(here.ancestors().map(|folder| folder.join(".workos/tools").join(&hash)).filter(|place| place.exists()));
    places.dedup();
    places
}

/// A program named in the settings says its version itself.
fn configured(engine: Engine, path: &Path) -> Result<Program, EngineError> {
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    let output = Command::new(path)
        .arg("--version")
        .output()
        .doing(|| format!("run {} --version (engines.{engine}.program)", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text
        .split(|character: char| character.is_whitespace() || character == '=')
        .map(|word| word.trim_start_matches('v').trim_end_matches(','))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .ok_or_else(|| {
            EngineError::Configuration(format!("engines.{engine}.program: {} names no version", path.display()))
        })?;
    Ok(Program { version: number.to_owned(), path: path.to_owned(), tree: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_the_places_and_the_remedy() {
        let settings = Settings { root: PathBuf::from("/nowhere/.workos"), ..Settings::default() };
        let error =
            EngineError::Missing { engine: Engine::Nats, searched: places(&settings.root)[0].display().to_string() };
        assert_eq!(error.exit_code(), 78);
        assert!(error.to_string().contains("run `./dev`"), "{error}");
        assert!(places(&settings.root).iter().any(|place| place.starts_with("/nowhere/.workos/tools")));
    }

    #[test]
    fn a_configured_program_says_its_own_version() {
        let found = configured(Engine::Postgres, Path::new("/nowhere/postgres"));
        assert!(found.is_err(), "a program that is not there has none");
        let cargo = configured(Engine::Postgres, Path::new(env!("CARGO"))).expect("cargo has a version");
        assert_eq!(cargo.major(), "1");
    }
}
