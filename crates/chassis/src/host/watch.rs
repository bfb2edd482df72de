//! Looks at the engines of each service and says in the readiness what is away.
//!
//! PostgreSQL away: not ready, nothing can be answered. NATS away: ready, since writers only need the outbox; the backlog is
//! noted. Redis away: ready, limits are local; that is noted.
use std::{sync::Arc, time::Duration};

use db::Db;
use events::Broker;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::{config::secret, memory, readiness::Awaited, tasks::Stage, telemetry::Telemetry, telemetry::metrics};

/// Time between two looks at an engine.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two upkeeps of metrics, secret files and memory.
const UPKEEP: Duration = Duration::from_secs(10);

/// Watches what one service is connected to.
pub(super) fn engines(
    shared: &Arc<Shared>,
    service: &'static str,
    db: Option<Db>,
    broker: Option<Broker>,
    cache: cache::Cache,
) {
    let entry = |engine: &str| Arc::new(shared.readiness.present(format!("{service}/{engine}")));
    let tasks = shared.tasks.of(service);
    if let Some(db) = db {
        let entry = entry("postgres");
        tasks.keep_in(Stage::Platform, "watch postgres", move |shutdown| {
            watch_postgres(service, db.clone(), Arc::clone(&entry), shutdown)
        });
    }
    if let Some(broker) = broker {
        let entry = entry("events");
        tasks.keep_in(Stage::Platform, "watch events", move |shutdown| {
            watch_events(service, broker.clone(), Arc::clone(&entry), shutdown)
        });
    }
    let entry = entry("redis");
    tasks.keep_in(Stage::Platform, "watch redis", move |shutdown| {
        watch_redis(service, cache.clone(), Arc::clone(&entry), shutdown)
    });
}

async fn watch_postgres(service: &'static str, db: Db, entry: Arc<Awaited>, shutdown: CancellationToken) {
    loop {
        let health = db.health().await;
        metrics::engine_up(service, "postgres", health.is_ok());
        match health {
            Ok(()) => entry.done(),
            Err(error) => entry.lost(error.to_string()),
        }
        if paused(LOOK, &shutdown).await {
            return;
        }
    }
}

async fn watch_events(service: &'static str, broker: Broker, entry: Arc<Awaited>, shutdown: CancellationToken) {
    loop {
        let status = broker.status();
        metrics::engine_up(service, "nats", status.connected);
        // The last error stays until the next publish: without a backlog it is history.
        if !status.connected {
            entry.note(format!("event broker away, {} events unsent", status.unsent));
        } else if status.unsent > 0 && !status.last_error.is_empty() {
            entry.note(format!("{} events unsent: {}", status.unsent, status.last_error));
        } else {
            entry.clear_note();
        }
        if paused(LOOK, &shutdown).await {
            return;
        }
    }
}

async fn watch_redis(service: &'static str, cache: cache::Cache, entry: Arc<Awaited>, shutdown: CancellationToken) {
    loop {
        let health = cache.health().await;
        metrics::engine_up(service, "redis", health.is_ok());
        match health {
            Ok(()) => entry.clear_note(),
            Err(error) => entry.note(format!("cache away, limits are local to this instance: {error}")),
        }
        if paused(LOOK, &shutdown).await {
            return;
        }
    }
}

/// Drops old metric samples, follows secret files and gives free memory back.
pub(super) async fn upkeep(telemetry: Telemetry, shutdown: CancellationToken) {
    while !paused(UPKEEP, &shutdown).await {
        telemetry.upkeep();
        for problem in secret::reload() {
            tracing::warn!(error.message = problem, "a secret keeps its last value");
        }
        if let Err(error) = memory::give_back() {
            tracing::warn!(error.message = %error, "free memory is kept");
        }
    }
}

/// Waits; `true` when the stop came first.
async fn paused(time: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        () = shutdown.cancelled() => true,
    }
}
