//! The cache crate against a real Valkey, also one that is stopped, started again, silent or slow.

mod faults;
mod limit;
mod proxy;
mod support;
mod value;
