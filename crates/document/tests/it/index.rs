//! The batch read of other services.
use api::Code;
use proto::{
    api::v1::{IndexEntry, IndexView},
    document::v1::{BatchReadDocumentsRequest, Document, document_service_client::DocumentServiceClient, grant::Role},
};

use crate::fixture::{Fixture, new_id, read, refusal, text, titled};

impl Fixture {
    async fn batch_read(&self, names: &[String], view: IndexView) -> Result<Vec<IndexEntry>, api::Error> {
        let channel = self.system.as_workload("search").channel("document");
        let mut documents = DocumentServiceClient::new(channel).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX);
        let request =
            BatchReadDocumentsRequest { parent: self.organization.name(), names: names.to_vec(), view: view.into() };
        read(documents.batch_read_documents(request).await).map(|answer| answer.entries)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_in_the_order_of_names_and_absent_ones_are_deleted() {
    let fixture = Fixture::new().await;
    let first = fixture.create(Document { content: text("one"), ..titled("first") }).await.expect("valid");
    let second = fixture.document("second").await;
    let trashed = fixture.document("trashed").await;
    fixture.delete(&trashed.name).await.expect("it is there");
    let absent = format!("{}/documents/{}", fixture.organization.name(), new_id());
    let names = [second.name.clone(), absent.clone(), first.name.clone(), trashed.name.clone(), second.name.clone()];
    let entries = fixture.batch_read(&names, IndexView::Full).await.expect("valid");
    assert_eq!(entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(), names);
    assert_eq!(entries.iter().map(|entry| entry.deleted).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(entries[1], IndexEntry { name: absent, deleted: true, ..Default::default() });
    let found = &entries[2];
    assert_eq!((found.title.as_str(), found.body.as_str(), found.media_type.as_str()), ("first", "one", "text/plain"));
    assert_eq!((&found.folder, found.update_time, found.version), (&first.folder, first.update_time, 1));
    assert_eq!(entries[3].version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_view_holds_version_and_principals_alone() {
    let fixture = Fixture::new().await;
    let document = fixture.document("plan").await;
    let member = fixture.organization.member().name();
    fixture.share(&document, &member, Role::Reader).await;
    let organization = fixture.organization.name();
    let group = format!("{organization}/groups/{}#member", new_id());
    fixture.share(&document, &group, Role::Reader).await;
    let entries = fixture.batch_read(std::slice::from_ref(&document.name), IndexView::Access).await.expect("valid");
    let by_role = ["viewer", "document:read"].map(|held| format!("{organization}#{held}"));
    let principals = by_role.into_iter().chain([group, member]).collect();
    assert_eq!(entries, [IndexEntry { name: document.name, version: 3, principals, ..Default::default() }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_is_cut_at_256_kib_between_characters() {
    let fixture = Fixture::new().await;
    let long = format!("x{}", "é".repeat(200_000));
    let document = fixture.create(Document { content: text(&long), ..titled("long") }).await.expect("valid");
    let entries = fixture.batch_read(&[document.name], IndexView::Unspecified).await.expect("valid");
    assert_eq!(entries[0].body, long[..262_143]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded_and_of_one_organization_and_for_workloads_alone() {
    let fixture = Fixture::new().await;
    let name = || format!("{}/documents/{}", fixture.organization.name(), new_id());
    let names: Vec<_> = (0..1001).map(|_| name()).collect();
    let refused = (Code::InvalidArgument, "FIELD_INVALID".to_owned());
    assert_eq!(refusal(fixture.batch_read(&names, IndexView::Access).await), refused);
    assert_eq!(fixture.batch_read(&names[..1000], IndexView::Access).await.expect("within the limit").len(), 1000);
    assert_eq!(refusal(fixture.batch_read(&names[..26], IndexView::Full).await), refused);
    let foreign = format!("{}/documents/{}", fixture.system.organization().name(), new_id());
    assert_eq!(refusal(fixture.batch_read(&[foreign], IndexView::Access).await), refused);
    let request = BatchReadDocumentsRequest { parent: fixture.organization.name(), ..Default::default() };
    let by_person = read(fixture.documents.clone().batch_read_documents(request).await);
    assert_eq!(refusal(by_person).0, Code::PermissionDenied);
}
