//! Files of documents: who reads the document reads them.
use std::time::Duration;

use api::Code;
use proto::{
    Role,
    api::v1::{IndexEntry, IndexView},
    document::v1::{
        AttachFileRequest, CreateDocumentRequest, CreateGrantRequest, DeleteDocumentRequest, DeleteGrantRequest,
        DetachFileRequest, Document, Grant, document_service_client::DocumentServiceClient, grant,
    },
    file::v1::{BatchReadFilesRequest, File, FileReferencesChanged},
};
use testkit::{Person, eventually};

use crate::{
    deletion::delete,
    fixture::{Files, Fixture, denied, download, files, get_file, new_id, read, refusal},
};

type Documents = DocumentServiceClient<mesh::client::Channel>;

impl Fixture {
    fn documents(&self) -> Documents {
        DocumentServiceClient::new(self.editor.channel("document"))
    }

    /// A document with this file attached.
    async fn document_with(&self, file: &File) -> Document {
        let document = Document { title: "plan".to_owned(), ..Default::default() };
        let request =
            CreateDocumentRequest { parent: self.organization.name(), document: Some(document), ..Default::default() };
        let document = read(self.documents().create_document(request).await).expect("valid");
        let request = AttachFileRequest { name: document.name.clone(), file: file.name.clone(), ..Default::default() };
        read(self.documents().attach_file(request).await).expect("readable")
    }

    async fn share(&self, document: &Document, principal: &str) -> Grant {
        let grant = Grant { principal: principal.to_owned(), role: grant::Role::Reader.into(), ..Default::default() };
        let request = CreateGrantRequest { parent: document.name.clone(), grant: Some(grant), ..Default::default() };
        read(self.documents().create_grant(request).await).expect("valid")
    }

    async fn unshare(&self, grant: &Grant) {
        let request = DeleteGrantRequest { name: grant.name.clone(), ..Default::default() };
        read(self.documents().delete_grant(request).await).expect("it is there");
    }

    async fn detach(&self, document: &Document, file: &File) {
        let request = DetachFileRequest { name: document.name.clone(), file: file.name.clone(), ..Default::default() };
        read(self.documents().detach_file(request).await).expect("attached");
    }

    /// The file as the index sees it.
    async fn entry(&self, file: &File) -> IndexEntry {
        let request = BatchReadFilesRequest {
            parent: self.organization.name(),
            names: vec![file.name.clone()],
            view: IndexView::Access.into(),
        };
        let mut search = Files::new(self.system.as_workload("search").channel("file"));
        read(search.batch_read_files(request).await).expect("one").entries.remove(0)
    }

