//! The failure table of events.md section 6 against a real PostgreSQL and a real NATS.
//!
//! A test of a numbered case starts with its number. Faults are made for real: transactions are cut off, connections cut by a
//! proxy, servers killed; what a crash leaves behind between two steps is set in the database.

mod admin;
mod consume;
mod faults;
mod grants;
mod guard;
mod proxy;
mod relay;
mod server;
mod world;
