//! What is measured of the cache. The only place of this crate that names a metric.
use metrics::{Counter, Gauge};

use crate::limit::Source;

/// Handles made once, so that counting costs no lookup.
pub(crate) struct Metrics {
    hits: Counter,
    misses: Counter,
    written: Counter,
    errors: Counter,
    shared: [Counter; 2],
    local: [Counter; 2],
    connected: Gauge,
}

impl Metrics {
    #[expect(clippy::disallowed_macros, reason = "the home of this crate's metrics")]
    pub(crate) fn new() -> Self {
        let request = |result| metrics::counter!("workos_cache_requests_total", "result" => result);
        let limit = |source, decision| metrics::counter!("workos_cache_limit_decisions_total", "source" => source, "decision" => decision);
        Self {
            hits: request("hit"),
            misses: request("miss"),
            written: request("written"),
            errors: request("error"),
            shared: [limit("redis", "refused"), limit("redis", "allowed")],
            local: [limit("local", "refused"), limit("local", "allowed")],
            connected: metrics::gauge!("workos_cache_connected"),
        }
    }

    pub(crate) fn read(&self, hit: bool) {
        if hit { self.hits.increment(1) } else { self.misses.increment(1) }
    }

    pub(crate) fn wrote(&self) {
        self.written.increment(1);
    }

    pub(crate) fn failed(&self) {
        self.errors.increment(1);
    }

    pub(crate) fn decided(&self, source: Source, allowed: bool) {
        let counters = match source {
            Source::Redis => &self.shared,
            Source::Local => &self.local,
        };
        counters[usize::from(allowed)].increment(1);
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(f64::from(u8::from(connected)));
    }
}
