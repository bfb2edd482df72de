//! Files of documents, beside a stand-in for the file service that knows which files the caller may read.
use api::{Code, Error};
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use mesh::{Items, Reply, reply};
use proto::{
    document::v1::{AttachFileRequest, DetachFileRequest, Document, DocumentUpdated},
    file::v1::{
        BatchReadFilesRequest, BatchReadFilesResponse, DeleteFileRequest, File, GetFileRequest, ListFilesRequest,
        ListFilesResponse, ReadFileRequest,
        file::State,
        file_service_server::{FileService, FileServiceServer},
    },
    google::api::HttpBody,
};
use testkit::System;
use tonic::Request;

use crate::fixture::{Fixture, new_id, read, refusal, request_id};

/// Ends the ids that the stand-in calls readable, deleted and away; every other file is absent.
const READABLE: &str = "0";
const DELETED: &str = "1";
const AWAY: &str = "2";

pub(crate) const FILE: ServiceSpec = ServiceSpec::new("file", boot).without_events();

fn boot(_: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        mount.rpc(FileServiceServer::new(Files));
        Ok(())
    })
}

struct Files;

#[tonic::async_trait]
impl FileService for Files {
    type ReadFileStream = Items<HttpBody>;

    async fn get_file(&self, request: Request<GetFileRequest>) -> Reply<File> {
        let (caller, GetFileRequest { name }) = mesh::caller(request)?;
        assert!(caller.user().is_some(), "asked on the caller's behalf");
        reply(match &name[name.len() - 1..] {
            READABLE => Ok(File { name, state: State::Available.into(), ..Default::default() }),
            DELETED => Ok(File { name, state: State::Deleted.into(), ..Default::default() }),
            AWAY => Err(Error::unavailable("the store of files")),
            _ => Err(Error::denied()),
        })
    }

    async fn list_files(&self, _: Request<ListFilesRequest>) -> Reply<ListFilesResponse> {
        reply(Err(Error::denied()))
    }

    async fn delete_file(&self, _: Request<DeleteFileRequest>) -> Reply<()> {
        reply(Err(Error::denied()))
    }

    async fn read_file(&self, _: Request<ReadFileRequest>) -> Reply<Items<HttpBody>> {
        reply(Err(Error::denied()))
    }

    async fn batch_read_files(&self, _: Request<BatchReadFilesRequest>) -> Reply<BatchReadFilesResponse> {
        reply(Err(Error::denied()))
    }
}

impl Fixture {
    async fn with_files() -> Self {
        Self::over(System::start(&[&document::SERVICE, &FILE]).await)
    }

    pub(crate) async fn attach(&self, name: &str, file: &str) -> Result<Document, Error> {
        let request = AttachFileRequest { name: name.to_owned(), file: file.to_owned(), ..Default::default() };
        read(self.documents.clone().attach_file(request).await)
    }

    async fn detach(&self, name: &str, file: &str) -> Result<Document, Error> {
        let request = DetachFileRequest { name: name.to_owned(), file: file.to_owned(), ..Default::default() };
        read(self.documents.clone().detach_file(request).await)
    }
}

/// Name of a file that the stand-in calls readable.
pub(crate) fn readable(fixture: &Fixture) -> String {
    file(fixture, READABLE)
}

fn file(fixture: &Fixture, end: &str) -> String {
    let id = new_id();
    format!("{}/files/{}{end}", fixture.organization.name(), &id[..id.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_attached_in_order_and_taken_off_again() {
    let fixture = Fixture::with_files().await;
    let document = fixture.document("plan").await;
    let (one, other) = (readable(&fixture), readable(&fixture));
    fixture.attach(&document.name, &one).await.expect("readable");
    let both = fixture.attach(&document.name, &other).await.expect("readable");
    assert_eq!((both.files.as_slice(), both.head_revision), ([one.clone(), other.clone()].as_slice(), 1));
    assert_eq!(fixture.attach(&document.name, &one).await.expect("attached already"), both);
    let left = fixture.detach(&document.name, &one).await.expect("attached");
    assert_eq!(left.files, std::slice::from_ref(&other));
    assert_eq!(fixture.detach(&document.name, &one).await.expect("not attached"), left);
    assert_eq!(fixture.get(&document.name).await, left);
    let events = fixture.published::<DocumentUpdated>().await;
    let files: Vec<_> = events.into_iter().map(|(_, event)| (event.changed_paths, event.files)).collect();
    let paths = vec!["files".to_owned()];
    assert_eq!(
        files,
        [(paths.clone(), vec![one.clone()]), (paths.clone(), vec![one, other.clone()]), (paths, vec![other])]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_not_attached() {
    let fixture = Fixture::with_files().await;
    let document = fixture.document("plan").await;
    let foreign = format!("{}/files/{}", fixture.system.organization().name(), new_id());
    for name in [file(&fixture, DELETED), file(&fixture, "3"), foreign] {
        let refused = fixture.attach(&document.name, &name).await;
        assert_eq!(refusal(refused), (Code::FailedPrecondition, "FILE_NOT_FOUND".to_owned()));
    }
    let away = fixture.attach(&document.name, &file(&fixture, AWAY)).await;
    assert_eq!(refusal(away), (Code::Unavailable, "SERVICE_UNAVAILABLE".to_owned()));
    assert_eq!(
        refusal(fixture.attach(&document.name, "plan.pdf").await),
        (Code::InvalidArgument, "NAME_INVALID".to_owned())
    );
    assert_eq!(fixture.get(&document.name).await, document);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_at_most_a_hundred_files() {
    let fixture = Fixture::with_files().await;
    let document = fixture.document("plan").await;
    fixture
        .system
        .sql("update document.documents set files = array(select gen_random_uuid() from generate_series(1, 100))")
        .await;
    let refused = fixture.attach(&document.name, &readable(&fixture)).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "LIMIT_REACHED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_attachment_happens_once_and_a_stale_one_not() {
    let fixture = Fixture::with_files().await;
    let document = fixture.document("plan").await;
    let request = AttachFileRequest {
        name: document.name.clone(),
        file: readable(&fixture),
        etag: document.etag,
        request_id: request_id(),
    };
    let first = read(fixture.documents.clone().attach_file(request.clone()).await).expect("valid");
    assert_eq!(read(fixture.documents.clone().attach_file(request.clone()).await).expect("the same request"), first);
    let stale = AttachFileRequest { request_id: request_id(), file: readable(&fixture), ..request };
    let refused = read(fixture.documents.clone().attach_file(stale).await);
    assert_eq!(refusal(refused), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
}
