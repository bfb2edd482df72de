//! `grpc.health.v1` for kubelets and image health checks.
//!
//! Entries: `startup` (was ready once), `liveness` (only a broken process fails it), `readiness` and the empty name (calls may
//! come), and one per service of the process.
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::readiness::{Readiness, State};

/// The health service and what feeds it.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Health {
    /// A health service that knows these services; nothing serves yet.
    pub(crate) fn new(services: Vec<&'static str>) -> Health {
        Health { reporter: HealthReporter::new(), services }
    }

    /// The service to be called: on the admin port by kubelets, on the gRPC port by clients of the mesh.
    pub(crate) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Shows one state.
    pub(crate) async fn show(&self, state: &State) {
        let named = self.services.iter().map(|service| (*service, state.started && state.is_ready_for(service)));
        let fixed = [
            ("startup", state.started),
            ("liveness", state.failed.is_none()),
            ("readiness", state.is_ready()),
            ("", state.is_ready()),
        ];
        for (name, serves) in fixed.into_iter().chain(named) {
            let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Follows the readiness until its end.
    pub(crate) async fn follow(self, readiness: Readiness) {
        let mut watch = readiness.watch();
        loop {
            let state = watch.borrow_and_update().clone();
            self.show(&state).await;
            if watch.changed().await.is_err() {
                return;
            }
        }
    }
}
