//! The wire: parse, ask, call, render. No decisions.
use std::sync::Arc;

use mesh::{Reply, caller, reply};
use proto::document::v1::{
    AttachFileRequest, BatchReadDocumentsRequest, BatchReadDocumentsResponse, CreateDocumentRequest,
    CreateFolderRequest, CreateGrantRequest, DeleteDocumentRequest, DeleteFolderRequest, DeleteGrantRequest,
    DetachFileRequest, Document, Folder, GetDocumentRequest, GetFolderRequest, GetRevisionRequest, Grant,
    ListDocumentsRequest, ListDocumentsResponse, ListFoldersRequest, ListFoldersResponse, ListGrantsRequest,
    ListGrantsResponse, ListRevisionsRequest, ListRevisionsResponse, RestoreRevisionRequest, Revision,
    UndeleteDocumentRequest, UpdateDocumentRequest, document_service_server::DocumentService,
};
use tonic::{Request, async_trait};

use crate::{
    model::{DocumentName, FileName, FolderName, GrantName, RevisionName},
    service::{Attempt, Documents},
};

mod document;
mod folder;
mod grant;
mod index;
mod metadata;
mod page;
mod revision;

pub(crate) use page::Pages;

/// The RPCs of the document service.
pub(crate) struct Rpc {
    documents: Arc<Documents>,
    pages: Pages,
}

impl Rpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(documents: Arc<Documents>, pages: Pages) -> Self {
        Self { documents, pages }
    }
}

#[async_trait]
impl DocumentService for Rpc {
    async fn create_document(&self, request: Request<CreateDocumentRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let draft = document::parse_draft(request)?;
        reply(self.documents.create(&caller, draft, &attempt).await.map(document::render))
    }

    async fn get_document(&self, request: Request<GetDocumentRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let name = DocumentName::parse_field("name", &request.name)?;
        reply(self.documents.get(&caller, name).await.map(document::render))
    }

    async fn list_documents(&self, request: Request<ListDocumentsRequest>) -> Reply<ListDocumentsResponse> {
        let (caller, request) = caller(request)?;
        let query = document::parse_query(&request)?;
        let list = page::List::new(
            "ListDocuments",
            &(&request.parent, &request.folder, &request.order_by, request.show_deleted),
        );
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.documents.list(&caller, query, window).await;
        reply(listed.map(|listed| ListDocumentsResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            documents: listed.items.into_iter().map(document::render_listed).collect(),
        }))
    }

    async fn update_document(&self, request: Request<UpdateDocumentRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let update = document::parse_update(request)?;
        reply(self.documents.update(&caller, update, &attempt).await.map(document::render))
    }

    async fn delete_document(&self, request: Request<DeleteDocumentRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = DocumentName::parse_field("name", &request.name)?;
        let deleted = self.documents.delete(&caller, name, &request.etag, request.allow_missing, &attempt).await;
        reply(deleted.map(document::render))
    }

    async fn undelete_document(&self, request: Request<UndeleteDocumentRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = DocumentName::parse_field("name", &request.name)?;
        reply(self.documents.undelete(&caller, name, &request.etag, &attempt).await.map(document::render))
    }

    async fn attach_file(&self, request: Request<AttachFileRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = DocumentName::parse_field("name", &request.name)?;
        let file = FileName::parse_field("file", &request.file)?;
        reply(self.documents.attach(&caller, name, file, &request.etag, &attempt).await.map(document::render))
    }

    async fn detach_file(&self, request: Request<DetachFileRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = DocumentName::parse_field("name", &request.name)?;
        let file = FileName::parse_field("file", &request.file)?;
        reply(self.documents.detach(&caller, name, file, &request.etag, &attempt).await.map(document::render))
    }

    async fn get_revision(&self, request: Request<GetRevisionRequest>) -> Reply<Revision> {
        let (caller, request) = caller(request)?;
        let name = RevisionName::parse(&request.name)?;
        reply(self.documents.get_revision(&caller, name).await.map(revision::render))
    }

    async fn list_revisions(&self, request: Request<ListRevisionsRequest>) -> Reply<ListRevisionsResponse> {
        let (caller, request) = caller(request)?;
        let parent = DocumentName::parse_field("parent", &request.parent)?;
        let list = page::List::new("ListRevisions", &request.parent);
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.documents.list_revisions(&caller, parent, window).await;
        reply(listed.map(|listed| ListRevisionsResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            revisions: listed.items.into_iter().map(revision::render).collect(),
        }))
    }

    async fn restore_revision(&self, request: Request<RestoreRevisionRequest>) -> Reply<Document> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = RevisionName::parse(&request.name)?;
        reply(self.documents.restore(&caller, name, &request.etag, &attempt).await.map(document::render))
    }

    async fn create_folder(&self, request: Request<CreateFolderRequest>) -> Reply<Folder> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let draft = folder::parse_draft(request)?;
        reply(self.documents.create_folder(&caller, draft, &attempt).await.map(folder::render))
    }

    async fn get_folder(&self, request: Request<GetFolderRequest>) -> Reply<Folder> {
        let (caller, request) = caller(request)?;
        let name = FolderName::parse_field("name", &request.name)?;
        reply(self.documents.get_folder(&caller, name).await.map(folder::render))
    }

    async fn list_folders(&self, request: Request<ListFoldersRequest>) -> Reply<ListFoldersResponse> {
        let (caller, request) = caller(request)?;
        let parent = folder::parse_parent(&request)?;
        let list = page::List::new("ListFolders", &(&request.parent, &request.parent_folder));
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.documents.list_folders(&caller, parent, window).await;
        reply(listed.map(|listed| ListFoldersResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            folders: listed.items.into_iter().map(folder::render).collect(),
        }))
    }

    async fn delete_folder(&self, request: Request<DeleteFolderRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = FolderName::parse_field("name", &request.name)?;
        reply(self.documents.delete_folder(&caller, name, &request.etag, &attempt).await)
    }

    async fn create_grant(&self, request: Request<CreateGrantRequest>) -> Reply<Grant> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let draft = grant::parse_draft(request)?;
        reply(self.documents.create_grant(&caller, draft, &attempt).await.map(grant::render))
    }

    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Reply<ListGrantsResponse> {
        let (caller, request) = caller(request)?;
        let parent = DocumentName::parse_field("parent", &request.parent)?;
        let list = page::List::new("ListGrants", &request.parent);
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.documents.list_grants(&caller, parent, window).await;
        reply(listed.map(|listed| ListGrantsResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            grants: listed.items.into_iter().map(grant::render).collect(),
        }))
    }

    async fn delete_grant(&self, request: Request<DeleteGrantRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let name = GrantName::parse_field("name", &request.name)?;
        reply(self.documents.delete_grant(&caller, name, &attempt).await)
    }

    async fn batch_read_documents(
        &self,
        request: Request<BatchReadDocumentsRequest>,
    ) -> Reply<BatchReadDocumentsResponse> {
        let (caller, request) = caller(request)?;
        let batch = index::parse(&request)?;
        let read = self.documents.batch_read(&caller, batch.organization, &batch.ids, batch.full).await;
        reply(read.map(|read| BatchReadDocumentsResponse { entries: index::render(&batch, read) }))
    }
}
