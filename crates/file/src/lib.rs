//! Files: bytes with a name, uploaded in pieces that can be resumed, downloaded by ranges.
//!
//! Resources: uploads in progress, files. What must hold:
//! - An acknowledged offset never exceeds durable bytes, and two writers never share a segment.
//! - Content never changes; its SHA-256 is that of the bytes as they were received.
//! - An upload becomes a file, and its event is published, in one transaction, once.
//! - A name is data: it never becomes a path.
//! - Who has no role reads a file only as its owner, or because he may read a document that it is attached to.
use std::sync::Arc;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use proto::file::v1::{file_service_server::FileServiceServer, upload_service_server::UploadServiceServer};

mod config;
mod content;
mod error;
mod events;
mod model;
mod peers;
mod rpc;
mod service;
mod store;

use crate::{
    config::Config,
    content::LocalDisk,
    peers::Documents,
    rpc::{FileRpc, Pages, UploadRpc},
    service::Files,
};

const MIGRATIONS: db::Migrations = db::migrations!("0001_files.sql", "0002_content.sql");

/// The file service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("file", boot).migrations(MIGRATIONS).config::<Config>();

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let content = LocalDisk::open(kit.data_dir()).await?;
        let pages = Pages::new(kit.sealer());
        let files = Arc::new(Files::new(&kit, content, Documents::new(kit.mesh()), config));
        mount.rpc(mesh::rpc!(UploadServiceServer::new(UploadRpc::new(files.clone()))));
        mount.rpc(mesh::rpc!(FileServiceServer::new(FileRpc::new(files.clone(), pages))));
        mount.consume(events::references(), events::References(files.clone()));
        let hearing = files.clone();
        mount.erase(move |organization, context| {
            let files = hearing.clone();
            async move { files.erase(organization, &context).await }
        });
        mount.task("sweep", move |shutdown| {
            let files = files.clone();
            async move { files.keep_sweeping(shutdown).await }
        });
        Ok(())
    })
}
