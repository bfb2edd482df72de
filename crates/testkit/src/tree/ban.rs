//! What is said in one home only, and what tests never do. Repeats clippy's list where a macro or an attribute would escape it.
use super::{
    Violation, Workspace,
    source::{Source, mentions},
};

/// Words, the crates at home with them, and what to use instead.
const HOMES: [(&[&str], &[&str], &str); 8] = [
    (
        &[
            "Status::new",
            "Status::invalid_argument",
            "Status::not_found",
            "Status::permission_denied",
            "Status::internal",
            "Status::unavailable",
            "Status::unauthenticated",
            "Status::failed_precondition",
            "Status::aborted",
            "Status::unimplemented",
            "Status::with_details",
        ],
        &["api"],
        "build an api::Error; crates/api turns it into a status",
    ),
    (
        &["tokio::spawn", "tokio::task::spawn"],
        &["chassis"],
        "an orphan task is lost at shutdown; use kit.tasks() or mount.task()",
    ),
    (
        &["std::env::var", "env::var_os", "env::vars"],
        &["chassis", "engines"],
        "take the value from the configuration (kit.config())",
    ),
    (&["SystemTime::now", "OffsetDateTime::now_utc"], &["api"], "use api::Clock, so that tests can hold time still"),
    (&["Uuid::now_v7", "Uuid::new_v4"], &["api"], "use api::Ids"),
    (&["Command::new", "process::Command"], &["engines"], "child processes live in crates/engines, under a guard"),
    (&["Caller::seal"], &["api", "authz"], "only authz makes a Caller, from a verified token"),
    (&["process::exit"], &["chassis"], "nothing would be drained; return an ExitCode from main"),
];
/// Macros of the metrics crate, said in one file per crate.
const METRICS: [&str; 3] = ["counter!", "gauge!", "histogram!"];

/// Production code.
pub(super) fn everywhere(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (of, source) in workspace.sources() {
        let mut say = |line: usize, text: String| violations.push(Violation::new(&source.path, line, text));
        for (line, text) in source.lines().filter(|(line, text)| {
            (text.contains("#[allow(") || text.contains("#![allow(")) && !source.is_in_macro(*line)
        }) {
            say(
                line,
                format!("{}: write #[expect(lint, reason = \"...\")], which ends when its cause ends", text.trim()),
            );
        }
        if source.is_test() || !source.path.starts_with(of.folder.join("src")) {
            continue;
        }
        for (line, code) in source.production() {
            for (words, homes, remedy) in HOMES.iter().filter(|(_, homes, _)| !homes.contains(&of.name.as_str())) {
                for word in
                    words.iter().filter(|word| mentions(code, word) && !source.is_excused(line, "disallowed_methods"))
                {
                    say(line, format!("`{word}` has its home in {}: {remedy}", homes.join(", ")));
                }
            }
            if METRICS.iter().any(|word| mentions(code, word)) && !is_metrics_file(source) {
                say(line, "metrics are emitted by the crate's one metrics.rs or observe.rs".to_owned());
            }
            if mentions(code, ".unwrap()") {
                say(line, "`unwrap()`: return an error, or say why it cannot fail with expect(\"...\")".to_owned());
            }
        }
    }
    violations
}

/// Tests wait for what they wait for.
pub(super) fn tests(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (of, source) in workspace.sources() {
        // A test module that others drive, such as a slow handler, is under their clock.
        let of_crate = |other: &&Source| other.path.parent() == source.path.parent() && is_paused(other);
        let paused = is_paused(source)
            || (source.is_test()
                && !source.text.contains("::test]")
                && of.sources.iter().any(|other| of_crate(&other)));
        let begin = source.first_test_line();
        for (line, code) in source.lines().filter(|(line, code)| *line >= begin && mentions(code, "sleep")) {
            if !paused && code.contains("sleep(") {
                violations.push(Violation::new(
                    &source.path,
                    line,
                    "a test does not sleep: pause time, or poll with testkit::eventually",
                ));
            }
        }
    }
    violations
}

fn is_paused(source: &Source) -> bool {
    source.text.contains("start_paused") || source.text.contains("time::pause")
}

fn is_metrics_file(source: &Source) -> bool {
    matches!(source.stem(), "metrics" | "observe")
}
