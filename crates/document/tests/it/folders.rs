//! Folders: the root, names, depth, emptiness.
use api::Code;
use futures::future::join_all;
use proto::document::v1::{
    CreateFolderRequest, DeleteFolderRequest, Document, Folder, GetFolderRequest, ListFoldersRequest,
    UndeleteDocumentRequest,
};

use crate::fixture::{Fixture, new_id, read, refusal, request_id, titled};

impl Fixture {
    fn root(&self) -> String {
        format!("{}/folders/root", self.organization.name())
    }

    pub(crate) async fn folder(&self, parent_folder: &str, display_name: &str) -> Result<Folder, api::Error> {
        let folder = Folder {
            parent_folder: parent_folder.to_owned(),
            display_name: display_name.to_owned(),
            ..Default::default()
        };
        let request =
            CreateFolderRequest { parent: self.organization.name(), folder: Some(folder), ..Default::default() };
        read(self.documents.clone().create_folder(request).await)
    }

    async fn get_folder(&self, name: &str) -> Result<Folder, api::Error> {
        read(self.documents.clone().get_folder(GetFolderRequest { name: name.to_owned() }).await)
    }

    async fn delete_folder(&self, name: &str) -> Result<(), api::Error> {
        let request = DeleteFolderRequest { name: name.to_owned(), ..Default::default() };
        read(self.documents.clone().delete_folder(request).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_folder_always_exists() {
    let fixture = Fixture::new().await;
    let root = fixture.get_folder(&fixture.root()).await.expect("it always exists");
    assert_eq!((root.name.as_str(), root.parent_folder.as_str()), (fixture.root().as_str(), ""));
    let (by_name, by_default) =
        (fixture.folder(&fixture.root(), "a").await.expect("valid"), fixture.folder("", "b").await.expect("valid"));
    assert_eq!((&by_name.parent_folder, &by_default.parent_folder), (&root.name, &root.name));
    assert_eq!(fixture.get_folder(&by_name.name).await.expect("it exists"), by_name);
    assert_eq!(
        refusal(fixture.delete_folder(&fixture.root()).await),
        (Code::InvalidArgument, "FIELD_INVALID".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once_in_a_parent_in_any_case() {
    let fixture = Fixture::new().await;
    let plans = fixture.folder("", "Pläne").await.expect("free");
    let taken = (Code::AlreadyExists, "FOLDER_EXISTS".to_owned());
    for name in ["PLÄNE", " pläne ", "Pla\u{308}ne"] {
        assert_eq!(refusal(fixture.folder("", name).await), taken, "{name}");
    }
    fixture.folder(&plans.name, "Pläne").await.expect("free there");
    let twins = join_all((0..8).map(|_| fixture.folder("", "twin"))).await;
    assert_eq!(twins.iter().filter(|twin| twin.is_ok()).count(), 1);
    for name in ["", "  ", "a\0b", "a\nb", &"x".repeat(256)] {
        assert_eq!(refusal(fixture.folder("", name).await), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doc_23_a_hundred_levels_are_fine_and_one_more_is_too_deep() {
    let fixture = Fixture::new().await;
    let mut parent = String::new();
    for level in 1..=100 {
        parent = fixture.folder(&parent, &level.to_string()).await.expect("within the limit").name;
    }
    assert_eq!(refusal(fixture.folder(&parent, "101").await), (Code::FailedPrecondition, "FOLDER_TOO_DEEP".to_owned()));
    let absent = format!("{}/folders/{}", fixture.organization.name(), new_id());
    assert_eq!(refusal(fixture.folder(&absent, "x").await), (Code::FailedPrecondition, "FOLDER_NOT_FOUND".to_owned()));
    assert_eq!(refusal(fixture.get_folder(&absent).await), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_listed_by_name_in_pages() {
    let fixture = Fixture::new().await;
    for name in ["Beta", "alpha", "gamma"] {
        let folder = fixture.folder("", name).await.expect("free");
        fixture.folder(&folder.name, "below").await.expect("free");
    }
    let mut request = ListFoldersRequest { parent: fixture.organization.name(), page_size: 2, ..Default::default() };
    let first = read(fixture.documents.clone().list_folders(request.clone()).await).expect("valid");
    request.page_token = first.next_page_token;
    let second = read(fixture.documents.clone().list_folders(request.clone()).await).expect("valid");
    let names: Vec<_> =
        first.folders.iter().chain(&second.folders).map(|folder| folder.display_name.as_str()).collect();
    assert_eq!((names, second.next_page_token.as_str()), (vec!["alpha", "Beta", "gamma"], ""));
    request.parent_folder = first.folders[0].name.clone();
    let refused = read(fixture.documents.clone().list_folders(request).await);
    assert_eq!(refusal(refused), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_folder_is_deleted_and_the_trash_does_not_count() {
    let fixture = Fixture::new().await;
    let outer = fixture.folder("", "outer").await.expect("free").name;
    let inner = fixture.folder(&outer, "inner").await.expect("free").name;
    let document =
        fixture.create(Document { folder: inner.clone(), ..titled("plan") }).await.expect("the folder exists");
    let in_use = (Code::FailedPrecondition, "FOLDER_NOT_EMPTY".to_owned());
    assert_eq!(refusal(fixture.delete_folder(&outer).await), in_use);
    assert_eq!(refusal(fixture.delete_folder(&inner).await), in_use);
    let stale = DeleteFolderRequest { name: inner.clone(), etag: "\"9\"".to_owned(), ..Default::default() };
    assert_eq!(
        refusal(read(fixture.documents.clone().delete_folder(stale).await)),
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    fixture.delete(&document.name).await.expect("it is there");
    let request = DeleteFolderRequest { name: inner.clone(), request_id: request_id(), ..Default::default() };
    for _ in 0..2 {
        read(fixture.documents.clone().delete_folder(request.clone()).await)
            .expect("empty, and the same request again");
    }
    fixture.delete_folder(&outer).await.expect("empty now");
    assert_eq!(refusal(fixture.delete_folder(&outer).await), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    let undelete = UndeleteDocumentRequest { name: document.name, ..Default::default() };
    let restored = read(fixture.documents.clone().undelete_document(undelete).await).expect("it is in the trash");
    assert_eq!(restored.folder, fixture.root());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_a_document_put_into_it_never_pass_each_other() {
    let fixture = Fixture::new().await;
    for round in 0..20 {
        let folder = fixture.folder("", &round.to_string()).await.expect("free").name;
        let create = fixture.create(Document { folder: folder.clone(), ..titled("plan") });
        let (created, deleted) = futures::join!(create, fixture.delete_folder(&folder));
        assert_ne!(created.is_ok(), deleted.is_ok(), "either the document is in the folder, or the folder is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_moves_a_document_to_another_folder() {
    let fixture = Fixture::new().await;
    let folder = fixture.folder("", "plans").await.expect("free").name;
    let document = fixture.document("plan").await;
    let moved =
        fixture.update(Document { folder: folder.clone(), ..document.clone() }, &["folder"]).await.expect("it exists");
    assert_eq!(moved.folder, folder);
    assert_eq!(
        refusal(fixture.delete_folder(&folder).await),
        (Code::FailedPrecondition, "FOLDER_NOT_EMPTY".to_owned())
    );
    let absent = format!("{}/folders/{}", fixture.organization.name(), new_id());
    let refused = fixture.update(Document { folder: absent, ..moved }, &["folder"]).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "FOLDER_NOT_FOUND".to_owned()));
}
