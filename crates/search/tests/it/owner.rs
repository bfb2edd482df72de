//! Stand-ins for the owners of documents and files: they keep entries in memory, publish through a real outbox, and answer the
//! reads of the index. A test says what they hold, whether they answer, and who may see what.
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use api::{CallContext, Error, Id, OrganizationId};
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use mesh::{Items, Reply, reply};
use proto::{
    api::v1::{IndexEntry, IndexView},
    document::v1::{
        self as document,
        document_service_server::{DocumentService, DocumentServiceServer},
    },
    file::v1::{
        self as file,
        file_service_server::{FileService, FileServiceServer},
    },
    google::api::HttpBody,
};
use tonic::Request;

const TABLE: &[(&str, &str)] = &[("0001_nothing.sql", "select 1;")];

pub(crate) const DOCUMENT: ServiceSpec =
    ServiceSpec::new("document", boot_document).migrations(db::Migrations { service: "document", files: TABLE });
pub(crate) const FILE: ServiceSpec =
    ServiceSpec::new("file", boot_file).migrations(db::Migrations { service: "file", files: TABLE });

/// Owners by the folder of their service: boot knows no other way to the test that it belongs to.
static OWNERS: LazyLock<Mutex<HashMap<PathBuf, Owner>>> = LazyLock::new(Mutex::default);

/// What an owner holds; clones share it, also over restarts of the system.
#[derive(Clone)]
pub(crate) struct Owner(Arc<State>);

struct State {
    entries: Mutex<BTreeMap<String, IndexEntry>>,
    away: AtomicBool,
    reads: AtomicUsize,
    db: Mutex<db::Db>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The owner that runs in this system.
pub(crate) fn of(data_dir: &Path, service: &str) -> Owner {
    let folder = data_dir.join(service);
    let folder = folder.canonicalize().unwrap_or(folder);
    held(&OWNERS).get(&folder).expect("the system has this owner").clone()
}

fn start(kit: &Kit) -> Owner {
    let db = kit.db();
    let fresh = || {
        Owner(Arc::new(State {
            entries: Mutex::default(),
            away: AtomicBool::default(),
            reads: AtomicUsize::default(),
            db: Mutex::new(db.clone()),
        }))
    };
    let owner = held(&OWNERS).entry(kit.data_dir()).or_insert_with(fresh).clone();
    *held(&owner.0.db) = db;
    owner
}

fn boot_document(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        mount.rpc(mesh::rpc!(DocumentServiceServer::new(start(&kit))));
        Ok(())
    })
}

fn boot_file(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        mount.rpc(mesh::rpc!(FileServiceServer::new(start(&kit))));
        Ok(())
    })
}

impl Owner {
    /// The entry is so now, in its next version; nobody hears of it.
    pub(crate) fn hold(&self, mut entry: IndexEntry) -> i64 {
        let mut entries = held(&self.0.entries);
        let version = entries.get(&entry.name).map_or(0, |held| held.version) + 1;
        entry.version = version;
        entries.insert(entry.name.clone(), entry);
        version
    }

