//! Errors as HTTP: three shapes of body and the one table of codes.
//!
//! The gateway's own problems and upstream statuses leave through [`render`], so a caller sees one form.
//! The status header is authoritative; of `grpc-status-details-bin` only the details are read.

mod detail;

use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};

use crate::call::Match;
use crate::contract::Contract;
use crate::problem::Problem;
use detail::Detail;

pub use detail::AnyMessage;

/// The form of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// AIP-193: `{"error":{"code":404,"message":..,"status":"NOT_FOUND","details":[..]}}`.
    #[default]
    Aip193,
    /// `google.rpc.Status`: `{"code":5,"message":..,"details":[..]}`.
    Status,
    /// RFC 9457 problem details.
    Problem,
}

/// What a status is made of, wherever it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusParts {
    /// gRPC code number; unknown numbers are UNKNOWN.
    pub code: i32,
    /// For developers.
    pub message: String,
    /// The bytes of `grpc-status-details-bin`, decoded from base64; may be empty.
    pub details: Bytes,
    /// An HTTP status that no gRPC code stands for: 405, 406, 412, 413, 414, 415, 431.
    pub http: Option<u16>,
}

/// An HTTP answer for an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u64>,
    /// The `ErrorInfo` reason, for logs and for choosing 412.
    pub reason: Option<String>,
}

/// Everything an error is rendered with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The form of the body.
    pub shape: Shape,
    /// Where the types of details are looked up.
    pub contract: &'a Contract,
    /// The route, if there is one: violations then use its spelling.
    pub route: Option<&'a Match>,
    /// Goes into the details as `RequestInfo`; may be empty.
    pub request_id: &'a str,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<AnyMessage>,
}

/// Name of the domain in the gateway's own `ErrorInfo`.
pub const DOMAIN: &str = "gateway.workos.dev";

impl From<&Problem> for StatusParts {
    /// `ErrorInfo` with the reason, and `BadRequest` with the violations.
    fn from(problem: &Problem) -> Self {
        let mut details = vec![detail::error_info(problem.reason, DOMAIN, &problem.metadata)];
        if !problem.violations.is_empty() {
            details.push(detail::bad_request(&problem.violations));
        }
        let status = Status { code: problem.code, message: problem.message.clone(), details };
        Self {
            code: problem.code,
            message: problem.message.clone(),
            details: status.encode_to_vec().into(),
            http: (problem.http != http_status(problem.code)).then_some(problem.http),
        }
    }
}

impl StatusParts {
    /// The `ErrorInfo` reason: what decides between 409 and 412, before rendering.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let details = Status::decode(self.details.clone()).ok()?.details;
        details.iter().find_map(|any| match Detail::parse(any) {
            Some(Detail::ErrorInfo(info)) => Some(info.reason),
            _ => None,
        })
    }
}

/// Renders an error for an HTTP caller; never fails.
#[must_use]
pub fn render(context: &Context<'_>, parts: &StatusParts) -> Rendered {
    // Details that cannot be read are worth less than the error itself.
    let mut details = Status::decode(parts.details.clone()).unwrap_or_default().details;
    // A stack trace is for logs, not for callers.
    details.retain(|detail| detail.name() != "google.rpc.DebugInfo");
    let (mut retry_after, mut reason) = (None, None);
    for any in &mut details {
        match Detail::parse(any) {
            Some(Detail::RetryInfo(retry)) => retry_after = retry.seconds(),
            Some(Detail::ErrorInfo(info)) => reason = Some(info.reason),
            Some(Detail::BadRequest(mut request)) if is_upstream(parts) => {
                if let Some(route) = context.route {
                    request.rename(|field| route.caller_spelling(field));
                    any.value = request.encode_to_vec().into();
                }
            }
            _ => {}
        }
    }
    if !context.request_id.is_empty() {
        details.retain(|detail| detail.name() != "google.rpc.RequestInfo");
        details.push(detail::request_info(context.request_id));
    }
    let details: Vec<Value> = details.iter().map(|any| any.to_json(&context.contract.inner.plans)).collect();
    let status = parts.http.unwrap_or_else(|| http_status(parts.code));
    let (content_type, body) = shaped(context.shape, status, parts, details);
    Rendered { status, content_type, body: body.to_string().into(), retry_after, reason }
}

/// The gateway's own violations are in the caller's spelling already.
fn is_upstream(parts: &StatusParts) -> bool {
    let own = |any: &AnyMessage| matches!(Detail::parse(any), Some(Detail::ErrorInfo(info)) if info.domain == DOMAIN);
    !Status::decode(parts.details.clone()).unwrap_or_default().details.iter().any(own)
}

fn shaped(shape: Shape, status: u16, parts: &StatusParts, details: Vec<Value>) -> (&'static str, Value) {
    let name = status_name(parts.code);
    let message = parts.message.as_str();
    match shape {
        Shape::Aip193 => (
            "application/json",
            json!({"error": {"code": status, "message": message, "status": name, "details": details}}),
        ),
        Shape::Status => {
            ("application/json", json!({"code": known(parts.code), "message": message, "details": details}))
        }
        Shape::Problem => (
            "application/problem+json",
            json!({
                "type": "about:blank",
                "title": http_title(status),
                "status": status,
                "detail": message,
                "code": name,
                "details": details,
            }),
        ),
    }
}

fn http_title(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Client Closed Request")
}

/// The canonical name and HTTP status per gRPC code, in order of the codes (googleapis `code.proto`).
const CODES: [(&str, u16); 17] = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

/// A code that exists; everything else is UNKNOWN.
fn known(code: i32) -> usize {
    usize::try_from(code).ok().filter(|code| *code < CODES.len()).unwrap_or(2)
}

/// The HTTP status of a gRPC code.
#[must_use]
pub fn http_status(code: i32) -> u16 {
    CODES[known(code)].1
}

/// The name of a gRPC code, as `status` shows it.
#[must_use]
pub fn status_name(code: i32) -> &'static str {
    CODES[known(code)].0
}

/// The gRPC code of an HTTP answer that carries no `grpc-status` (grpc `http-grpc-status-mapping.md`).
#[must_use]
pub fn code_of_http(status: u16) -> i32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
