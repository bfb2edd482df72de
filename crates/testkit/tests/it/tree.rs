//! The workspace keeps the rules of the design document.
use testkit::tree::Workspace;

#[test]
fn the_workspace_keeps_every_rule() {
    let violations = Workspace::read().violations();
    let text: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{} violations:\n{}\n", violations.len(), text.join("\n"));
}
