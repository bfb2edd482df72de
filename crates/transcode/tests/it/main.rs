//! The translation between HTTP+JSON and protobuf, case by case; ids are those of gateway.md section 6.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, helpers included")]

mod agreement;
mod allocation;
mod body;
mod edition;
mod error;
mod fixture;
mod json;
mod legacy;
mod mask;
mod near;
mod newer;
mod openapi;
mod path;
mod property;
mod query;
mod raw;
mod response;
mod route;
mod schema;
mod stream;
mod template;
mod wire;
