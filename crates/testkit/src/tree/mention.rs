//! Which file of a service crate may mention what (architecture.md section 5), and deterministic workflow code.
use super::{
    Violation, Workspace,
    source::{Source, mentions},
};

/// File (with its folder), what it must not mention, and where that belongs.
const RULES: [(&str, &[&str], &str); 7] = [
    (
        "rpc",
        &["db::", "cache::", "store::", "crate::store"],
        "rpc.rs converts: rows and cache belong to store.rs and service.rs",
    ),
    ("rpc", &["peers::", "crate::peers"], "rpc.rs converts: calls to other services belong to service.rs"),
    (
        "service",
        &["tonic::", "proto::"],
        "service.rs decides: gRPC and messages belong to rpc.rs (its types to model.rs), peers' messages to peers.rs",
    ),
    (
        "model",
        &["tonic::", "proto::", "db::", "cache::", "tokio::", "async fn", "mesh::", "chassis::"],
        "model.rs is pure: rules over values, no I/O, no wire",
    ),
    (
        "store",
        &["tonic::", "proto::", "mesh::", "cache::"],
        "store.rs turns rows into values and back: the wire belongs to rpc.rs, decisions to model.rs and service.rs",
    ),
    (
        "events",
        &["tonic::", "crate::store", "store::", "execute(", "query("],
        "events.rs says what is published and consumed: SQL belongs to store.rs, reached through service.rs",
    ),
    ("error", &["tonic::"], "error.rs translates to api::Error; crates/api makes the status"),
];
/// Vocabulary of the contract that is no message: roles, rules and shares may be named where decisions are made.
const VOCABULARY: [&str; 6] =
    ["proto::Role", "proto::Rule", "proto::Share", "proto::Event", "proto::Reason", "proto::methods"];

/// Words that deterministic code does not say.
const NOT_DETERMINISTIC: [&str; 14] = [
    "tokio::",
    "std::time::Instant",
    "SystemTime",
    "Instant::now",
    "rand::",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "uuid::",
    "Uuid::",
    "Clock",
    "Ids",
    "HashMap",
];

/// Files of service crates.
pub(super) fn files(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of in workspace.service_crates() {
        for source in of.sources_of("src").filter(|source| !source.is_test()) {
            let relative = source.path.strip_prefix(of.folder.join("src")).unwrap_or(&source.path);
            let first =
                relative.iter().next().and_then(|part| part.to_str()).unwrap_or_default().trim_end_matches(".rs");
            for (_, words, remedy) in RULES.iter().filter(|(file, _, _)| *file == first) {
                violations.extend(found(source, words, remedy));
            }
        }
    }
    violations
}

/// Workflow code is replayed: the same history must give the same commands.
pub(super) fn flow(workspace: &Workspace) -> Vec<Violation> {
    let remedy = "flow/ is replayed from history: use what the workflow context gives (its time, timers, random, activities), ordered maps, no I/O";
    let flow = workspace.crates.iter().filter(|of| of.name == "workflow").flat_map(|of| of.sources_of("src/flow"));
    flow.flat_map(|source| found(source, &NOT_DETERMINISTIC, remedy)).collect()
}

fn found(source: &Source, words: &[&str], remedy: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut say = |line, word: &str| {
        violations.push(Violation::new(
            &source.path,
            line,
            format!("mentions `{}`: {remedy}", word.trim_end_matches("::")),
        ))
    };
    let uses = source.uses();
    for (line, code) in source.production() {
        let code = VOCABULARY.iter().fold(code.to_owned(), |code, word| code.replace(word, ""));
        for word in words.iter().filter(|word| mentions(&code, word)) {
            say(line, word);
        }
    }
    let last = source.first_test_line();
    for (line, path) in uses.into_iter().filter(|(line, path)| *line < last && !VOCABULARY.contains(&path.as_str())) {
        for word in words.iter().filter(|word| word.ends_with("::") && format!("{path}::").starts_with(**word)) {
            say(line, word);
        }
    }
    violations
}
