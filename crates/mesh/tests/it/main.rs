//! Calls over the mesh: pipes, mutual TLS and sidecar, with the real authorizer and services of the contract.
mod drain;
mod faults;
mod first_message;
mod handler;
mod layers;
mod logs;
mod retries;
mod secure;
mod streams;
mod support;
mod upstreams;
