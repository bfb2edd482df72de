//! The edge by its public door: the real listener and filters before a contract of the tests, an upstream that answers as
//! each scenario says, and nothing else. No database, no broker, no other service.
mod client;
mod contract;
mod reflecting;
mod reload;
mod scenario;
mod scenarios;
mod upstream;
mod world;
