//! __Names__ of organizations.
//!
//! Resource: __name__. What must hold: a change and its event are one transaction; the version of a __name__ rises by one with each of
//! them.
use std::sync::Arc;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use proto::__name__::v1::__name___service_server::__Name__ServiceServer;

mod config;
mod error;
mod events;
mod model;
mod rpc;
mod service;
mod store;

use crate::{config::Config, rpc::Rpc, service::Service};

const MIGRATIONS: db::Migrations = db::migrations!("0001___names__.sql");

/// The __name__ service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("__name__", boot).migrations(MIGRATIONS).config::<Config>();

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let service = Arc::new(Service::new(kit.db(), kit.clock(), kit.ids()));
        mount.rpc(mesh::rpc!(__Name__ServiceServer::new(Rpc::new(service, kit.sealer(), config))));
        Ok(())
    })
}
