//! HTTP and JSON to protobuf wire bytes and back, given descriptors. Pure: no I/O, no async, no clock.
//!
//! ```text
//!   descriptor set --compile--> Contract --route(method, path)--> Match
//!                                  |                                |  request(query, type, body) -> wire
//!                                  |                                |  response(wire) -> JSON
//!                                  v                                |  http_body(wire) -> raw bytes
//!                               openapi                             v
//!                                             stream: array, NDJSON, SSE     error: AIP-193, Status, RFC 9457
//! ```
//!
//! What must hold: a request is either translated exactly or refused with a [`Problem`] that names the
//! field as the caller wrote it; nothing a path binds can be overridden; a backend's message that has no
//! JSON form gives INTERNAL, never broken JSON; every input costs time linear in its size.

mod binding;
mod bound;
mod call;
mod compile;
mod contract;
mod edition;
pub mod error;
pub mod frame;
mod http_body;
mod ink;
mod join;
mod json;
mod mask;
mod media;
mod name;
pub mod openapi;
mod percent;
mod plan;
mod problem;
mod query;
mod request;
mod required;
mod response;
mod rewrite;
mod rule;
mod scalar;
mod source;
pub mod stream;
mod template;
mod tree;
mod wellknown;
mod wire;

pub use call::{Match, RequestOptions};
pub use compile::{LoadError, compile};
pub use contract::{Contract, MethodPlan, Options, RouteError, Warning};
pub use edition::lowered;
pub use http_body::HttpBody;
pub use join::joined;
pub use percent::Mode as PathMode;
pub use problem::{FieldViolation, Problem};
pub use response::{Alt, Fields, ResponseOptions};
pub use rule::{CustomPattern, HttpRule, Pattern};
pub use source::bare;
