//! One span, one access-log line and one set of metrics for every request of the edge.
//!
//! Labels are template and status, never the path. Client mistakes are INFO; WARN and above means that somebody should look.
use std::{net::IpAddr, time::Instant};

use http::{Request, Response};
use tonic::body::Body;
use tracing::Span;

use crate::route::Route;

/// The edge's metrics.
#[expect(clippy::disallowed_macros, reason = "the one home of the edge's metrics")]
mod metric {
    use std::time::Duration;

    /// A request came or went.
    pub(super) fn in_flight(change: f64) {
        metrics::gauge!("workos_gateway_requests_in_flight").increment(change);
    }

    /// A connection was closed at once.
    pub(super) fn connection_refused() {
        metrics::counter!("workos_gateway_connections_refused_total").increment(1);
    }

    /// A candidate for the schema was accepted or refused.
    pub(super) fn schema(outcome: &'static str) {
        metrics::counter!("workos_gateway_schema_loads_total", "outcome" => outcome).increment(1);
    }

    /// A request was answered.
    pub(super) fn answered(route: &str, method: &str, status: u16, time: Duration) {
        let (route, method, status) = (route.to_owned(), method.to_owned(), status.to_string());
        metrics::counter!("workos_gateway_requests_total", "route" => route.clone(), "method" => method, "status" => status).increment(1);
        metrics::histogram!("workos_gateway_request_seconds", "route" => route).record(time.as_secs_f64());
    }
}

/// Counts a candidate for the schema: `accepted` or `refused`.
pub(crate) fn schema_loaded(outcome: &'static str) {
    metric::schema(outcome);
}

/// Counts a connection that was closed because its network has as many as it may.
pub(crate) fn connection_refused() {
    metric::connection_refused();
}

/// A request under observation.
pub(crate) struct Observed {
    span: Span,
    begin: Instant,
    method: http::Method,
    path: String,
    address: IpAddr,
    request_id: String,
    traceparent: String,
}

impl Observed {
    /// Begins.
    pub(crate) fn begin<B>(request: &Request<B>, request_id: &str, address: IpAddr) -> Self {
        let span = tracing::info_span!(
            "edge",
            http.request.id = request_id,
            http.request.method = request.method().as_str(),
            http.route = tracing::field::Empty,
            trace.id = tracing::field::Empty,
        );
        let traceparent = mesh::edge_trace(&span);
        span.record("trace.id", traceparent.get(3..35).unwrap_or_default());
        metric::in_flight(1.0);
        Self {
            span,
            begin: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().chars().take(256).collect(),
            address,
            request_id: request_id.to_owned(),
            traceparent,
        }
    }

    /// The span of the request.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The caller's address.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The request id.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// W3C trace context for the calls of this request.
    pub(crate) fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Ends when the answer's headers are ready; a stream's own end is counted by the mesh.
    pub(crate) fn finish(self, response: Response<Body>, route: Option<&Route>) -> Response<Body> {
        let label = route.map_or("none", Route::label);
        self.span.record("http.route", label);
        let status = response.status().as_u16();
        let elapsed = self.begin.elapsed();
        metric::answered(label, self.method.as_str(), status, elapsed);
        let _entered = self.span.enter();
        let millis = elapsed.as_secs_f64() * 1000.0;
        if status >= 500 && status != 503 && status != 504 {
            tracing::warn!(url.path = self.path, client.address = %self.address, http.response.status_code = status, event.duration_ms = millis, "request failed");
        } else {
            tracing::info!(url.path = self.path, client.address = %self.address, http.response.status_code = status, event.duration_ms = millis, "request");
        }
        drop(_entered);
        response
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        metric::in_flight(-1.0);
    }
}
