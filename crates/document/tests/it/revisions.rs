//! Revisions: never changed, listed newest first, restored as new ones.
use api::Code;
use proto::document::v1::{Document, GetRevisionRequest, ListRevisionsRequest, RestoreRevisionRequest, Revision};

use crate::fixture::{Fixture, read, refusal, request_id, text, titled};

impl Fixture {
    /// A document with this many revisions, titled by number.
    async fn revised(&self, revisions: i64) -> Document {
        let mut document = self.create(Document { content: text("text 1"), ..titled("title 1") }).await.expect("valid");
        for number in 2..=revisions {
            let sent =
                Document { title: format!("title {number}"), content: text(&format!("text {number}")), ..document };
            document = self.update(sent, &["title", "content"]).await.expect("valid");
        }
        document
    }

    async fn revision(&self, document: &Document, number: &str) -> Result<Revision, api::Error> {
        let request = GetRevisionRequest { name: format!("{}/revisions/{number}", document.name) };
        read(self.documents.clone().get_revision(request).await)
    }

    fn restore_request(&self, document: &Document, number: &str) -> RestoreRevisionRequest {
        RestoreRevisionRequest { name: format!("{}/revisions/{number}", document.name), ..Default::default() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_19_restoring_revision_3_of_7_makes_revision_8() {
    let fixture = Fixture::new().await;
    let document = fixture.revised(7).await;
    let mut before = Vec::new();
    for number in 1..=7 {
        before.push(fixture.revision(&document, &number.to_string()).await.expect("it exists"));
    }
    let request = RestoreRevisionRequest { etag: document.etag.clone(), ..fixture.restore_request(&document, "3") };
    let restored = read(fixture.documents.clone().restore_revision(request).await).expect("it exists");
    assert_eq!((restored.title.as_str(), restored.head_revision), ("title 3", 8));
    assert_eq!(
        restored.content,
        text("text 3")
            .map(|content| proto::document::v1::document::Content { media_type: "text/plain".to_owned(), ..content })
    );
    assert_ne!(restored.etag, document.etag);
    for (index, revision) in before.iter().enumerate() {
        assert_eq!(&fixture.revision(&document, &(index + 1).to_string()).await.expect("it exists"), revision);
    }
    let head = fixture.revision(&document, "head").await.expect("it always exists");
    assert_eq!((head.name, head.title), (format!("{}/revisions/8", document.name), "title 3".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_are_listed_newest_first_without_their_text() {
    let fixture = Fixture::new().await;
    let document = fixture.revised(5).await;
    let mut request = ListRevisionsRequest { parent: document.name.clone(), page_size: 2, ..Default::default() };
    let mut titles = Vec::new();
    loop {
        let page = read(fixture.documents.clone().list_revisions(request.clone()).await).expect("valid");
        assert!(
            page.revisions
                .iter()
                .all(|revision| revision.content.is_none() && revision.author == fixture.editor.name())
        );
        titles.extend(page.revisions.into_iter().map(|revision| revision.title));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(titles, ["title 5", "title 4", "title 3", "title 2", "title 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_does_not_exist_is_not_found() {
    let fixture = Fixture::new().await;
    let document = fixture.revised(1).await;
    assert_eq!(refusal(fixture.revision(&document, "2").await), (Code::NotFound, "REVISION_NOT_FOUND".to_owned()));
    assert_eq!(refusal(fixture.revision(&document, "0").await), (Code::InvalidArgument, "NAME_INVALID".to_owned()));
    let restored = read(fixture.documents.clone().restore_revision(fixture.restore_request(&document, "2")).await);
    assert_eq!(refusal(restored), (Code::NotFound, "REVISION_NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_restore_is_aborted_and_a_repeated_one_happens_once() {
    let fixture = Fixture::new().await;
    let document = fixture.revised(3).await;
    let stale = RestoreRevisionRequest { etag: "\"1\"".to_owned(), ..fixture.restore_request(&document, "1") };
    let refused = read(fixture.documents.clone().restore_revision(stale).await);
    assert_eq!(refusal(refused), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let request = RestoreRevisionRequest {
        request_id: request_id(),
        etag: document.etag.clone(),
        ..fixture.restore_request(&document, "1")
    };
    let first = read(fixture.documents.clone().restore_revision(request.clone()).await).expect("valid");
    let again = read(fixture.documents.clone().restore_revision(request).await).expect("the same request");
    assert_eq!((first.head_revision, again), (4, first.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_to_change_a_revision() {
    let fixture = Fixture::new().await;
    fixture.revised(1).await;
    let change = "do $$ begin update document.revisions set title = 'x'; raise exception 'changed'; \
         exception when others then if sqlerrm <> 'a revision is never changed' then raise; end if; end $$";
    fixture.system.sql(change).await;
}
