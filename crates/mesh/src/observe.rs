//! One span, one set of metrics and one log line per call, on both sides.
//!
//! Handles of metrics are made once per method and code and then kept: a call costs two atomic additions and one histogram
//! record, no label is formatted. A series appears with its first call. An error is logged here, once, with the source that
//! the client never sees.
#![expect(clippy::disallowed_macros, reason = "the one place of this crate that emits metrics")]
use std::{
    collections::HashMap,
    error::Error as _,
    fmt::Write as _,
    sync::{Arc, OnceLock},
    time::Instant,
};

use metrics::{Counter, Gauge, Histogram};
use proto::Method;
use tonic::{Code, Status};
use tracing::Span;

/// Number of gRPC codes.
const CODES: usize = 17;

/// Which side of the call is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl Side {
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Server => ["grpc_server_handled_total", "grpc_server_handling_seconds", "grpc_server_in_flight"],
            Self::Client => ["grpc_client_handled_total", "grpc_client_handling_seconds", "grpc_client_in_flight"],
        }
    }
}

/// The metric handles of all methods, for one server or one client.
pub(crate) struct Registry {
    by_path: HashMap<&'static str, Arc<Handles>>,
    unknown: Arc<Handles>,
}

impl Registry {
    /// Handles for these methods; whatever else is called is counted as `unknown`.
    pub(crate) fn new(side: Side, methods: impl Iterator<Item = &'static Method>) -> Self {
        let by_path = methods.map(|method| (method.path, Arc::new(Handles::new(side, Some(method))))).collect();
        Self { by_path, unknown: Arc::new(Handles::new(side, None)) }
    }

    pub(crate) fn of(&self, method: Option<&Method>) -> Arc<Handles> {
        let known = method.and_then(|method| self.by_path.get(method.path));
        Arc::clone(known.unwrap_or(&self.unknown))
    }
}

/// The metric handles of one method.
pub(crate) struct Handles {
    side: Side,
    service: &'static str,
    method: &'static str,
    kind: &'static str,
    handled: [OnceLock<Counter>; CODES],
    seconds: OnceLock<Histogram>,
    in_flight: OnceLock<Gauge>,
}

impl Handles {
    fn new(side: Side, method: Option<&'static Method>) -> Self {
        let kind = match method.map(|method| (method.client_streaming, method.server_streaming)) {
            None | Some((false, false)) => "unary",
            Some((true, false)) => "client_stream",
            Some((false, true)) => "server_stream",
            Some((true, true)) => "bidi_stream",
        };
        let (service, name) = method.map_or(("unknown", "unknown"), |method| (method.full_service, method.name));
        let (handled, seconds, in_flight) = ([const { OnceLock::new() }; CODES], OnceLock::new(), OnceLock::new());
        Self { side, service, method: name, kind, handled, seconds, in_flight }
    }

    fn count(&self, code: Code) {
        let counter = || metrics::counter!(self.side.names()[0], "service" => self.service, "method" => self.method, "code" => code_name(code), "type" => self.kind);
        self.handled[code as usize].get_or_init(counter).increment(1);
    }

    fn seconds(&self) -> &Histogram {
        let histogram = || metrics::histogram!(self.side.names()[1], "service" => self.service, "method" => self.method, "type" => self.kind);
        self.seconds.get_or_init(histogram)
    }

    fn in_flight(&self) -> &Gauge {
        let gauge = || metrics::gauge!(self.side.names()[2], "service" => self.service, "method" => self.method, "type" => self.kind);
        self.in_flight.get_or_init(gauge)
    }
}

/// One call under measurement. Whatever happens, it is counted exactly once: an unfinished one counts as canceled.
pub(crate) struct Measure {
    handles: Arc<Handles>,
    span: Span,
    start: Instant,
    open: bool,
}

