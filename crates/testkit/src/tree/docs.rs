//! Documentation that a reader meets first: the opening comment of every file, the two pages, decision records.
use std::path::Path;

use super::{Violation, Workspace, list};

/// Most lines of a page.
const PAGES: [(&str, usize); 2] = [("README.md", 120), ("ARCHITECTURE.md", 120)];

/// Every file says what it is for; no banners, no orphaned reminders.
pub(super) fn comments(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (_, source) in workspace.sources() {
        let mut say = |line: usize, text: &str| violations.push(Violation::new(&source.path, line, text));
        if !source.text.starts_with("//!") {
            say(1, "open the file with `//!`: what it is for and what must hold");
        } else if source.text.starts_with("//! Placeholder") {
            say(1, "still a placeholder");
        }
        for (index, line) in source.text.lines().enumerate() {
            let comment = line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']).trim());
            let Some(comment) = comment else { continue };
            if comment.len() > 3 && comment.chars().all(|c| "=-*#~_".contains(c)) {
                say(index + 1, "no banners: a file that needs sections needs files");
            }
            if ["TODO", "FIXME", "XXX"].iter().any(|word| comment.starts_with(word)) && !comment.contains('#') {
                say(index + 1, "no reminder without an issue: do it, or write its number");
            }
        }
    }
    violations
}

/// One page each; decision records are numbered.
pub(super) fn pages(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, limit) in PAGES {
        let lines = workspace.text(path).map_or(0, |text| text.lines().count());
        if lines > limit {
            violations.push(Violation::new(
                Path::new(path),
                0,
                format!("{lines} lines: one page is at most {limit}; move detail to docs/"),
            ));
        }
    }
    for path in list(&workspace.root.join("docs/adr")) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let numbered =
            name.len() > 8 && name.bytes().take(4).all(|byte| byte.is_ascii_digit()) && name[4..].starts_with('-');
        if !numbered || !name.ends_with(".md") {
            violations.push(Violation::new(
                &Path::new("docs/adr").join(&name),
                0,
                "a decision record is named NNNN-title.md",
            ));
        }
    }
    violations
}
