//! The translation between HTTP+JSON and protobuf, case by case; ids are those of gateway.md section 6.

mod body;
mod error;
mod fixture;
mod json;
mod mask;
mod openapi;
mod path;
mod property;
mod query;
mod raw;
mod response;
mod route;
mod stream;
mod template;
