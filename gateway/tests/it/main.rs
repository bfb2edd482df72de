//! The edge by its public door: the real listener and filters before a contract of the tests, an upstream that answers as
//! each scenario says, and nothing else. No database, no broker, no other service.
#![expect(
    clippy::disallowed_methods,
    reason = "clients and upstreams of a test run beside the edge; the test ends them"
)]

mod callers;
mod client;
mod contract;
mod reflecting;
mod reload;
mod running;
mod scenario;
mod scenarios;
mod upstream;
mod world;
