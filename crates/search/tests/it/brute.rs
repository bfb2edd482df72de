//! Random queries over a random corpus, compared with a search that looks at every entry.
use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use search::backend::{Entry, Question, Tree};

use crate::backend::{entry, put, question, tantivy};

/// No two share a stem, so that words match themselves alone.
const WORDS: [&str; 6] = ["alpha", "bravo", "delta", "echo", "kilo", "lima"];

/// Words of title and text, which no phrase spans.
fn fields(entry: &Entry) -> [Vec<&str>; 2] {
    [&entry.title, &entry.body].map(|text| text.split_whitespace().collect())
}

fn matches(tree: &Tree, entry: &Entry) -> bool {
    let window = |wanted: &[String], fits: fn(&str, &str, bool) -> bool| {
        fields(entry).iter().any(|words| {
            words.windows(wanted.len()).any(|window| {
                let last = wanted.len() - 1;
                window.iter().zip(wanted).enumerate().all(|(at, (word, wanted))| fits(word, wanted, at == last))
            })
        })
    };
    match tree {
        Tree::Everything => true,
        Tree::Nothing => false,
        Tree::Word(wanted) => fields(entry).iter().flatten().any(|word| word == wanted),
        Tree::Phrase(wanted) => window(wanted, |word, wanted, _| word == wanted),
        Tree::Prefix(wanted) => {
            window(wanted, |word, wanted, last| if last { word.starts_with(wanted) } else { word == wanted })
        }
        Tree::Not(tree) => !matches(tree, entry),
        Tree::All(trees) => trees.iter().all(|tree| matches(tree, entry)),
        Tree::Any(trees) => trees.iter().any(|tree| matches(tree, entry)),
    }
}

fn query() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        4 => word.clone(),
        1 => word.clone().prop_map(|word| format!("{}*", &word[..2])),
        2 => (word.clone(), word.clone()).prop_map(|(one, two)| format!("\"{one} {two}\"")),
        1 => (word.clone(), word).prop_map(|(one, two)| format!("{one}-{}*", &two[..2])),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" "))),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            1 => inner.prop_map(|part| format!("-({part})")),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_that_of_a_search_by_hand() {
    let engine = tantivy().await;
    let text = prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..6).prop_map(|words| words.join(" "));
    let principals = prop::collection::vec(prop::sample::select(vec!["everybody", "members", "others"]), 0..3);
    let corpus = prop::collection::vec((text.clone(), text, principals), 120);
    let mut runner = TestRunner::deterministic();
    let corpus = corpus.new_tree(&mut runner).expect("a corpus").current();
    let made = |(title, body, principals): (String, String, Vec<&str>)| Entry {
        principals: principals.into_iter().map(str::to_owned).collect(),
        ..entry(&title, &body)
    };
    let corpus: Vec<Entry> = corpus.into_iter().map(made).collect();
    for chunk in corpus.chunks(50) {
        engine.write(chunk.iter().map(put).collect()).await;
        engine.refresh().await;
    }
    let asker = ["everybody".to_owned(), "members".to_owned()];
    for _ in 0..300 {
        let query = query().new_tree(&mut runner).expect("a query").current();
        if Tree::parse(&query).is_err() {
            // More than 64 words: the parser's own tests say so.
            continue;
        }
        let asked = Question { principals: asker.to_vec(), limit: 200, ..question(&query) };
        let tree = asked.tree.clone();
        let page = engine.ask(asked).await;
        let visible = |entry: &&Entry| entry.principals.iter().any(|principal| asker.contains(principal));
        let wanted: BTreeSet<_> =
            corpus.iter().filter(visible).filter(|entry| matches(&tree, entry)).map(|entry| entry.name).collect();
        let found: BTreeSet<_> = page.hits.iter().map(|hit| hit.name).collect();
        assert_eq!(found, wanted, "{query}");
        assert_eq!((page.hits.len(), page.total), (wanted.len(), wanted.len() as u64), "{query}");
    }
}
