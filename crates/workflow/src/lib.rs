//! Runs of long work on Temporal, and the tasks they give to people.
//!
//! Resources: runs, tasks. What must hold:
//! - A run that was accepted is started exactly once, also when Temporal was away or this process died in between.
//! - A decision is taken by the run or refused; the task follows the run, never leads.
//! - However a run ends, its tasks end with it, in one transaction with the event that says so.
//! - An organization that is gone for good leaves no run, here or in Temporal.
//! - Runs hold a delegation, never a token: what they read is what their creator may read now.
use std::sync::Arc;

use chassis::{BootError, Engine as EngineKind, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use proto::workflow::v1::{run_service_server::RunServiceServer, task_service_server::TaskServiceServer};

mod config;
mod error;
mod events;
mod flow;
mod model;
mod peers;
mod rpc;
mod service;
mod store;
mod temporal;

use crate::{
    config::Config,
    rpc::{Pages, Rpc},
    service::Runs,
    temporal::{Engine, Settings},
};

const MIGRATIONS: db::Migrations = db::migrations!("0001_runs.sql");

/// The workflow service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("workflow", boot).migrations(MIGRATIONS).config::<Config>();

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let engine = Arc::new(Engine::new(Settings {
            url: kit.engine_url(EngineKind::Temporal)?,
            namespace: kit.temporal_namespace().to_owned(),
            task_queue: config.task_queue.clone(),
            timeout: config.engine_timeout,
            retention: config.retention,
        })?);
        let pages = Arc::new(Pages::new(kit.sealer(), kit.clock(), &config));
        let runs = Arc::new(Runs::new(&kit, engine.clone(), config));
        mount.rpc(mesh::rpc!(RunServiceServer::new(Rpc::new(runs.clone(), pages.clone()))));
        mount.rpc(mesh::rpc!(TaskServiceServer::new(Rpc::new(runs.clone(), pages))));
        let relaying = runs.clone();
        mount.task("relay", move |shutdown| {
            let runs = relaying.clone();
            async move { runs.keep_relaying(shutdown).await }
        });
        let erasing = runs.clone();
        mount.erase(move |organization, context| {
            let runs = erasing.clone();
            async move { runs.erase(organization, &context).await }
        });
        let awaited = Arc::new(mount.ready("temporal"));
        mount.task("worker", move |shutdown| temporal::serve(engine.clone(), runs.clone(), awaited.clone(), shutdown));
        Ok(())
    })
}
