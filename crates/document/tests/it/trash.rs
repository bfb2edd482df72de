//! The trash: delete, undelete, purge.
use std::time::Duration;

use api::{Clock, Code};
use proto::document::v1::{
    DeleteDocumentRequest, Document, DocumentDeleted, DocumentGrantsChanged, DocumentUndeleted, DocumentUpdated,
    ListDocumentsRequest, UndeleteDocumentRequest, document::State,
};
use testkit::{System, eventually};

use crate::fixture::{Fixture, get, read, refusal, request_id, text, titled};

const DAYS_30: i64 = 30 * 24 * 3600;

impl Fixture {
    pub(crate) async fn delete(&self, name: &str) -> Result<Document, api::Error> {
        let request = DeleteDocumentRequest { name: name.to_owned(), ..Default::default() };
        read(self.documents.clone().delete_document(request).await)
    }

    async fn undelete(&self, name: &str, etag: &str) -> Result<Document, api::Error> {
        let request = UndeleteDocumentRequest { name: name.to_owned(), etag: etag.to_owned(), ..Default::default() };
        read(self.documents.clone().undelete_document(request).await)
    }

    async fn listed(&self, show_deleted: bool) -> usize {
        let request = ListDocumentsRequest { parent: self.organization.name(), show_deleted, ..Default::default() };
        read(self.documents.clone().list_documents(request).await).expect("valid").documents.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_16_a_deleted_document_is_shown_by_get_and_hidden_by_list() {
    let fixture = Fixture::new().await;
    let document = fixture.create(Document { content: text("kept"), ..titled("plan") }).await.expect("valid");
    let deleted = fixture.delete(&document.name).await.expect("it is there");
    let (delete, purge) = (deleted.delete_time.expect("deleted"), deleted.purge_time.expect("deleted"));
    assert_eq!(purge.seconds - delete.seconds, DAYS_30);
    assert_eq!((deleted.state(), &deleted.content), (State::Deleted, &document.content));
    assert_ne!(deleted.etag, document.etag);
    assert_eq!(fixture.get(&document.name).await, deleted);
    assert_eq!((fixture.listed(false).await, fixture.listed(true).await), (0, 1));
    assert_eq!(fixture.published::<DocumentDeleted>().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_17_deleting_twice_is_not_found_and_undeleting_a_live_document_exists_already() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    assert_eq!(
        refusal(fixture.undelete(&document.name, "").await),
        (Code::AlreadyExists, "DOCUMENT_NOT_DELETED".to_owned())
    );
    let deleted = fixture.delete(&document.name).await.expect("it is there");
    assert_eq!(refusal(fixture.delete(&document.name).await), (Code::NotFound, "DOCUMENT_DELETED".to_owned()));
    let missing = DeleteDocumentRequest {
        name: document.name.clone(),
        allow_missing: true,
        request_id: request_id(),
        ..Default::default()
    };
    assert_eq!(read(fixture.documents.clone().delete_document(missing).await).expect("allowed"), deleted);
    assert_eq!(
        refusal(fixture.undelete(&document.name, &document.etag).await),
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    let live = fixture.undelete(&document.name, &deleted.etag).await.expect("it is in the trash");
    assert_eq!((live.state(), live.delete_time, live.purge_time), (State::Active, None, None));
    assert_eq!(fixture.published::<DocumentUndeleted>().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_in_the_trash_cannot_be_changed() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let deleted = fixture.delete(&document.name).await.expect("it is there");
    let refused = fixture.update(Document { title: "new".to_owned(), ..deleted }, &["title"]).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "DOCUMENT_DELETED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_18_a_purged_document_leaves_its_audit_and_its_last_version() {
    let clock = Clock::default();
    let builder = System::builder(&[&document::SERVICE]).clock(clock.clone()).set("document.sweep_interval", "20ms");
    let fixture = Fixture::over(builder.start().await);
    let document = fixture.document("plan").await;
    let kept = fixture.document("kept").await;
    fixture.share(&document, &fixture.organization.member().name(), proto::document::v1::grant::Role::Reader).await;
    fixture.delete(&document.name).await.expect("it is there");
    assert_eq!(fixture.count("documents").await, 2);
    clock.advance(Duration::from_secs(30 * 24 * 3600 + 1));
    eventually("the document is purged", || async { (fixture.count("documents").await == 1).then_some(()) }).await;
    assert_eq!((fixture.count("revisions").await, fixture.count("grants").await), (1, 0));
    assert_eq!(fixture.count("audit_event where method = 'document.sweep'").await, 1);
    let editor = crate::fixture::client(&fixture.organization.user(proto::Role::Editor));
    assert_eq!(refusal(get(&editor, &document.name).await), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    assert_eq!(get(&editor, &kept.name).await.expect("it was never deleted").title, "kept");
    // It was shared, so whoever keeps relations hears first who holds something and then that nobody does.
    let (_, shared) = fixture.published::<DocumentGrantsChanged>().await.pop().expect("published");
    assert_eq!(shared.relations.map(|relations| relations.holders.len()), Some(1));
    let (version, purged) = fixture.published::<DocumentUpdated>().await.pop().expect("published");
    assert_eq!((version, purged.relations), (4, Some(proto::api::v1::Relations::default())));
    // The same id again: versions go on, so that whoever saw the old ones takes the new ones.
    let document_id = document.name.rsplit('/').next().expect("a name has segments").to_owned();
    let request = proto::document::v1::CreateDocumentRequest {
        parent: fixture.organization.name(),
        document: Some(titled("again")),
        document_id,
        ..Default::default()
    };
    let again = read(editor.clone().create_document(request).await).expect("the id is free again");
    assert_eq!((again.name.as_str(), again.etag.as_str(), again.head_revision), (document.name.as_str(), "\"5\"", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_document_releases_its_files() {
    let clock = Clock::default();
    let builder = System::builder(&[&document::SERVICE, &crate::files::FILE])
        .clock(clock.clone())
        .set("document.sweep_interval", "20ms");
    let fixture = Fixture::over(builder.start().await);
    let document = fixture.document("plan").await;
    let file = crate::files::readable(&fixture);
    fixture.attach(&document.name, &file).await.expect("readable");
    fixture.delete(&document.name).await.expect("it is there");
    clock.advance(Duration::from_secs(30 * 24 * 3600 + 1));
    eventually("the document is purged", || async { (fixture.count("documents").await == 0).then_some(()) }).await;
    let (version, event) = fixture.published::<DocumentUpdated>().await.pop().expect("published");
    assert_eq!((version, event.name, event.files), (4, document.name, Vec::new()));
}
