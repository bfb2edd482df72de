//! Where files stand and what they are called.
use std::path::Path;

use super::{Violation, Workspace, list};

/// The nine files of a service crate (architecture.md section 5).
const NINE: [&str; 9] = ["lib", "main", "config", "error", "model", "service", "store", "events", "rpc"];
/// What may stand beside them in every service crate.
const BESIDE: [&str; 3] = ["peers", "metrics", "observe"];
/// Adapter folders: the only places that name the crate's driver.
const ADAPTERS: [(&str, &[&str]); 5] = [
    ("auth", &["credential", "oidc"]),
    ("file", &["content"]),
    ("notification", &["channel"]),
    ("search", &["backend"]),
    ("workflow", &["temporal", "flow"]),
];
/// Names that say how code is shared instead of what it does.
const BANNED_NAMES: [&str; 9] = ["common", "core", "types", "utils", "util", "helpers", "helper", "misc", "shared"];
/// Most lines of a service's `main.rs`: it only names the constant.
const MAIN_LINES: usize = 15;

/// A service crate has the nine files, and beside them only what is allowed.
pub(super) fn service_files(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in workspace.service_crates() {
        let src = of.folder.join("src");
        for name in NINE.iter().filter(|name| !workspace.root.join(&src).join(format!("{name}.rs")).is_file()) {
            violations.push(Violation::new(
                &src.join(format!("{name}.rs")),
                0,
                "missing: every service crate has the same nine files",
            ));
        }
        let adapters = ADAPTERS.iter().find(|(name, _)| *name == of.name).map_or([].as_slice(), |(_, folders)| folders);
        for path in list(&workspace.root.join(&src)) {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let allowed =
                NINE.contains(&stem.as_str()) || BESIDE.contains(&stem.as_str()) || adapters.contains(&stem.as_str());
            if !allowed {
                let adapters = if adapters.is_empty() { String::new() } else { format!(", {}", adapters.join(", ")) };
                let text = format!(
                    "not one of the nine files nor of {}{adapters}: put it into the file it belongs to, as a submodule",
                    BESIDE.join(", ")
                );
                violations.push(Violation::new(&src.join(path.file_name().unwrap_or_default()), 0, text));
            }
        }
        for source in of
            .sources
            .iter()
            .filter(|source| source.path == src.join("main.rs") && source.text.lines().count() > MAIN_LINES)
        {
            violations.push(Violation::new(
                &source.path,
                0,
                format!("more than {MAIN_LINES} lines: main only calls chassis::main(&[&{}::SERVICE])", of.name),
            ));
        }
    }
    violations
}

/// Names of crates, modules and files.
pub(super) fn names(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in workspace.crates.iter().filter(|of| BANNED_NAMES.contains(&of.name.as_str())) {
        violations.push(Violation::new(&of.folder, 0, "a crate is named for what it does, not for being shared"));
    }
    for (of, source) in workspace.sources() {
        let relative = source.path.strip_prefix(&of.folder).unwrap_or(&source.path);
        let mut parts = relative.components().filter_map(|part| Path::new(part.as_os_str()).file_stem()?.to_str());
        if let Some(name) = parts.find(|name| BANNED_NAMES.contains(name)) {
            violations.push(Violation::new(
                &source.path,
                0,
                format!("`{name}` says how code is shared; name it for what it does"),
            ));
        }
        if source.name() == "mod.rs" {
            violations.push(Violation::new(
                &source.path,
                0,
                "no mod.rs: move it to a file named as its folder, beside it",
            ));
        }
    }
    violations
}

/// A folder of modules stands beside a file of its name.
pub(super) fn folders(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (of, source) in workspace.sources() {
        let src = of.folder.join("src");
        let Some(folder) = source.path.parent().filter(|folder| folder.starts_with(&src) && **folder != src) else {
            continue;
        };
        let beside = folder.with_extension("rs");
        if !folder.ends_with("bin") && !workspace.root.join(&beside).is_file() {
            violations.push(Violation::new(
                folder,
                0,
                format!("a folder of modules needs {} beside it, which says what it is for", beside.display()),
            ));
        }
    }
    violations
}

/// One integration target per crate: each is a link of its own.
pub(super) fn tests(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in &workspace.crates {
        let tests = of.folder.join("tests");
        for source in of.sources.iter().filter(|source| source.path.parent() == Some(&tests)) {
            violations.push(Violation::new(
                &source.path,
                0,
                "one integration target per crate: move it to tests/it/ and name it in tests/it/main.rs",
            ));
        }
        let has_modules = of.sources.iter().any(|source| source.path.starts_with(tests.join("it")));
        if has_modules && !workspace.root.join(&tests).join("it/main.rs").is_file() {
            violations.push(Violation::new(
                &tests.join("it/main.rs"),
                0,
                "missing: it declares the modules of tests/it/",
            ));
        }
    }
    violations
}

/// Migrations have four digits, each number once: parts of a service may have ranges of their own. The service names each of them, or it
/// would never run.
pub(super) fn migrations(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in workspace.service_crates() {
        let folder = of.folder.join("migrations");
        let mut last = "0000".to_owned();
        for path in list(&workspace.root.join(&folder)) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let lower = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.');
            let number: String = name.chars().take_while(char::is_ascii_digit).collect();
            let rises = number.len() == 4 && number > last && name[4..].starts_with('_');
            if !rises || !name.ends_with(".sql") || !lower {
                let problem = format!("migrations are named NNNN_<lower_snake_case>.sql with a number above {last}");
                violations.push(Violation::new(&folder.join(&name), 0, problem));
            }
            let quoted = format!("\"{name}\"");
            if !of.sources_of("src").any(|source| source.text.contains(&quoted)) {
                let problem = "is named in no db::migrations! of its service, so it is never run";
                violations.push(Violation::new(&folder.join(&name), 0, problem));
            }
            last = number.max(last);
        }
    }
    violations
}
