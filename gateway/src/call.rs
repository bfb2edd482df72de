//! Driving one call: REST with JSON, server streams, native gRPC.
pub(crate) mod body;
pub(crate) mod condition;
mod decode;
pub(crate) mod grpc;
pub(crate) mod rest;
pub(crate) mod stream;
