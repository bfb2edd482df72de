//! Driving one call: REST with JSON, streams, native gRPC, gRPC-Web, Connect, WebSocket.
mod accept;
pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod condition;
pub(crate) mod connect;
mod content;
mod feed;
pub(crate) mod grpc;
pub(crate) mod grpc_web;
pub(crate) mod idempotency;
mod inlet;
pub(crate) mod reflection;
pub(crate) mod rest;
pub(crate) mod stream;
mod told;
pub(crate) mod websocket;
