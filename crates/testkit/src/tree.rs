//! The tree test: reads the workspace and says what a reviewer would say.
//!
//! Each rule of the design document (section 20) is one function that returns violations; a rule binds as soon as its subject
//! exists. Messages say what to do. Rust is read by a small scanner (`source`) that blanks comments and strings: good enough
//! for `use` paths, calls and lengths, and independent of the compiler's version.
mod ban;
mod crates;
mod docs;
mod layout;
mod length;
mod mention;
mod service;
pub(crate) mod source;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use source::Source;

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// File, relative to the root of the workspace.
    pub path: String,
    /// Line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl Violation {
    fn new(path: &Path, line: usize, text: impl Into<String>) -> Violation {
        Violation { path: path.display().to_string(), line, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Crate {
    /// Folder, which is the library's name.
    pub(crate) name: String,
    /// Folder relative to the root.
    pub(crate) folder: PathBuf,
    pub(crate) manifest: toml::Table,
    /// All `.rs` files of `src`, `tests` and `build*`, generated code left out.
    pub(crate) sources: Vec<Source>,
}

impl Crate {
    fn sources_of(&self, part: &str) -> impl Iterator<Item = &Source> {
        let prefix = self.folder.join(part);
        self.sources.iter().filter(move |source| source.path.starts_with(&prefix))
    }
}

/// The workspace as read from disk.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    crates: Vec<Crate>,
    /// Services of the contract that have a crate: those the rules for service crates hold for.
    services: Vec<String>,
}

impl Workspace {
    /// Reads the workspace that this crate is part of.
    ///
    /// # Panics
    /// When a file cannot be read: the test then has no subject.
    #[must_use]
    pub fn read() -> Workspace {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/testkit lies two below the root");
        let mut folders: Vec<_> =
            list(&root.join("crates")).into_iter().filter(|path| path.join("Cargo.toml").is_file()).collect();
        folders.push(root.join("gateway"));
        let crates: Vec<_> = folders.iter().map(|folder| read_crate(root, folder)).collect();
        let in_contract = |name: &str| proto::methods().of_service(name).next().is_some();
        let services =
            crates.iter().map(|of| of.name.clone()).filter(|name| in_contract(name) && name != "events").collect();
        Workspace { root: root.to_owned(), crates, services }
    }

    /// All violations of all rules, sorted by place.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let rules: [fn(&Workspace) -> Vec<Violation>; 17] = [
            crates::edges,
            crates::fences,
            crates::manifests,
            layout::service_files,
            layout::names,
            layout::folders,
            layout::tests,
            layout::migrations,
            length::files,
            length::functions,
            mention::files,
            mention::flow,
            ban::everywhere,
            ban::tests,
            service::places,
            docs::comments,
            docs::pages,
        ];
        let mut violations: Vec<_> = rules.iter().flat_map(|rule| rule(self)).collect();
        violations.sort();
        violations.dedup();
        violations
    }

    fn sources(&self) -> impl Iterator<Item = (&Crate, &Source)> {
        self.crates.iter().flat_map(|of| of.sources.iter().map(move |source| (of, source)))
    }

    fn service_crates(&self) -> impl Iterator<Item = &Crate> {
        self.crates.iter().filter(|of| self.services.contains(&of.name))
    }

    /// Text of a file beside the crates; `None` while it does not exist.
    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(path)).ok()
    }
}

/// Compares a generated file with what it should be; the generator's own test calls it.
///
/// # Errors
/// The file is missing or stale; the text says how to write it again.
pub fn fresh(path: &str, expected: &str) -> Result<(), String> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/testkit lies two below the root");
    match std::fs::read_to_string(root.join(path)) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => {
            let line =
                found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count() + 1;
            Err(format!("{path}:{line}: generated and stale; run ./dev generate and commit the result"))
        }
        Err(error) => Err(format!("{path}: generated and missing ({error}); run ./dev generate and commit the result")),
    }
}

fn read_crate(root: &Path, folder: &Path) -> Crate {
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let relative = folder.strip_prefix(root).expect("every crate lies below the root").to_owned();
    let mut sources = Vec::new();
    for part in ["src", "tests", "build", "benches", "examples"] {
        collect(root, &folder.join(part), &mut sources);
    }
    sources.extend(Source::read(root, &folder.join("build.rs")));
    Crate {
        name: relative.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        folder: relative,
        manifest: text.parse().unwrap_or_else(|error| panic!("{}: {error}", manifest.display())),
        sources,
    }
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<Source>) {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    for entry in walk.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs")) {
        into.extend(Source::read(root, entry.path()));
    }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests;
