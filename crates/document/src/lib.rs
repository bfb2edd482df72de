//! Documents: text with metadata, kept in folders, with every change as a revision, shared with people.
//!
//! Resources: documents, revisions, folders, grants. What must hold:
//! - A revision is never changed, revisions are numbered without a gap, and the newest one always exists.
//! - A change, its revision and its event are one transaction; the version of a document rises by one with each of them.
//! - Who has no role sees a document only by a grant that holds, and a grant or its end acts at commit. What a group, a role or a
//!   link holds, whoever is in it holds; with it that ends.
//! - A document in the trash is as it was; when it is purged nothing of it is left but its last version and the audit.
use std::sync::Arc;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use proto::document::v1::document_service_server::DocumentServiceServer;

mod config;
mod error;
mod events;
mod model;
mod peers;
mod rpc;
mod service;
mod store;

use crate::{
    config::Config,
    rpc::{Pages, Rpc},
    service::Documents,
};

const MIGRATIONS: db::Migrations = db::migrations!("0001_documents.sql");

/// The document service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("document", boot).migrations(MIGRATIONS).config::<Config>();

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let pages = Pages::new(kit.sealer(), kit.clock(), &config);
        let documents = Arc::new(Documents::new(&kit, config));
        mount.rpc(mesh::rpc!(DocumentServiceServer::new(Rpc::new(documents.clone(), pages))));
        let hearing = documents.clone();
        mount.erase(move |organization, context| {
            let documents = hearing.clone();
            async move { documents.erase(organization, &context).await }
        });
        mount.consume(events::groups(), events::Groups(documents.clone()));
        mount.task("sweep", move |shutdown| {
            let documents = documents.clone();
            async move { documents.keep_sweeping(shutdown).await }
        });
        Ok(())
    })
}
