//! How a call travels: one client stack, one server stack, three transports under them. Within a process calls need none (ADR 0064).
//!
//! What must hold:
//! - The order of the layers is written once, in [`server`] and [`client`], and is the same over pipe, TLS and sidecar.
//! - No handler runs before the [`Authorizer`] decided; a method that does not say who may call it is not served.
//! - A token leaves only narrowed to the call it goes along with; a handler never sees the one that came.
//! - Every call has a deadline, is counted exactly once, and fails with an `api::Error`.
//! - Retries happen in exactly one layer, on a budget, and never where a handler may have run a change twice.
//!
//! This crate decides nothing about permissions: `authz` does, behind two traits.

use std::pin::Pin;

use api::{Caller, Error};
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, metadata::MetadataMap};

mod audit;
mod batch;
mod body;
mod call;
pub mod client;
mod deadline;
mod frame;
mod http2;
pub mod identity;
mod limit;
mod observe;
mod panics;
mod period;
pub mod pipe;
pub mod server;
mod settings;
pub mod tls;
pub mod wire;

pub use audit::{Refusals, Refused};
pub use batch::Batched;
pub use call::{
    Authorizer, Incoming, NETWORK_KEY, Narrower, Peer, REQUEST_ID_KEY, STALE_KEY, TOKEN_KEY, TRACEPARENT_KEY,
    USER_AGENT_KEY, USER_AGENT_MAX, Whose,
};
pub use period::{Period, PeriodError};
pub use settings::{
    Balancing, CircuitBreaker, Deadlines, Discovery, HealthCheck, MESSAGE_BYTES_MAX, Mode, OutlierDetection, Retries,
    Settings,
};

/// Trace context of a request that enters at the edge: the span's, where a telemetry layer gives it one, else a fresh one. What the
/// caller asks for (`traceparent`) is continued for one who is trusted: anybody else could choose what is sampled, and which trace it
/// is. Of him the trace only links to his.
#[must_use]
pub fn edge_trace(span: &tracing::Span, asked: Option<&str>, trusted: bool) -> String {
    let asked = asked.and_then(api::Trace::parse);
    match asked {
        Some(asked) if trusted => asked.adopt(span),
        Some(asked) => asked.link(span),
        None => {}
    }
    let of_caller = asked.filter(|_| trusted);
    api::Trace::of(span).or(of_caller).unwrap_or_else(api::Trace::fresh).render()
}

/// What a unary handler returns.
pub type Reply<T> = Result<Response<T>, Status>;

/// What a server-streaming handler returns: `type WatchRunStream = mesh::Items<Run>`.
pub type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Who calls, and the message. Every handler begins with it.
///
/// # Errors
/// INTERNAL when the request did not pass the stack.
pub fn caller<T>(request: Request<T>) -> Result<(Caller, T), Status> {
    let (caller, _, message) = caller_with_metadata(request)?;
    Ok((caller, message))
}

/// Who calls, the metadata that came along, and the message.
///
/// # Errors
/// As [`caller`].
pub fn caller_with_metadata<T>(request: Request<T>) -> Result<(Caller, MetadataMap, T), Status> {
    let (metadata, mut extensions, message) = request.into_parts();
    let caller = extensions.remove::<Caller>().ok_or_else(|| Error::fault("the call did not pass the server stack"))?;
    Ok((caller, metadata, message))
}

/// The answer of a unary handler.
///
/// # Errors
/// The use case's error, as a status.
pub fn reply<T>(result: Result<T, impl Into<Error>>) -> Reply<T> {
    result.map(Response::new).map_err(|error| error.into().into())
}

/// The answer of a server-streaming handler. An error of the beginning is the answer; a later one ends the stream.
///
/// # Errors
/// The use case's error, as a status.
pub fn reply_stream<T, S, E>(result: Result<S, impl Into<Error>>) -> Reply<Items<T>>
where
    T: Send + 'static,
    S: Stream<Item = Result<T, E>> + Send + 'static,
    E: Into<Error> + 'static,
{
    let stream = result.map_err(|error| Status::from(error.into()))?;
    Ok(Response::new(Box::pin(stream.map(|item| item.map_err(|error| Status::from(error.into()))))))
}

/// Sets on a generated server what every server of the mesh has: the message limits and compression.
///
/// ```text
/// mount.rpc(mesh::rpc!(DocumentServiceServer::new(Rpc::new(documents))));
/// ```
#[macro_export]
macro_rules! rpc {
    ($server:expr) => {
        $server
            .max_decoding_message_size($crate::MESSAGE_BYTES_MAX)
            .max_encoding_message_size($crate::MESSAGE_BYTES_MAX)
            .accept_compressed($crate::Compression::Gzip)
            .send_compressed($crate::Compression::Gzip)
    };
}

/// How messages may be compressed.
pub use tonic::codec::CompressionEncoding as Compression;
