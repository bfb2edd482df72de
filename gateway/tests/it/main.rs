//! The edge by its public door: the real listener and filters before a contract of the tests, an upstream that answers as
//! each scenario says, and nothing else. No database, no broker, no other service.
#![expect(
    clippy::disallowed_methods,
    reason = "clients and upstreams of a test run beside the edge; the test ends them"
)]

mod bidi;
mod bounds;
mod callers;
mod client;
mod coding;
mod connect;
mod contract;
mod deadline;
mod form;
mod framing;
mod grpc;
mod grpc_web;
mod live;
mod patience;
mod raw;
mod reflecting;
mod reload;
mod running;
mod scenario;
mod scenarios;
mod tls;
mod upstream;
mod websocket;
mod websocket_h2;
mod world;

/// What a test waits for comes soon, or the test fails.
async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(20), awaited).await.expect("it comes in time")
}
