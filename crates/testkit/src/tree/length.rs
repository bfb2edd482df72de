//! Budgets on the tail: files, test modules, functions, handlers.
use super::{Violation, Workspace, source::Source};

const FILE: usize = 400;
const TEST_FILE: usize = 600;
const TEST_MODULE: usize = 100;
const FUNCTION: usize = 60;
const UNARY_HANDLER: usize = 25;
const STREAM_HANDLER: usize = 40;

/// Files and test modules.
pub(super) fn files(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (_, source) in workspace.sources() {
        let lines = source.text.lines().count();
        let tests = source.first_test_line();
        let mut say = |text: String| violations.push(Violation::new(&source.path, 0, text));
        if source.is_test() {
            if lines > TEST_FILE {
                say(format!("{lines} lines: a test file has at most {TEST_FILE}; split it by theme"));
            }
            continue;
        }
        let production = lines.min(tests - 1);
        if production > FILE {
            say(format!(
                "{production} lines: a file has at most {FILE}; give it a folder of its name with one file per subject"
            ));
        }
        if lines - production > TEST_MODULE {
            say(format!(
                "{} lines of tests at the bottom, at most {TEST_MODULE}: move them to {}/tests.rs",
                lines - production,
                source.stem()
            ));
        }
    }
    violations
}

/// Functions, and handlers in `rpc.rs`.
pub(super) fn functions(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (of, source) in workspace.sources() {
        let service = workspace.services.contains(&of.name);
        for function in source.functions() {
            let (limit, kind) = budget(source, service, &function.signature);
            if function.lines > limit {
                let text =
                    format!("{kind} `{}` has {} lines, at most {limit}: name its parts", function.name, function.lines);
                violations.push(Violation::new(&source.path, function.line, text));
            }
        }
    }
    violations
}

fn budget(source: &Source, service: bool, signature: &str) -> (usize, &'static str) {
    let in_rpc = source.path.iter().any(|part| part == "rpc" || part == "rpc.rs");
    let handler = service && in_rpc && signature.contains("&self") && signature.contains("Request<");
    match (handler, signature.contains("Streaming<") || signature.contains("Stream>")) {
        (false, _) => (FUNCTION, "function"),
        (true, false) => (UNARY_HANDLER, "handler"),
        (true, true) => (STREAM_HANDLER, "streaming handler"),
    }
}
