//! The scanner reads Rust well enough, and the rules find what they are for.
use std::path::PathBuf;

use super::source::{Source, mentions};

fn source(path: &str, text: &str) -> Source {
    Source::new(PathBuf::from(path), text.to_owned())
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let text = "let a = \"tokio::spawn // {\"; // tokio::spawn\n/* { /* } */ */ let b = '\\''; let c = '{'; let d = r#\"}\"#;\nfn x<'a>() {}\n";
    let read = source("a.rs", text);
    assert!(!read.code.contains("spawn") && !read.code.contains("}\"") && read.code.contains("let b ="));
    assert_eq!(read.code.lines().count(), 3);
    assert_eq!(read.functions().len(), 1, "{}", read.code);
}

#[test]
fn use_paths_are_flattened() {
    let read = source("a.rs", "pub use a::b;\nuse {c::{d, e::{self, f as g}},\n ::h};\n");
    let paths: Vec<_> = read.uses().into_iter().map(|(line, path)| format!("{line} {path}")).collect();
    assert_eq!(paths, ["1 a::b", "2 c::d", "2 c::e::self", "2 c::e::f", "2 h"]);
}

#[test]
fn functions_have_their_lines_and_declarations_have_none() {
    let read = source(
        "a.rs",
        "trait T { fn none(&self); }\nasync fn two(\n  a: [u8; 3],\n) -> u8 {\n  { 1 }\n}\nfn last() {}\n",
    );
    let functions = read.functions();
    assert_eq!(
        functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect::<Vec<_>>(),
        [("two", 2, 5), ("last", 7, 1)]
    );
}

#[test]
fn a_mention_is_of_whole_segments() {
    assert!(mentions("x = ::tokio::spawn(y)", "tokio::spawn") && mentions("db::Db", "db::"));
    assert!(!mentions("my_tokio::spawn()", "tokio::spawn") && !mentions("tokio::spawner()", "tokio::spawn"));
}

#[test]
fn the_tests_at_the_bottom_are_told_from_production() {
    let read = source("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\n");
    assert_eq!((read.first_test_line(), read.production().count()), (2, 1));
    let read = source("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests;\n");
    assert_eq!(read.first_test_line(), 4);
    assert!(source("crates/x/src/a/tests.rs", "").is_test() && source("crates/x/tests/it/a.rs", "").is_test());
}
