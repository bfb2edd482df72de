//! Uploads and files are deleted.
use api::{Code, Error};
use proto::file::v1::{DeleteFileRequest, DeleteUploadRequest, FileDeleted, ListFilesRequest, ListFilesResponse};

use crate::fixture::{Files, Fixture, denied, download, files, get, get_file, read, refusal, request_id, sized};

impl Fixture {
    pub(crate) async fn delete_upload(&self, name: &str) -> Result<(), Error> {
        read(self.uploads().delete_upload(DeleteUploadRequest { name: name.to_owned() }).await)
    }
}

pub(crate) async fn delete(files: &Files, name: &str) -> Result<(), Error> {
    read(files.clone().delete_file(DeleteFileRequest { name: name.to_owned(), ..Default::default() }).await)
}

async fn list(files: &Files, parent: &str, page_size: i32, page_token: &str) -> Result<ListFilesResponse, Error> {
    let request = ListFilesRequest { parent: parent.to_owned(), page_size, page_token: page_token.to_owned() };
    read(files.clone().list_files(request).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_31_a_dropped_upload_is_gone_for_everything() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &[1; 40]).await.expect("valid");
    fixture.delete_upload(&upload.name).await.expect("its owner");
    assert_eq!(refusal(get(&fixture.uploads(), &upload.name).await), denied());
    assert_eq!(refusal(fixture.put(&upload.name, 40, &[1; 60]).await), denied());
    assert_eq!(refusal(fixture.delete_upload(&upload.name).await), denied());
    assert!(fixture.stored("uploads").is_empty());
    assert_eq!(fixture.number("select count(*) from file.segments").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_upload_leaves_its_file_and_the_files_name_stays_taken() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(5).await;
    let done = fixture.put(&upload.name, 0, b"hello").await.expect("valid");
    fixture.delete_upload(&upload.name).await.expect("its owner");
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("it stays").bytes, b"hello");
    let id = upload.name.rsplit('/').next().expect("a name has segments");
    for length in [0, 5, 7] {
        assert_eq!(refusal(fixture.create(sized(length), id).await).1, "RESOURCE_EXISTS");
    }
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("it stays").bytes, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_is_there_for_nobody() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let stale = DeleteFileRequest { name: file.name.clone(), etag: "\"7\"".to_owned(), ..Default::default() };
    assert_eq!(refusal(read(fixture.files().delete_file(stale).await)), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let request = DeleteFileRequest { name: file.name.clone(), etag: file.etag.clone(), request_id: request_id() };
    read(fixture.files().delete_file(request.clone()).await).expect("current");
    read(fixture.files().delete_file(request).await).expect("the same request");
    let gone = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(get_file(&fixture.files(), &file.name).await), gone);
    assert_eq!(refusal(download(&fixture.files(), &file.name, &[]).await), gone);
    assert_eq!(refusal(delete(&fixture.files(), &file.name).await), gone);
    assert_eq!(fixture.published::<FileDeleted>().await, [(2, FileDeleted { name: file.name })]);
    let listed = list(&fixture.files(), &fixture.organization.name(), 0, "").await.expect("a viewer");
    assert!(listed.files.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_delete_is_the_owner_or_an_editor() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let viewer = files(&fixture.organization.user(proto::Role::Viewer));
    assert_eq!(refusal(delete(&viewer, &file.name).await), denied());
    let member = files(&fixture.organization.member());
    assert_eq!(refusal(delete(&member, &file.name).await), denied());
    // The owner may, also when the role is gone.
    let owner = files(&fixture.organization.person(fixture.editor.id(), None));
    delete(&owner, &file.name).await.expect("the owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_newest_first_in_pages_and_own_ones_without_a_role() {
    let fixture = Fixture::new().await;
    let mut names = Vec::new();
    for _ in 0..5 {
        names.insert(0, fixture.file(b"x").await.name);
    }
    let (parent, mut token, mut seen) = (fixture.organization.name(), String::new(), Vec::new());
    loop {
        let page = list(&fixture.files(), &parent, 2, &token).await.expect("a viewer");
        assert!(page.files.len() <= 2);
        seen.extend(page.files.into_iter().map(|file| file.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, names);
    let owner = files(&fixture.organization.person(fixture.editor.id(), None));
    assert_eq!(list(&owner, &parent, 0, "").await.expect("own ones").files.len(), 5);
    let member = files(&fixture.organization.member());
    assert!(list(&member, &parent, 0, "").await.expect("own ones").files.is_empty());
    assert_eq!(refusal(list(&fixture.files(), "nonsense", 0, "").await).0, Code::InvalidArgument);
    assert_eq!(refusal(list(&fixture.files(), &parent, 0, "forged").await).0, Code::InvalidArgument);
    assert_eq!(refusal(list(&fixture.files(), &parent, -1, "").await).0, Code::InvalidArgument);
}