    /// Changes what is held of a name, in its next version; nobody hears of it.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut IndexEntry)) -> i64 {
        let mut entry = self.entry(name);
        change(&mut entry);
        self.hold(entry)
    }

    pub(crate) fn entry(&self, name: &str) -> IndexEntry {
        held(&self.0.entries).get(name).expect("it is held").clone()
    }

    /// Tells the world, through the outbox.
    pub(crate) async fn publish<E: proto::Event>(&self, event: &E, version: i64) {
        let mut ids = event.subject().split('/');
        let organization: Id = ids.nth(1).and_then(|id| id.parse().ok()).expect("a full name");
        let id: Id = ids.nth(1).and_then(|id| id.parse().ok()).expect("a full name");
        let db = held(&self.0.db).clone();
        let context = CallContext::background("test", &api::Ids::default());
        let tx = db.tenant_as(OrganizationId(organization), &context).await.expect("the database is there");
        tx.publish(event, id, version).expect("an event");
        tx.commit().await.expect("the database is there");
    }

    /// Does not answer until it is back.
    pub(crate) fn away(&self, away: bool) {
        self.0.away.store(away, Ordering::Relaxed);
    }

    /// Entries that were read with text.
    pub(crate) fn reads(&self) -> usize {
        self.0.reads.load(Ordering::Relaxed)
    }

    fn read(&self, names: &[String], view: IndexView) -> Result<Vec<IndexEntry>, Error> {
        if self.0.away.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the owner"));
        }
        let entries = held(&self.0.entries);
        let entry = |name: &String| {
            let absent = IndexEntry { name: name.clone(), deleted: true, ..Default::default() };
            let entry = entries.get(name).cloned().unwrap_or(absent);
            match view {
                IndexView::Access => {
                    let IndexEntry { name, version, deleted, principals, .. } = entry;
                    IndexEntry { name, version, deleted, principals, ..Default::default() }
                }
                IndexView::Full | IndexView::Unspecified => entry,
            }
        };
        if view != IndexView::Access {
            assert!(names.len() <= 25, "more than a message holds");
            self.0.reads.fetch_add(names.len(), Ordering::Relaxed);
        }
        Ok(names.iter().map(entry).collect())
    }
}

/// RPCs that search never calls.
macro_rules! refused {
    ($($name:ident($request:ty) -> $answer:ty;)*) => {$(
        fn $name<'life, 'async_trait>(&'life self, _: Request<$request>) -> BoxFuture<'async_trait, Reply<$answer>>
        where
            'life: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { reply(Err(Error::denied())) })
        }
    )*};
}

#[tonic::async_trait]
impl DocumentService for Owner {
    async fn batch_read_documents(
        &self,
        request: Request<document::BatchReadDocumentsRequest>,
    ) -> Reply<document::BatchReadDocumentsResponse> {
        let (caller, request) = mesh::caller(request)?;
        assert_eq!(caller.peer(), "search");
        let entries = self.read(&request.names, request.view());
        reply(entries.map(|entries| document::BatchReadDocumentsResponse { entries }))
    }

    refused! {
        create_document(document::CreateDocumentRequest) -> document::Document;
        get_document(document::GetDocumentRequest) -> document::Document;
        list_documents(document::ListDocumentsRequest) -> document::ListDocumentsResponse;
        update_document(document::UpdateDocumentRequest) -> document::Document;
        delete_document(document::DeleteDocumentRequest) -> document::Document;
        undelete_document(document::UndeleteDocumentRequest) -> document::Document;
        attach_file(document::AttachFileRequest) -> document::Document;
        detach_file(document::DetachFileRequest) -> document::Document;
        get_revision(document::GetRevisionRequest) -> document::Revision;
        list_revisions(document::ListRevisionsRequest) -> document::ListRevisionsResponse;
        restore_revision(document::RestoreRevisionRequest) -> document::Document;
        create_folder(document::CreateFolderRequest) -> document::Folder;
        get_folder(document::GetFolderRequest) -> document::Folder;
        list_folders(document::ListFoldersRequest) -> document::ListFoldersResponse;
        delete_folder(document::DeleteFolderRequest) -> ();
        create_grant(document::CreateGrantRequest) -> document::Grant;
        list_grants(document::ListGrantsRequest) -> document::ListGrantsResponse;
        delete_grant(document::DeleteGrantRequest) -> ();
    }
}

#[tonic::async_trait]
impl FileService for Owner {
    type ReadFileStream = Items<HttpBody>;

    async fn batch_read_files(
        &self,
        request: Request<file::BatchReadFilesRequest>,
    ) -> Reply<file::BatchReadFilesResponse> {
        let (_, request) = mesh::caller(request)?;
        let entries = self.read(&request.names, request.view());
        reply(entries.map(|entries| file::BatchReadFilesResponse { entries }))
    }

    refused! {
        get_file(file::GetFileRequest) -> file::File;
        list_files(file::ListFilesRequest) -> file::ListFilesResponse;
        delete_file(file::DeleteFileRequest) -> ();
        read_file(file::ReadFileRequest) -> Items<HttpBody>;
    }
}
