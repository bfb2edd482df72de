//! The operator's view of upstreams: what each service's endpoints are, how they do, and how the limits are used. A snapshot
//! for a page; nothing in it is a secret.
use serde::Serialize;
use tokio::time::Instant;

use super::{
    balance,
    circuit::Use,
    endpoint::{Endpoint, Health},
    upstream::Upstream,
};

/// One service that was called.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// Name of the service.
    pub service: String,
    /// `static` or `dns`.
    pub discovery: &'static str,
    /// Age of the answer of DNS, in milliseconds.
    pub resolved_ms_ago: Option<u64>,
    /// Too few endpoints are good, so that all are used.
    pub panic: bool,
    /// Calls that were sent to an endpoint that was not good, because too few were.
    pub panic_calls: u64,
    /// Running calls, without streams.
    pub requests: Limit,
    /// Running streams.
    pub streams: Limit,
    /// Calls that wait for a connection.
    pub pending_requests: Limit,
    /// Retries.
    pub retries: RetryBudget,
    /// The endpoints.
    pub endpoints: Vec<ClusterEndpoint>,
}

/// Use of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// In use.
    pub active: u32,
    /// The limit.
    pub max: u32,
    /// Calls that were refused because of it.
    pub overflowed: u64,
}

/// State of a retry budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetryBudget {
    /// Retries that run.
    pub active: u32,
    /// Retries in reserve.
    pub saved: u32,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterEndpoint {
    /// Where it is; `pipe` within the process.
    pub address: String,
    /// Its connection is open.
    pub connected: bool,
    /// What active checks say: `unchecked`, `healthy` or `unhealthy`.
    pub health: &'static str,
    /// Time until an ejection ends, in milliseconds.
    pub ejected_for_ms: Option<u64>,
    /// Running calls.
    pub active: u32,
    /// Estimated latency (peak EWMA) in milliseconds; absent for a stranger.
    pub latency_ms: Option<f64>,
    /// What the balancer compares.
    pub cost: f64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Calls that were sent.
    pub requests_total: u64,
    /// Those that were answered.
    pub succeeded_total: u64,
    /// Those that failed.
    pub failed_total: u64,
    /// Those of the failed that ran out of time.
    pub timed_out_total: u64,
    /// Ejections.
    pub ejections_total: u64,
    /// Failed health checks.
    pub health_checks_failed_total: u64,
    /// Connections that were opened.
    pub connections_total: u64,
    /// Attempts to connect that failed.
    pub connections_failed_total: u64,
}

impl From<Use> for Limit {
    fn from(used: Use) -> Self {
        Self { active: used.held, max: used.max, overflowed: used.overflowed }
    }
}

pub(super) fn of(upstream: &Upstream) -> Cluster {
    let (all, now) = (upstream.endpoints(), Instant::now());
    let good = all.iter().filter(|endpoint| endpoint.known().is_good(now)).count();
    let [requests, streams, pending] = upstream.circuit.uses();
    let budget = &upstream.budget;
    Cluster {
        service: upstream.service().to_owned(),
        discovery: if upstream.is_named() { "dns" } else { "static" },
        resolved_ms_ago: upstream.age(now).map(millis),
        panic: balance::panics(good, all.len(), upstream.settings.balancing.panic_threshold),
        panic_calls: upstream.panics(),
        requests: requests.into(),
        streams: streams.into(),
        pending_requests: pending.into(),
        retries: RetryBudget { active: budget.running(), saved: budget.saved() },
        endpoints: all.iter().map(|endpoint| endpoint_of(endpoint, now)).collect(),
    }
}

fn endpoint_of(endpoint: &Endpoint, now: Instant) -> ClusterEndpoint {
    let (known, connection) = (endpoint.known(), endpoint.connection().record());
    let ejected = known.ejected_until.filter(|_| known.is_ejected(now));
    ClusterEndpoint {
        address: endpoint.connection().address().to_string(),
        connected: connection.connected,
        health: match known.health {
            Health::Unchecked => "unchecked",
            Health::Healthy { .. } => "healthy",
            Health::Unhealthy { .. } => "unhealthy",
        },
        ejected_for_ms: ejected.map(|until| millis(until - now)),
        active: endpoint.in_flight(),
        latency_ms: endpoint.latency(now).map(|seconds| seconds * 1000.0),
        cost: endpoint.cost(now),
        consecutive_failures: known.consecutive_failures,
        requests_total: known.requests,
        succeeded_total: known.succeeded,
        failed_total: known.failed,
        timed_out_total: known.timed_out,
        ejections_total: known.ejections,
        health_checks_failed_total: known.checks_failed,
        connections_total: connection.opened,
        connections_failed_total: connection.failed,
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
