//! Search: full text and facets over documents and files, for everybody just what he may see.
//!
//! Resources: one index, derived from other services' resources; it owns no truth and can be built again at any time.
//! What must hold:
//! - Nothing is shown, counted or hinted at that the caller may not see; also not by a stale index, by a score or by a total.
//! - An older state of a resource never replaces a newer one, in whatever order events come.
//! - An event is acknowledged only when its effect is durable.
//! - Every query is bounded: length, parts, depth, results, time.
use std::sync::Arc;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use proto::search::v1::search_service_server::SearchServiceServer;

#[doc(hidden)]
pub mod backend;
mod config;
mod error;
mod events;
mod metrics;
mod model;
mod peers;
mod rpc;
mod service;
mod store;

use crate::{
    backend::Tantivy,
    config::Config,
    peers::Owners,
    rpc::{Pages, Rpc},
    service::{Parts, Search},
};

const MIGRATIONS: db::Migrations = db::migrations!("0001_indexes.sql");

/// The search service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("search", boot).migrations(MIGRATIONS).config::<Config>();

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let memory = usize::try_from(config.memory.bytes()).unwrap_or(usize::MAX);
        let backend = Arc::new(Tantivy::new(kit.data_dir(), memory, config.concurrency));
        let owners = Owners::new(kit.mesh());
        let (groups, db, clock, ids) = (kit.groups(), kit.db(), kit.clock(), kit.ids());
        let parts = Parts { backend, owners, groups, db, clock, ids };
        let pages = Pages::new(kit.sealer(), kit.clock(), &config);
        let consumer = crate::events::consumer(config.events);
        let (search, jobs) = Search::new(parts, config);
        let (search, indexer) = (Arc::new(search), Arc::new((jobs, mount.ready("index"))));
        mount.rpc(mesh::rpc!(SearchServiceServer::new(Rpc::new(search.clone(), pages))));
        let hearing = search.clone();
        mount.consume(consumer, move |delivery| {
            let search = hearing.clone();
            async move { search.heard(&delivery).await }
        });
        let building = search.clone();
        mount.task("rebuild", move |shutdown| {
            let search = building.clone();
            async move { search.keep_complete(shutdown).await }
        });
        mount.task("index", move |shutdown| {
            let (search, indexer) = (search.clone(), indexer.clone());
            async move { search.keep_indexing(&indexer.0, &indexer.1, shutdown).await }
        });
        Ok(())
    })
}
