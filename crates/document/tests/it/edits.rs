//! Updates: etags, masks, what makes a revision.
use api::Code;
use futures::future::join_all;
use prost_types::{Struct, Value, value::Kind};
use proto::document::v1::{Document, DocumentUpdated, UpdateDocumentRequest};

use crate::fixture::{Fixture, read, refusal, request_id, text, titled};

fn metadata(entries: &[(&str, f64)]) -> Option<Struct> {
    let value = |number| Value { kind: Some(Kind::NumberValue(number)) };
    Some(Struct { fields: entries.iter().map(|(key, number)| ((*key).to_owned(), value(*number))).collect() })
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_01_an_update_with_the_current_etag_gives_a_new_one() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    let second = fixture
        .update(Document { title: "plan b".to_owned(), ..first.clone() }, &["title"])
        .await
        .expect("current etag");
    assert_ne!(second.etag, first.etag);
    assert_eq!((second.title.as_str(), second.head_revision), ("plan b", 2));
    let time = |document: &Document| document.update_time.map(|time| (time.seconds, time.nanos));
    assert!(time(&second) > time(&first));
    assert_eq!(second.create_time, first.create_time);
    assert_eq!(fixture.get(&first.name).await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_02_a_stale_etag_is_aborted_and_names_the_current_one() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    let second =
        fixture.update(Document { title: "mine".to_owned(), ..first.clone() }, &["title"]).await.expect("current etag");
    let stale =
        fixture.update(Document { title: "yours".to_owned(), ..first }, &["title"]).await.expect_err("stale etag");
    assert_eq!((stale.code(), stale.reason()), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(stale.metadata().get("etag"), Some(&second.etag));
    assert_eq!(fixture.get(&second.name).await, second);
    assert_eq!(fixture.count("revisions").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_03_fifty_updates_with_one_etag_make_one_revision() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    let updates =
        (0..50).map(|number| fixture.update(Document { title: number.to_string(), ..first.clone() }, &["title"]));
    let answers = join_all(updates).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 49));
    for refused in lost {
        assert_eq!(refusal(refused), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    }
    assert_eq!(fixture.count("revisions").await, 2);
    assert_eq!(fixture.published::<DocumentUpdated>().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_05_a_mask_changes_only_what_it_names() {
    let fixture = Fixture::new().await;
    let first = fixture
        .create(Document { content: text("old"), metadata: metadata(&[("a", 1.0)]), ..titled("old") })
        .await
        .expect("valid");
    let sent =
        Document { title: "new".to_owned(), content: text("new"), metadata: metadata(&[("a", 2.0)]), ..first.clone() };
    let second = fixture.update(sent, &["title"]).await.expect("valid");
    assert_eq!(second.title, "new");
    assert_eq!((&second.content, &second.metadata), (&first.content, &first.metadata));
    let changed_paths = vec!["title".to_owned()];
    let event = DocumentUpdated { name: first.name, changed_paths, ..DocumentUpdated::default() };
    assert_eq!(fixture.published::<DocumentUpdated>().await, [(2, event)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_06_a_star_replaces_all_and_no_mask_means_what_is_populated() {
    let fixture = Fixture::new().await;
    let first = fixture
        .create(Document { content: text("old"), metadata: metadata(&[("a", 1.0)]), ..titled("old") })
        .await
        .expect("valid");
    let named = Document { name: first.name.clone(), ..titled("new") };
    let second = fixture.update(named.clone(), &[]).await.expect("valid");
    assert_eq!((second.title.as_str(), &second.content, &second.metadata), ("new", &first.content, &first.metadata));
    let third = fixture.update(named, &["*"]).await.expect("valid");
    assert_eq!(third.content.as_ref().map(|content| content.text.as_str()), Some(""));
    assert_eq!(third.metadata, metadata(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_07_an_unknown_path_is_named_and_an_output_only_one_ignored() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    let unknown = fixture.update(first.clone(), &["titel"]).await.expect_err("unknown path");
    assert_eq!((unknown.code(), unknown.reason()), (Code::InvalidArgument, "MASK_INVALID"));
    assert!(unknown.message().contains("titel"));
    let sent = Document { creator: "users/nobody".to_owned(), head_revision: 99, ..first.clone() };
    let ignored = fixture.update(sent, &["creator", "head_revision", "update_time", "etag"]).await.expect("ignored");
    assert_eq!(ignored, first);
    assert_eq!(fixture.count("revisions").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_below_metadata_change_single_keys() {
    let fixture = Fixture::new().await;
    let first = fixture
        .create(Document { metadata: metadata(&[("a", 1.0), ("b", 2.0), ("c", 0.1)]), ..titled("plan") })
        .await
        .expect("valid");
    let sent = Document { metadata: metadata(&[("a", 7.0)]), ..first.clone() };
    let second = fixture.update(sent, &["metadata.a", "metadata.b"]).await.expect("valid");
    assert_eq!(second.metadata, metadata(&[("a", 7.0), ("c", 0.1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_changes_nothing_keeps_revision_and_etag() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    assert_eq!(fixture.update(first.clone(), &["*"]).await.expect("no change"), first);
    assert_eq!(fixture.published::<DocumentUpdated>().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_update_gets_the_first_answer_and_another_body_is_refused() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    let request = UpdateDocumentRequest {
        document: Some(Document { title: "b".to_owned(), ..first.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".to_owned()] }),
        request_id: request_id(),
    };
    let repeats = (0..8).map(|_| async { read(fixture.documents.clone().update_document(request.clone()).await) });
    let answers = join_all(repeats).await;
    let second = fixture.get(&first.name).await;
    assert_eq!((second.title.as_str(), second.head_revision), ("b", 2));
    for answer in answers {
        assert_eq!(answer.expect("the same request"), second);
    }
    let other = UpdateDocumentRequest { document: Some(Document { title: "c".to_owned(), ..first }), ..request };
    let reused = read(fixture.documents.clone().update_document(other).await);
    assert_eq!(refusal(reused), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_without_an_etag_makes_a_revision_on_top_of_the_newest() {
    let fixture = Fixture::new().await;
    let first = fixture.document("plan").await;
    for number in 2..=4 {
        let sent = Document { name: first.name.clone(), title: format!("plan {number}"), ..Default::default() };
        assert_eq!(fixture.update(sent, &["title"]).await.expect("valid").head_revision, number);
    }
}
