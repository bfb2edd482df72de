//! The wire: parse, ask, call, render. No decisions.
mod append;
mod download;
mod file;
mod page;
mod upload;

use std::{pin::Pin, sync::Arc};

use api::OrganizationId;
use futures::Stream;
use mesh::{Reply, caller, reply};
use proto::{
    file::v1::{
        AppendUploadRequest, BatchReadFilesRequest, BatchReadFilesResponse, CreateUploadRequest, DeleteFileRequest,
        DeleteUploadRequest, File, GetFileRequest, GetUploadRequest, ListFilesRequest, ListFilesResponse,
        ReadFileRequest, Upload, file_service_server::FileService, upload_service_server::UploadService,
    },
    google::api::HttpBody,
};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{
    model::{FileName, UploadName},
    service::{Attempt, Files},
};

pub(crate) use page::Pages;

/// The RPCs of uploads.
pub(crate) struct UploadRpc {
    files: Arc<Files>,
}

impl UploadRpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(files: Arc<Files>) -> Self {
        Self { files }
    }
}

#[async_trait]
impl UploadService for UploadRpc {
    async fn create_upload(&self, request: Request<CreateUploadRequest>) -> Reply<Upload> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let (name, draft) = upload::parse(&caller, request).map_err(api::Error::from)?;
        reply(self.files.create_upload(&caller, name, draft, &attempt).await.map(upload::render))
    }

    async fn append_upload(&self, request: Request<Streaming<AppendUploadRequest>>) -> Reply<Upload> {
        let (caller, stream) = caller(request)?;
        reply(append::drive(&self.files, &caller, stream).await.map(upload::render))
    }

    async fn get_upload(&self, request: Request<GetUploadRequest>) -> Reply<Upload> {
        let (caller, request) = caller(request)?;
        let name = UploadName::parse_field("name", &request.name)?;
        reply(self.files.get_upload(&caller, name).await.map(upload::render))
    }

    async fn delete_upload(&self, request: Request<DeleteUploadRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let name = UploadName::parse_field("name", &request.name)?;
        reply(self.files.delete_upload(&caller, name).await)
    }
}

/// The RPCs of files.
pub(crate) struct FileRpc {
    files: Arc<Files>,
    pages: Pages,
}

impl FileRpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(files: Arc<Files>, pages: Pages) -> Self {
        Self { files, pages }
    }
}

#[async_trait]
impl FileService for FileRpc {
    type ReadFileStream = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

    async fn get_file(&self, request: Request<GetFileRequest>) -> Reply<File> {
        let (caller, request) = caller(request)?;
        let name = FileName::parse_field("name", &request.name)?;
        reply(self.files.get_file(&caller, name).await.map(file::render))
    }

    async fn list_files(&self, request: Request<ListFilesRequest>) -> Reply<ListFilesResponse> {
        let (caller, request) = caller(request)?;
        OrganizationId::parse(&request.parent)?;
        let (after, size) = self.pages.open(&request.parent, request.page_size, &request.page_token)?;
        let listed = self.files.list_files(&caller, after, size).await;
        reply(listed.map(|(files, next)| ListFilesResponse {
            files: files.into_iter().map(file::render).collect(),
            next_page_token: self.pages.seal(&request.parent, next),
        }))
    }

    async fn delete_file(&self, request: Request<DeleteFileRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = FileName::parse_field("name", &request.name)?;
        reply(self.files.delete_file(&caller, name, &request.etag, &attempt).await)
    }

    async fn read_file(&self, request: Request<ReadFileRequest>) -> Result<Response<Self::ReadFileStream>, Status> {
        let (caller, metadata, request) = mesh::caller_with_metadata(request)?;
        let name = FileName::parse_field("name", &request.name)?;
        let asked = download::asked(&metadata);
        let opened = self.files.read(&caller, name, &asked).await.map_err(api::Error::from)?;
        Ok(download::render(opened))
    }

    async fn batch_read_files(&self, request: Request<BatchReadFilesRequest>) -> Reply<BatchReadFilesResponse> {
        let (caller, request) = caller(request)?;
        let batch = file::parse_batch(&request)?;
        let read = self.files.batch_read(batch.organization, &batch.ids, caller.context()).await;
        reply(read.map(|read| BatchReadFilesResponse { entries: file::render_batch(&batch, read) }))
    }
}
