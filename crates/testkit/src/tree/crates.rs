//! Which crate may stand on which, who may name a driver, and what a manifest may say.
use toml::Value;

use super::{Crate, Violation, Workspace};

/// Platform crates and what of ours each may stand on (architecture.md section 4).
const EDGES: [(&str, &[&str]); 10] = [
    ("proto", &[]),
    ("api", &["proto"]),
    ("transcode", &["proto", "api"]),
    ("mesh", &["proto", "api"]),
    ("authz", &["proto", "api", "mesh"]),
    ("db", &["proto", "api"]),
    ("cache", &["proto", "api"]),
    ("events", &["proto", "api", "db"]),
    ("chassis", &["proto", "api", "mesh", "authz", "db", "cache", "events"]),
    ("engines", &[]),
];
/// What a service crate may stand on.
const SERVICE: [&str; 8] = ["proto", "api", "mesh", "authz", "db", "cache", "events", "chassis"];
/// Service crates and the gateway that may stand on more.
const MORE: [(&str, &str); 2] = [("workflow", "transcode"), ("gateway", "transcode")];

/// Drivers and their only users (architecture.md section 3).
const FENCES: [(&str, &[&str]); 36] = [
    ("protox", &["proto", "transcode", "gateway"]),
    ("tonic-prost-build", &["proto"]),
    ("prost-reflect", &["proto", "transcode", "gateway", "testkit"]),
    ("tonic-types", &["api"]),
    ("memchr", &["transcode"]),
    ("simdutf8", &["transcode"]),
    ("itoa", &["transcode"]),
    // The gateway's tests are a TLS client; its listener takes the acceptor from mesh.
    ("rustls", &["mesh", "db", "chassis", "gateway"]),
    ("tokio-rustls", &["mesh", "gateway"]),
    ("rcgen", &["mesh"]),
    ("x509-parser", &["mesh"]),
    ("biscuit-auth", &["authz"]),
    // `workos bench` measures beside the raw driver, testkit makes databases and looks at rows; neither is a service.
    ("tokio-postgres", &["db", "workos", "testkit"]),
    ("deadpool-postgres", &["db"]),
    ("tokio-postgres-rustls", &["db"]),
    ("refinery", &["db"]),
    ("fred", &["cache"]),
    ("async-nats", &["events"]),
    ("figment", &["chassis"]),
    ("opentelemetry_sdk", &["chassis"]),
    ("opentelemetry-otlp", &["chassis"]),
    ("metrics-exporter-prometheus", &["chassis"]),
    ("tracing-subscriber", &["chassis", "engines"]),
    ("tonic-health", &["chassis", "engines"]),
    ("argon2", &["auth", "workos"]),
    // The tests of the whole sign in with an authenticator app.
    ("totp-rs", &["auth", "workos"]),
    ("webauthn-rs", &["auth"]),
    ("hyper-rustls", &["auth"]),
    ("jsonwebtoken", &["auth", "gateway"]),
    ("tantivy", &["search"]),
    ("lettre", &["notification"]),
    ("temporalio-sdk", &["workflow"]),
    ("temporalio-client", &["workflow"]),
    ("temporalio-common", &["workflow"]),
    ("temporalio-workflow", &["workflow"]),
    ("tokio-tungstenite", &["gateway"]),
];

const SECTIONS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// Direct dependencies of one crate: section, name, how it is declared.
fn dependencies(of: &Crate) -> impl Iterator<Item = (&'static str, &str, &Value)> {
    SECTIONS.into_iter().flat_map(move |section| {
        let table = of.manifest.get(section).and_then(Value::as_table);
        table.into_iter().flatten().map(move |(name, value)| (section, name.as_str(), value))
    })
}

/// Our crates stand on each other in one direction only.
pub(super) fn edges(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in workspace.crates.iter().filter(|of| of.name != "workos" && of.name != "testkit") {
        let allowed =
            EDGES.iter().find(|(name, _)| *name == of.name).map_or(SERVICE.as_slice(), |(_, allowed)| allowed);
        for (section, name, _) in dependencies(of) {
            let Some(ours) = name.strip_prefix("workos-") else { continue };
            // Tests may stand on what runs them: platform crates on all of the platform, services on the peers they start.
            let platform = EDGES.iter().any(|(name, _)| *name == of.name);
            let of_platform = EDGES.iter().any(|(name, _)| *name == ours);
            let test_only = section == "dev-dependencies" && (!platform || of_platform || ours == "testkit");
            if !allowed.contains(&ours) && !MORE.contains(&(of.name.as_str(), ours)) && !test_only {
                let remedy = match ours {
                    "testkit" => "testkit is a dev-dependency only",
                    _ if workspace.services.iter().any(|service| service == ours) => {
                        "call it by its generated client over kit.mesh(), or hear its events"
                    }
                    _ => "turn the dependency around, or move the code to where both may see it",
                };
                violations.push(Violation::new(
                    &of.folder.join("Cargo.toml"),
                    0,
                    format!("{} may not stand on {ours} ({section}): {remedy}", of.name),
                ));
            }
        }
    }
    violations
}

/// One crate per outside system names its driver.
pub(super) fn fences(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in &workspace.crates {
        let is_platform = EDGES.iter().any(|(name, _)| *name == of.name);
        // A platform crate's tests may play the other side with any driver; services have no business with one.
        for (_, name, _) in dependencies(of).filter(|(section, _, _)| *section != "dev-dependencies" || !is_platform) {
            if let Some((_, users)) =
                FENCES.iter().find(|(driver, users)| *driver == name && !users.contains(&of.name.as_str()))
            {
                let text = format!(
                    "{name} may be named by {} only: use what that crate offers, or add what is missing there",
                    users.join(", ")
                );
                violations.push(Violation::new(&of.folder.join("Cargo.toml"), 0, text));
            }
        }
    }
    violations
}

/// Names, versions, features and lints stand in the root, once.
pub(super) fn manifests(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in &workspace.crates {
        let path = of.folder.join("Cargo.toml");
        let mut say = |text: String| violations.push(Violation::new(&path, 0, text));
        let package = of.manifest.get("package").and_then(Value::as_table);
        let expected = if of.name == "workos" { "workos".to_owned() } else { format!("workos-{}", of.name) };
        if package.and_then(|package| package.get("name")).and_then(Value::as_str) != Some(expected.as_str()) {
            say(format!("the package of folder {} is named {expected}", of.name));
        }
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            if !package.and_then(|package| package.get(field)).is_some_and(from_workspace) {
                say(format!("write {field}.workspace = true: the value stands in the root"));
            }
        }
        let library = of.manifest.get("lib").and_then(|lib| lib.get("name")).and_then(Value::as_str);
        if library.is_some_and(|library| library != of.name) {
            say(format!("the library is named as its folder: name = \"{}\"", of.name));
        }
        if !of.manifest.get("lints").is_some_and(from_workspace) {
            say("write [lints] workspace = true: every crate is under the same lints".to_owned());
        }
        for (_, name, value) in dependencies(of) {
            let only_workspace = value.as_table().is_some_and(|table| table.len() == 1) && from_workspace(value);
            if !only_workspace {
                say(format!(
                    "write {name}.workspace = true: version, path and features stand in the root's [workspace.dependencies]"
                ));
            }
        }
        if of.manifest.contains_key("features") {
            say("no cargo features: they drift and rebuild; decide by configuration".to_owned());
        }
    }
    violations
}

fn from_workspace(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}
