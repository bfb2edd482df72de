//! The query language by example, and that no text breaks it.
use proptest::prelude::*;

use super::*;

fn word(word: &str) -> Tree {
    Tree::Word(word.to_owned())
}

fn words(words: &str) -> Vec<String> {
    words.split(' ').map(str::to_owned).collect()
}

fn parse(query: &str) -> Tree {
    Tree::parse(query).unwrap_or_else(|error| panic!("{query}: {error:?}"))
}

#[test]
fn queries_are_read_as_documented() {
    assert_eq!(parse("  \n"), Tree::Everything);
    assert_eq!(parse("???"), Tree::Nothing);
    assert_eq!(parse("\"\""), Tree::Nothing);
    assert_eq!(parse("Café"), word("cafe"));
    assert_eq!(parse("blue & whale"), Tree::All(vec![word("blue"), word("whale")]));
    assert_eq!(parse("\"Blue  whale\""), Tree::Phrase(words("blue whale")));
    assert_eq!(parse("\"blue\""), Tree::Phrase(words("blue")));
    assert_eq!(parse("src/main.rs"), Tree::Phrase(words("src main rs")));
    assert_eq!(parse("wha*"), Tree::Prefix(words("wha")));
    assert_eq!(parse("blue-wha*"), Tree::Prefix(words("blue wha")));
    assert_eq!(parse("東*"), Tree::Prefix(words("東")));
    assert_eq!(parse("-blue"), Tree::Not(Box::new(word("blue"))));
    assert_eq!(parse("((blue))"), word("blue"));
    let either = Tree::Any(vec![Tree::All(vec![word("a1"), word("b1")]), word("c1")]);
    assert_eq!(parse("a1 b1 OR c1"), either);
    let grouped = Tree::All(vec![word("a1"), Tree::Any(vec![word("b1"), Tree::Not(Box::new(word("c1")))])]);
    assert_eq!(parse("a1(b1 OR -c1)"), grouped);
    assert_eq!(parse("or"), word("or"));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (query, place) in [
        ("a \"b", 3),
        ("(a", 1),
        ("a)", 2),
        ("()", 2),
        ("a OR", 3),
        ("OR a", 1),
        ("a OR OR b", 6),
        ("a -", 3),
        ("--a", 2),
        ("-OR", 2),
        ("*", 1),
        ("a*", 1),
        ("fo*o", 3),
        ("*foo", 1),
        ("a\u{0}b", 2),
    ] {
        match Tree::parse(query) {
            Err(QueryError::Invalid { position, .. }) => assert_eq!(position, place, "{query}"),
            other => panic!("{query} gave {other:?}"),
        }
    }
}

#[test]
fn queries_are_bounded() {
    assert!(Tree::parse(&"a".repeat(1024)).is_ok());
    assert!(matches!(Tree::parse(&"a".repeat(1025)), Err(QueryError::Invalid { position: 1025, .. })));
    assert!(Tree::parse(&"ab ".repeat(64)).is_ok());
    assert!(matches!(Tree::parse(&"ab ".repeat(65)), Err(QueryError::TooComplex { limit: 64, .. })));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Tree::parse(&nested(8)).is_ok());
    assert!(matches!(Tree::parse(&nested(9)), Err(QueryError::TooComplex { limit: 8, .. })));
}

fn leaves(tree: &Tree) -> usize {
    match tree {
        Tree::Not(tree) => leaves(tree),
        Tree::All(trees) | Tree::Any(trees) => {
            assert!(trees.len() > 1);
            trees.iter().map(leaves).sum()
        }
        Tree::Prefix(words) | Tree::Phrase(words) => {
            assert!(!words.is_empty());
            1
        }
        Tree::Everything | Tree::Nothing | Tree::Word(_) => 1,
    }
}

proptest! {
    #[test]
    fn every_text_gives_a_bounded_tree_or_an_error_with_a_place(query in "[ab \"()*ORé東\\-]{0,200}|\\PC{0,100}") {
        match Tree::parse(&query) {
            Ok(tree) => prop_assert!(leaves(&tree) <= limit::CLAUSES),
            Err(QueryError::Invalid { position, problem }) => {
                prop_assert!(position >= 1 && position <= query.chars().count().max(1));
                prop_assert!(!problem.is_empty());
            }
            Err(QueryError::TooComplex { limit, .. }) => prop_assert!(limit > 0),
        }
    }
}
