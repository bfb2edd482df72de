//! What is measured of the database. The only place of this crate that names a metric.
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

/// Handles made once, so that counting costs no lookup.
pub(crate) struct Metrics {
    in_use: Gauge,
    waiters: Gauge,
    wait: Histogram,
    committed: Histogram,
    rolled_back: Histogram,
    conflicts: Counter,
    connection_faults: Counter,
    unsent: Gauge,
    oldest: Gauge,
    schema: Gauge,
}

impl Metrics {
    #[expect(clippy::disallowed_macros, reason = "the home of this crate's metrics")]
    pub(crate) fn new(service: &str) -> Self {
        let service = service.to_owned();
        Self {
            in_use: metrics::gauge!("workos_db_pool_in_use", "service" => service.clone()),
            waiters: metrics::gauge!("workos_db_pool_waiters", "service" => service.clone()),
            wait: metrics::histogram!("workos_db_pool_wait_seconds", "service" => service.clone()),
            committed: metrics::histogram!("workos_db_tx_seconds", "service" => service.clone(), "outcome" => "commit"),
            rolled_back: metrics::histogram!("workos_db_tx_seconds", "service" => service.clone(), "outcome" => "rollback"),
            conflicts: metrics::counter!("workos_db_conflicts_total", "service" => service.clone()),
            connection_faults: metrics::counter!("workos_db_connection_faults_total", "service" => service.clone()),
            unsent: metrics::gauge!("workos_db_outbox_unsent", "service" => service.clone()),
            oldest: metrics::gauge!("workos_db_outbox_oldest_unsent_seconds", "service" => service.clone()),
            schema: metrics::gauge!("workos_db_migration_version", "service" => service),
        }
    }

    /// A transaction waits for a connection until the guard is dropped.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.waiters.increment(1.0);
        Waiting(self)
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.wait.record(time);
    }

    pub(crate) fn leased(&self) {
        self.in_use.increment(1.0);
    }

    pub(crate) fn returned(&self) {
        self.in_use.decrement(1.0);
    }

    pub(crate) fn finished(&self, committed: bool, time: Duration) {
        if committed { self.committed.record(time) } else { self.rolled_back.record(time) }
    }

    pub(crate) fn conflict(&self) {
        self.conflicts.increment(1);
    }

    pub(crate) fn connection_fault(&self) {
        self.connection_faults.increment(1);
    }

    pub(crate) fn backlog(&self, unsent: i64, oldest: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "the count is bounded far below 2^52")]
        self.unsent.set(unsent as f64);
        self.oldest.set(oldest.as_secs_f64());
    }

    pub(crate) fn schema(&self, version: i32) {
        self.schema.set(f64::from(version));
    }
}

/// Counts a waiter also when its task is canceled.
pub(crate) struct Waiting<'a>(&'a Metrics);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiters.decrement(1.0);
    }
}