impl Measure {
    pub(crate) fn begin(handles: Arc<Handles>, span: Span) -> Self {
        handles.in_flight().increment(1);
        Self { handles, span, start: Instant::now(), open: true }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the call with a code and, when it failed, the status that says why.
    pub(crate) fn finish(&mut self, code: Code, status: Option<&Status>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let elapsed = self.start.elapsed();
        self.handles.count(code);
        self.handles.seconds().record(elapsed.as_secs_f64());
        self.handles.in_flight().decrement(1);
        self.span.record("rpc.grpc.status_code", code as i64);
        let _entered = self.span.enter();
        match self.handles.side {
            Side::Server => log_served(code, elapsed.as_secs_f64() * 1000.0, status),
            Side::Client => log_called(code, elapsed.as_secs_f64() * 1000.0, status),
        }
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.finish(Code::Cancelled, None);
    }
}

fn log_served(code: Code, milliseconds: f64, status: Option<&Status>) {
    let (name, error) = (code_name(code), status.map(explain).unwrap_or_default());
    match code {
        Code::Internal | Code::Unknown | Code::DataLoss => {
            tracing::error!(target: "access", code = name, duration_ms = milliseconds, error, "call failed by our fault");
        }
        Code::Unavailable => {
            tracing::warn!(target: "access", code = name, duration_ms = milliseconds, error, "call refused for now")
        }
        _ => tracing::info!(target: "access", code = name, duration_ms = milliseconds, error, "call served"),
    }
}

fn log_called(code: Code, milliseconds: f64, status: Option<&Status>) {
    let error = status.map(explain).unwrap_or_default();
    tracing::debug!(target: "mesh", code = code_name(code), duration_ms = milliseconds, error, "call answered");
}

/// Reason, message and the chain of sources, which only the log sees. The words about an invalid argument may repeat it, and it may be a
/// secret in the wrong place: they are for the caller alone.
fn explain(status: &Status) -> String {
    let error = api::Error::from_status(status);
    if status.code() == Code::InvalidArgument {
        return error.reason().to_owned();
    }
    let mut text = format!("{}: {}", error.reason(), error.message());
    let mut source = status.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The code as metrics and logs show it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Counts a retry of the client.
pub(crate) fn retried(service: &str, unsent: bool) {
    let why = if unsent { "unsent" } else { "unavailable" };
    metrics::counter!("workos_mesh_retries_total", "service" => service.to_owned(), "reason" => why).increment(1);
}

/// Counts a retry that the budget refused.
pub(crate) fn budget_empty(service: &str) {
    metrics::counter!("workos_mesh_retry_budget_empty_total", "service" => service.to_owned()).increment(1);
}

/// Counts a call that a limit of the circuit breaker refused.
pub(crate) fn overflowed(service: &str, limit: &'static str) {
    metrics::counter!("workos_mesh_overflow_total", "service" => service.to_owned(), "limit" => limit).increment(1);
}

/// Counts an ejection.
pub(crate) fn ejected(service: &str, cause: &'static str) {
    metrics::counter!("workos_mesh_ejections_total", "service" => service.to_owned(), "cause" => cause).increment(1);
}

/// Counts a call that was sent to an endpoint that is not good, because too few are.
pub(crate) fn panicked(service: &str) {
    metrics::counter!("workos_mesh_panic_calls_total", "service" => service.to_owned()).increment(1);
}

/// Counts a failed health check.
pub(crate) fn health_check_failed(service: &str) {
    metrics::counter!("workos_mesh_health_check_failures_total", "service" => service.to_owned()).increment(1);
}

/// Counts an attempt to connect.
pub(crate) fn connected(service: &str, opened: bool) {
    let outcome = if opened { "opened" } else { "failed" };
    metrics::counter!("workos_mesh_connections_total", "service" => service.to_owned(), "outcome" => outcome)
        .increment(1);
}

/// Shows how many endpoints a service has, and how many of them are in which state.
pub(crate) fn endpoints(service: &str, states: [(&'static str, usize); 3]) {
    for (state, count) in states {
        metrics::gauge!("workos_mesh_endpoints", "service" => service.to_owned(), "state" => state).set(count as f64);
    }
}
