//! The database crate against a real PostgreSQL: one fresh database per test.

mod audit;
mod faults;
mod idempotency;
mod keeping;
mod migrate;
mod once;
mod outbox;
mod proxy;
mod support;
mod tls;
mod walls;
