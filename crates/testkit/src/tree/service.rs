//! A service touches five places; the one that was forgotten is named.
use std::path::Path;

use super::{Violation, Workspace};

/// Contract, crate (the glob finds it), list of services, k8s, Dockerfile; and the README's table.
pub(super) fn places(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut names: Vec<&str> = workspace.services.iter().map(String::as_str).collect();
    for folder in super::list(&workspace.root.join("proto/workos")) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !["api", "events"].contains(&name.as_str()) && !names.contains(&name.as_str()) {
            violations.push(Violation::new(
                Path::new(&format!("proto/workos/{name}")),
                0,
                format!("this service has no crate: write crates/{name} (./dev new-service {name})"),
            ));
        }
    }
    names.push("gateway");
    let mut say = |path: &str, text: String| violations.push(Violation::new(Path::new(path), 0, text));
    if let Some(text) = workspace.text("crates/workos/src/services.rs") {
        for name in names.iter().filter(|name| !text.contains(&format!("{name}::SERVICE"))) {
            say("crates/workos/src/services.rs", format!("add the line &{name}::SERVICE"));
        }
    }
    if let Some(text) = workspace.text("Dockerfile.multi") {
        for name in names.iter().filter(|name| !text.contains(&format!("FROM runtime AS {name}"))) {
            say("Dockerfile.multi", format!("add `FROM runtime AS {name}` and its COPY and ENTRYPOINT"));
        }
    }
    if let Some(text) = workspace.text("README.md") {
        for name in names.iter().filter(|name| !text.contains(**name)) {
            say("README.md", format!("name {name} in the table of services"));
        }
    }
    if workspace.root.join("k8s/base").is_dir() {
        let lists = workspace
            .text("k8s/base/services/kustomization.yaml")
            .or_else(|| workspace.text("k8s/base/kustomization.yaml"))
            .unwrap_or_default();
        for name in names.iter().filter(|name| **name != "gateway") {
            let path = format!("k8s/base/services/{name}/kustomization.yaml");
            if workspace.text(&path).is_none() {
                say(&path, format!("missing: prefix, label and image of {name} (./dev new-service {name} writes it)"));
            }
            if !lists.contains(*name) {
                say("k8s/base/services/kustomization.yaml", format!("add {name} to the list of resources"));
            }
        }
    }
    violations
}