    /// A member without a role who reads the file because a document was shared with him.
    async fn reader(&self, file: &File, document: &Document) -> (Person, Grant) {
        let member = self.organization.member();
        let grant = self.share(document, &member.name()).await;
        let reads = files(&member);
        eventually("the reference is known", || get_file(&reads, &file.name)).await;
        (member, grant)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_document_reads_its_files_and_loses_them_with_it_at_once() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let member = fixture.organization.member();
    assert_eq!(refusal(get_file(&files(&member), &file.name).await), denied());
    let document = fixture.document_with(&file).await;
    let (reader, grant) = fixture.reader(&file, &document).await;
    assert_eq!(download(&files(&reader), &file.name, &[]).await.expect("a reader").bytes, b"hello");
    assert_eq!(refusal(get_file(&files(&member), &file.name).await), denied());
    assert_eq!(refusal(delete(&files(&reader), &file.name).await), denied());
    fixture.unshare(&grant).await;
    assert_eq!(refusal(get_file(&files(&reader), &file.name).await), denied());
    assert_eq!(refusal(download(&files(&reader), &file.name, &[]).await), denied());
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_whoever_is_in_a_group_reads_the_files_of_its_documents_as_long_as_he_is() {
    let fixture = Fixture::new().await;
    let (file, other) = (fixture.file(b"hello").await, fixture.file(b"other").await);
    let document = fixture.document_with(&file).await;
    fixture.document_with(&other).await;
    let group = format!("{}/groups/{}", fixture.organization.name(), new_id());
    let member = fixture.organization.member();
    member.set_groups(&[&group]);
    fixture.share(&document, &format!("{group}#member")).await;
    let reads = files(&member);
    eventually("the reference is known", || get_file(&reads, &file.name)).await;
    assert_eq!(download(&reads, &file.name, &[]).await.expect("a reader").bytes, b"hello");
    assert_eq!(refusal(get_file(&reads, &other.name).await), denied());
    assert!(fixture.entry(&file).await.principals.contains(&format!("{group}#member")));
    member.set_groups(&[]);
    assert_eq!(refusal(download(&reads, &file.name, &[]).await), denied());
    // Nothing is denied while groups are unknown, be the file there or not.
    member.set_groups(&[&group]);
    fixture.system.groups_away(true);
    for name in [&file.name, &other.name, &format!("{}/files/{}", fixture.organization.name(), new_id())] {
        assert_eq!(refusal(get_file(&reads, name).await).0, Code::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_whoever_holds_a_link_reads_the_files_of_its_documents_as_long_as_it_is_in_force() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let document = fixture.document_with(&file).await;
    let link = format!("{}/links/{}", fixture.organization.name(), new_id());
    let (member, other) = (fixture.organization.member(), fixture.organization.member());
    member.set_links(&[&link], Duration::from_secs(60));
    fixture.share(&document, &format!("{link}#holder")).await;
    let reads = files(&member);
    eventually("the reference is known", || get_file(&reads, &file.name)).await;
    assert_eq!(refusal(get_file(&files(&other), &file.name).await), denied());
    assert!(fixture.entry(&file).await.principals.contains(&format!("{link}#holder")));
    fixture.system.clock().advance(Duration::from_secs(61));
    assert_eq!(refusal(get_file(&files(&member), &file.name).await), denied(), "its time is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_in_the_trash_gives_nobody_its_files() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let document = fixture.document_with(&file).await;
    let (reader, _) = fixture.reader(&file, &document).await;
    let request = DeleteDocumentRequest { name: document.name.clone(), ..Default::default() };
    read(fixture.documents().delete_document(request).await).expect("it is there");
    assert_eq!(refusal(get_file(&files(&reader), &file.name).await), denied());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_detached_is_no_longer_read_through_the_document() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let document = fixture.document_with(&file).await;
    let (reader, _) = fixture.reader(&file, &document).await;
    fixture.detach(&document, &file).await;
    let gone = || async { get_file(&files(&reader), &file.name).await.err() };
    assert_eq!(eventually("the reference is gone", gone).await.code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_file_cannot_be_deleted() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let document = fixture.document_with(&file).await;
    fixture.reader(&file, &document).await;
    let refused = delete(&fixture.files(), &file.name).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "FILE_ATTACHED".to_owned()));
    fixture.detach(&document, &file).await;
    let deleting = fixture.files();
    eventually("the file is free", || delete(&deleting, &file.name)).await;
}

/// The entry once the index was told of a version.
async fn told(fixture: &Fixture, file: &File, version: i64) -> IndexEntry {
    let entry = || async {
        let entry = fixture.entry(file).await;
        if entry.version >= version { Ok(entry) } else { Err(entry) }
    };
    eventually("the index is told", entry).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_hears_of_every_change_of_readers() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let document = fixture.document_with(&file).await;
    let [documents, viewers, all] =
        ["document:read", "viewer", "file:read"].map(|held| format!("{}#{held}", fixture.organization.name()));
    let principals = |more: &[String]| {
        [[documents.clone(), viewers.clone(), fixture.editor.name()].as_slice(), more, std::slice::from_ref(&all)]
            .concat()
    };
    assert_eq!(told(&fixture, &file, 2).await.principals, principals(&[]));
    let (reader, grant) = fixture.reader(&file, &document).await;
    let entry = told(&fixture, &file, 3).await;
    assert_eq!(entry.principals, principals(&[reader.name()]));
    fixture.unshare(&grant).await;
    let entry = told(&fixture, &file, 4).await;
    assert!(!entry.principals.contains(&reader.name()));
    let events = fixture.published::<FileReferencesChanged>().await;
    assert_eq!(events.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [2, 3, 4]);
    // The file itself is what it was.
    let shown = get_file(&fixture.files(), &file.name).await.expect("its owner");
    assert_eq!((shown.update_time, shown.etag.as_str()), (file.update_time, "\"4\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_with_a_role_reads_every_file() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let viewer = files(&fixture.organization.user(Role::Viewer));
    assert_eq!(get_file(&viewer, &file.name).await.expect("a viewer"), file);
    let owner = files(&fixture.organization.person(fixture.editor.id(), None));
    assert_eq!(get_file(&owner, &file.name).await.expect("the owner"), file);
}
