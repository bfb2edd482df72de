//! One span, one access-log line and one set of metrics for every request of the edge.
//!
//! Labels are template and status, never the path, and have few values: whoever sends names of his own makes no series. Handles
//! are made at the first answer of their kind and then kept: an answer formats no label. Client mistakes are INFO; WARN and
//! above means that somebody should look.
use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    net::IpAddr,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use http::{Method, Request, Response, Uri};
use metrics::{Counter, Gauge, Histogram};
use tonic::body::Body;
use tracing::Span;

use crate::{edge::Edge, route::Route};

/// Status of a request whose caller left before its answer: the one that nginx and Envoy log.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The edge's metrics.
#[expect(clippy::disallowed_macros, reason = "the one home of the edge's metrics")]
mod metric {
    use metrics::{Counter, Gauge, Histogram};

    /// Requests at work.
    pub(super) fn in_flight() -> Gauge {
        metrics::gauge!("workos_gateway_requests_in_flight")
    }

    /// A connection was closed at once.
    pub(super) fn connection_refused() {
        metrics::counter!("workos_gateway_connections_refused_total").increment(1);
    }

    /// A candidate for the schema was accepted or refused.
    pub(super) fn schema(outcome: &'static str) {
        metrics::counter!("workos_gateway_schema_loads_total", "outcome" => outcome).increment(1);
    }

    /// Answers of a route.
    pub(super) fn answers(route: &str, method: &'static str, status: u16) -> Counter {
        metrics::counter!("workos_gateway_requests_total", "route" => route.to_owned(), "method" => method, "status" => status.to_string())
    }

    /// Seconds until the answers of a route begin.
    pub(super) fn seconds(route: &str) -> Histogram {
        metrics::histogram!("workos_gateway_request_seconds", "route" => route.to_owned())
    }
}

/// The metrics of requests.
pub(crate) struct Requests {
    in_flight: Gauge,
    routes: RwLock<HashMap<String, Arc<Answers>>>,
}

/// The metrics of one route.
struct Answers {
    seconds: Histogram,
    /// By method and status: a handful.
    counters: RwLock<Vec<((&'static str, u16), Counter)>>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { in_flight: metric::in_flight(), routes: RwLock::default() }
    }
}

impl Requests {
    /// A request was answered.
    fn answered(&self, route: &str, method: &Method, status: u16, time: Duration) {
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(route).cloned();
        let answers = known.unwrap_or_else(|| {
            let made = || Arc::new(Answers { seconds: metric::seconds(route), counters: RwLock::default() });
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(routes.entry(route.to_owned()).or_insert_with(made))
        });
        answers.seconds.record(time.as_secs_f64());
        answers.count(route, (verb(method), status));
    }
}

impl Answers {
    fn count(&self, route: &str, kind: (&'static str, u16)) {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == kind) {
            return counter.increment(1);
        }
        drop(counters);
        let counter = metric::answers(route, kind.0, kind.1);
        counter.increment(1);
        self.counters.write().unwrap_or_else(PoisonError::into_inner).push((kind, counter));
    }
}

/// The method as a label: `_OTHER` for one that no standard knows, as OpenTelemetry has it.
fn verb(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ];
    const NAMES: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.iter().position(|known| known == method).map_or("_OTHER", |at| NAMES[at])
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
pub(crate) struct Observed<'a> {
    edge: &'a Edge,
    span: Span,
    begin: Instant,
    method: Method,
    uri: Uri,
    address: IpAddr,
    request_id: &'a str,
    traceparent: String,
    route: OnceLock<Arc<Route>>,
    answered: bool,
}

impl<'a> Observed<'a> {
    /// Begins.
    pub(crate) fn begin<B>(edge: &'a Edge, request: &Request<B>, request_id: &'a str, address: IpAddr) -> Self {
        let span = tracing::info_span!(
            "edge",
            http.request.id = request_id,
            http.request.method = request.method().as_str(),
            http.route = tracing::field::Empty,
            trace.id = tracing::field::Empty,
        );
        let asked = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        let traceparent = mesh::edge_trace(&span, asked, edge.config.trusted_traces);
        span.record("trace.id", traceparent.get(3..35).unwrap_or_default());
        edge.requests.in_flight.increment(1.0);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (begin, route) = (Instant::now(), OnceLock::new());
        Self { edge, span, begin, method, uri, address, request_id, traceparent, route, answered: false }
    }

    /// The span of the request.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The caller's address.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The request id.
    pub(crate) fn request_id(&self) -> &str {
        self.request_id
    }

    /// W3C trace context for the calls of this request.
    pub(crate) fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The route was found.
    pub(crate) fn routed(&self, route: Arc<Route>) {
        let _ = self.route.set(route);
    }

    /// The route, once it was found.
    pub(crate) fn route(&self) -> Option<&Arc<Route>> {
        self.route.get()
    }

    /// Ends when the answer's headers are ready; a stream's own end is counted by the mesh.
    pub(crate) fn finish(mut self, response: Response<Body>) -> Response<Body> {
        self.answered = true;
        self.told(response.status().as_u16());
        response
    }

    fn told(&self, status: u16) {
        let label = self.route().map_or("none", |route| route.label());
        self.span.record("http.route", label);
        let elapsed = self.begin.elapsed();
        self.edge.requests.answered(label, &self.method, status, elapsed);
        let _entered = self.span.enter();
        let millis = elapsed.as_secs_f64() * 1000.0;
        let path = Shown(&self.uri);
        if status >= 500 && status != 503 && status != 504 {
            tracing::warn!(url.path = %path, client.address = %self.address, http.response.status_code = status, event.duration_ms = millis, "request failed");
        } else {
            tracing::info!(url.path = %path, client.address = %self.address, http.response.status_code = status, event.duration_ms = millis, "request");
        }
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        self.edge.requests.in_flight.decrement(1.0);
        // Whoever leaves before the answer drops the whole request.
        if !self.answered {
            self.told(CLIENT_CLOSED_REQUEST);
        }
    }
}

/// A path as a log line can bear it.
struct Shown<'a>(&'a Uri);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path().chars().take(256).try_for_each(|letter| formatter.write_char(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_no_standard_knows_makes_no_series_of_its_own() {
        assert_eq!(verb(&Method::PATCH), "PATCH");
        assert_eq!(verb(&"MADE-UP-BY-A-CALLER".parse().expect("a method")), "_OTHER");
    }
}
