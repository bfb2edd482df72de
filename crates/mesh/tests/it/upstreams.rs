//! Several real servers of one service over mutual TLS: one that says it does not serve, one that flaps, and what the operator sees.
use std::{sync::Arc, time::Duration};

use mesh::{
    HealthCheck, OutlierDetection, Period, Settings,
    client::{Cluster, Mesh, Transport},
    server::Listener,
};
use proto::{Role, file::v1::upload_service_client::UploadServiceClient};
use tempfile::TempDir;
use tonic_health::ServingStatus;

use crate::{
    secure,
    support::{Metrics, Running, World, context},
};

/// Two servers with the same keys, and a mesh that calls both.
struct Pair {
    folder: TempDir,
    worlds: [World; 2],
    servers: Vec<Running>,
    addresses: Vec<String>,
    mesh: Mesh,
}

impl Pair {
    async fn new(settings: Settings) -> Self {
        let folder = secure::folder();
        let worlds = [World::new(), World::new()];
        worlds[1].verifier.keys().replace(vec![worlds[0].mint.verify_key()]);
        let (mut servers, mut addresses) = (Vec::new(), Vec::new());
        for world in &worlds {
            let (server, address) = secure::serve(world, &folder, "file").await;
            servers.push(server);
            addresses.push(address);
        }
        let settings = Settings { addresses: [("file".to_owned(), addresses.clone())].into(), ..settings };
        let transport = Transport::Direct(secure::identity(&folder, "gateway"));
        let mesh = Mesh::new("gateway", transport, Arc::new(worlds[0].verifier.clone()), settings);
        Self { folder, worlds, servers, addresses, mesh }
    }

    async fn call(&self) {
        let token = self.worlds[0].token(Some(Role::Editor));
        let channel = self.mesh.with_token("file", token, &context());
        UploadServiceClient::new(channel).get_upload(self.worlds[0].get()).await.expect("one of them serves");
    }

    fn seen(&self) -> [usize; 2] {
        [0, 1].map(|number: usize| self.worlds[number].handler.seen().len())
    }

    fn cluster(&self) -> Cluster {
        self.mesh.clusters().pop().expect("it was called")
    }

    fn health_of(&self, number: usize) -> &'static str {
        let endpoints = self.cluster().endpoints;
        endpoints.iter().find(|endpoint| endpoint.address == self.addresses[number]).expect("it is known").health
    }
}

/// Waits for a condition, in real time.
async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            let _ = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it did not happen");
}

#[tokio::test]
async fn a_server_that_says_it_does_not_serve_gets_no_calls() {
    let health_check = HealthCheck { interval: Period::millis(10), ..HealthCheck::default() };
    let pair = Pair::new(Settings { health_check, ..Settings::default() }).await;
    pair.call().await;
    until(|| pair.health_of(0) == "healthy" && pair.health_of(1) == "healthy").await;
    pair.worlds[0].health.set_service_status("", ServingStatus::NotServing).await;
    until(|| pair.health_of(0) == "unhealthy").await;
    let before = pair.seen();
    for _ in 0..20 {
        pair.call().await;
    }
    assert_eq!(pair.seen(), [before[0], before[1] + 20]);
    pair.worlds[0].health.set_service_status("", ServingStatus::Serving).await;
    until(|| pair.health_of(0) == "healthy").await;
}

#[tokio::test]
async fn a_server_that_flaps_costs_no_call() {
    let (metrics, _guard) = Metrics::install();
    let outlier_detection = OutlierDetection { base_ejection_time: Period::millis(10), ..OutlierDetection::default() };
    let health_check = HealthCheck { interval: Period::millis(10), ..HealthCheck::default() };
    let mut pair = Pair::new(Settings { outlier_detection, health_check, ..Settings::default() }).await;
    for _ in 0..3 {
        for _ in 0..10 {
            pair.call().await;
        }
        // It dies without a word, and its port is free.
        let dead = pair.servers.remove(0);
        dead.task.abort();
        let _ = dead.task.await;
        for _ in 0..10 {
            pair.call().await;
        }
        until(|| pair.health_of(0) == "unhealthy").await;
        let socket = tokio::net::TcpListener::bind(&pair.addresses[0]).await.expect("its port is free");
        let listener = Listener::Tls(socket, secure::identity(&pair.folder, "file"));
        pair.servers.insert(0, pair.worlds[0].serve(listener));
        until(|| pair.health_of(0) == "healthy").await;
    }
    let counted = |name: &str| metrics.counters(name).iter().map(|(_, count)| count).sum::<u64>();
    assert!(counted("workos_mesh_health_check_failures_total") >= 6, "two for each time that it was dead");
    assert!(counted("workos_mesh_connections_total") >= 5, "two, and one more for each time that it was back");
}

#[tokio::test]
async fn the_operator_sees_endpoints_and_limits() {
    let pair = Pair::new(Settings::default()).await;
    for _ in 0..10 {
        pair.call().await;
    }
    let cluster = pair.cluster();
    assert_eq!((cluster.service.as_str(), cluster.discovery, cluster.panic), ("file", "static", false));
    assert_eq!((cluster.requests.active, cluster.requests.max, cluster.requests.overflowed), (0, 1024, 0));
    assert_eq!(cluster.endpoints.iter().map(|endpoint| endpoint.succeeded_total).sum::<u64>(), 10);
    assert!(
        cluster.endpoints.iter().all(|endpoint| endpoint.connected && endpoint.latency_ms.is_some()),
        "{cluster:?}"
    );
}
