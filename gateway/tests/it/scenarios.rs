//! The scenario files, each played against an edge of its own.
use crate::scenario::{play, read};

#[tokio::test]
async fn paths() {
    play("path.yaml", "").await;
}

#[test]
fn ids_are_those_of_the_design_and_stand_once() {
    let mut ids: Vec<_> = ["path.yaml"].into_iter().flat_map(read).map(|scenario| scenario.id).collect();
    assert!(ids.iter().all(|id| id.starts_with("GW-")), "{ids:?}");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
}
