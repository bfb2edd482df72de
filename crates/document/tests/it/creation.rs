//! Creating: ids, request ids, what text and metadata may hold.
use api::Code;
use futures::future::join_all;
use prost_types::{ListValue, Struct, Value, value::Kind};
use proto::document::v1::{
    CreateDocumentRequest, Document, DocumentCreated,
    document::{Content, State},
};

use crate::fixture::{Fixture, new_id, read, refusal, request_id, text, titled};

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn object(entries: impl IntoIterator<Item = (String, Value)>) -> Struct {
    Struct { fields: entries.into_iter().collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_document_is_complete_and_published() {
    let fixture = Fixture::new().await;
    let metadata = object([
        ("n".to_owned(), value(Kind::NumberValue(0.1))),
        (
            "list".to_owned(),
            value(Kind::ListValue(ListValue { values: vec![value(Kind::NullValue(0)), value(Kind::BoolValue(true))] })),
        ),
    ]);
    let content = Content { media_type: "text/markdown".to_owned(), text: "# Plan\n".to_owned() };
    let sent = Document { content: Some(content.clone()), metadata: Some(metadata.clone()), ..titled("Plan") };
    let document = fixture.create(sent).await.expect("valid");
    assert!(document.name.starts_with(&format!("{}/documents/", fixture.organization.name())));
    assert_eq!(document.folder, format!("{}/folders/root", fixture.organization.name()));
    assert_eq!((document.content.as_ref(), document.metadata.as_ref()), (Some(&content), Some(&metadata)));
    assert_eq!((document.state(), document.head_revision), (State::Active, 1));
    assert_eq!((document.creator.clone(), document.create_time), (fixture.editor.name(), document.update_time));
    assert_eq!(fixture.get(&document.name).await, document);
    assert_eq!(fixture.published().await, [(1, DocumentCreated { name: document.name })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_08_a_repeated_create_gives_the_same_document() {
    let fixture = Fixture::new().await;
    let request = CreateDocumentRequest {
        parent: fixture.organization.name(),
        document: Some(titled("plan")),
        request_id: request_id(),
        ..Default::default()
    };
    let create = || async { read(fixture.documents.clone().create_document(request.clone()).await) };
    let answers = join_all((0..16).map(|_| create())).await;
    let first = create().await.expect("the same request");
    for answer in answers {
        assert_eq!(answer.expect("the same request"), first);
    }
    assert_eq!((fixture.count("documents").await, fixture.count("revisions").await), (1, 1));
    assert_eq!(fixture.published::<DocumentCreated>().await.len(), 1);
    let other = CreateDocumentRequest { document: Some(titled("other")), ..request };
    let reused = read(fixture.documents.clone().create_document(other).await);
    assert_eq!(refusal(reused), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_id_is_kept_and_a_taken_one_refused() {
    let fixture = Fixture::new().await;
    let document_id = new_id();
    let request = CreateDocumentRequest {
        parent: fixture.organization.name(),
        document: Some(titled("plan")),
        document_id: document_id.clone(),
        ..Default::default()
    };
    let created = read(fixture.documents.clone().create_document(request.clone()).await).expect("the id is free");
    assert!(created.name.ends_with(&format!("/documents/{document_id}")));
    let again = CreateDocumentRequest { request_id: request_id(), ..request.clone() };
    let taken = read(fixture.documents.clone().create_document(again).await);
    assert_eq!(refusal(taken), (Code::AlreadyExists, "RESOURCE_EXISTS".to_owned()));
    let malformed = CreateDocumentRequest { document_id: "plan".to_owned(), ..request };
    let refused = read(fixture.documents.clone().create_document(malformed).await);
    assert_eq!(refusal(refused), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_organizations_may_choose_the_same_id() {
    let fixture = Fixture::new().await;
    let other = fixture.system.organization();
    let mut elsewhere = crate::fixture::client(&other.user(proto::Role::Editor));
    let document_id = new_id();
    let request = |parent| CreateDocumentRequest {
        parent,
        document: Some(titled("plan")),
        document_id: document_id.clone(),
        ..Default::default()
    };
    read(fixture.documents.clone().create_document(request(fixture.organization.name())).await).expect("free");
    read(elsewhere.create_document(request(other.name())).await).expect("free there, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_10_nul_is_refused_everywhere() {
    let fixture = Fixture::new().await;
    let metadata = |key: &str, text: &str| Some(object([(key.to_owned(), value(Kind::StringValue(text.to_owned())))]));
    let cases = [
        (titled("a\0b"), "TITLE_INVALID"),
        (Document { content: text("a\0b"), ..titled("plan") }, "CONTENT_INVALID"),
        (Document { metadata: metadata("a", "b\0"), ..titled("plan") }, "METADATA_INVALID"),
        (Document { metadata: metadata("a\0", "b"), ..titled("plan") }, "METADATA_INVALID"),
        (Document { folder: "\0".to_owned(), ..titled("plan") }, "NAME_INVALID"),
    ];
    for (document, reason) in cases {
        assert_eq!(refusal(fixture.create(document).await), (Code::InvalidArgument, reason.to_owned()));
    }
    assert_eq!(fixture.count("documents").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_11_metadata_over_a_limit_is_refused_with_the_limit() {
    let fixture = Fixture::new().await;
    let keys = |count: usize| object((0..count).map(|index| (index.to_string(), value(Kind::NullValue(0)))));
    let nested = |levels: usize| {
        (1..levels).fold(Struct::default(), |inner, _| object([("a".to_owned(), value(Kind::StructValue(inner)))]))
    };
    let large = object([("a".to_owned(), value(Kind::StringValue("x".repeat(65_536))))]);
    for (metadata, limit) in [(keys(1001), "1000"), (nested(21), "20"), (large, "65536")] {
        let refused =
            fixture.create(Document { metadata: Some(metadata), ..titled("plan") }).await.expect_err("over the limit");
        assert_eq!((refused.code(), refused.reason()), (Code::InvalidArgument, "METADATA_INVALID"));
        assert_eq!(refused.metadata().get("limit").map(String::as_str), Some(limit));
    }
    for metadata in [keys(1000), nested(20)] {
        let created = fixture
            .create(Document { metadata: Some(metadata.clone()), ..titled("plan") })
            .await
            .expect("within the limit");
        assert_eq!(created.metadata, Some(metadata));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_up_to_its_limit_is_kept_and_one_byte_more_refused() {
    let fixture = Fixture::new().await;
    let largest = "é".repeat(2 << 20);
    let created = fixture.create(Document { content: text(&largest), ..titled("large") }).await.expect("4 MiB");
    assert_eq!(fixture.get(&created.name).await.content.map(|content| content.text), Some(largest.clone()));
    let refused = fixture.create(Document { content: text(&(largest + "x")), ..titled("larger") }).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, "CONTENT_INVALID".to_owned()));
    let media_type = Some(Content { media_type: "markdown".to_owned(), text: String::new() });
    let refused = fixture.create(Document { content: media_type, ..titled("plan") }).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, "CONTENT_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_needs_a_folder_that_exists() {
    let fixture = Fixture::new().await;
    let absent = format!("{}/folders/{}", fixture.organization.name(), new_id());
    let foreign = format!("{}/folders/{}", fixture.system.organization().name(), new_id());
    for folder in [absent, foreign] {
        let refused = fixture.create(Document { folder, ..titled("plan") }).await;
        assert_eq!(refusal(refused), (Code::FailedPrecondition, "FOLDER_NOT_FOUND".to_owned()));
    }
}
