//! The scenario files, each played against an edge of its own.
use crate::scenario::{play, read};

#[tokio::test]
async fn templates() {
    play("template.yaml").await;
}

#[tokio::test]
async fn routes() {
    play("route.yaml").await;
}

#[tokio::test]
async fn paths() {
    play("path.yaml").await;
}

#[tokio::test]
async fn queries() {
    play("query.yaml").await;
}

#[tokio::test]
async fn bodies() {
    play("body.yaml").await;
}

#[tokio::test]
async fn streams() {
    play("stream.yaml").await;
}

#[tokio::test]
async fn errors() {
    play("error.yaml").await;
}

#[tokio::test]
async fn masks() {
    play("mask.yaml").await;
}

#[tokio::test]
async fn access() {
    play("access.yaml").await;
}

#[test]
fn every_id_is_of_the_design_and_stands_once() {
    let files = ["template", "route", "path", "query", "body", "stream", "error", "mask", "access"];
    let mut ids: Vec<_> = files.iter().flat_map(|file| read(&format!("{file}.yaml"))).map(|found| found.id).collect();
    // Cases that the design does not number are our own.
    assert!(ids.iter().all(|id| id.starts_with("GW-") || id.starts_with("OWN-")), "{ids:?}");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
}
