//! The scenario files, each played against an edge of its own.
use crate::scenario::{play, read};

/// A test for each file.
macro_rules! played {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                play($file).await;
            }
        )*

        /// What is played.
        const FILES: &[&str] = &[$($file),*];
    };
}

played! {
    templates: "template.yaml",
    routes: "route.yaml",
    paths: "path.yaml",
    queries: "query.yaml",
    bodies: "body.yaml",
    streams: "stream.yaml",
    errors: "error.yaml",
    masks: "mask.yaml",
    access: "access.yaml",
    required: "required.yaml",
}

#[test]
fn every_file_is_played() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("readable"));
    let mut found: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    let mut played = FILES.to_vec();
    found.sort();
    played.sort_unstable();
    assert_eq!(found, played);
}

#[test]
fn every_id_is_of_the_design_and_stands_once() {
    let mut ids: Vec<_> = FILES.iter().flat_map(|file| read(file)).map(|found| found.id).collect();
    // Cases that the design does not number are our own.
    assert!(ids.iter().all(|id| id.starts_with("GW-") || id.starts_with("OWN-")), "{ids:?}");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
}
