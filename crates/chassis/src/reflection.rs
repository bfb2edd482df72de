//! `grpc.reflection.v1` of what a server offers. It stands beside the stack: a listing is no traffic and needs no token, since
//! only workloads of the mesh reach it.
use anyhow::Context as _;
use tonic_reflection::server::{
    Builder,
    v1::{ServerReflection, ServerReflectionServer},
};

use crate::BootError;

/// Reflection over the contract, listing these services.
pub(crate) fn server(
    services: impl Iterator<Item = &'static str>,
) -> Result<ServerReflectionServer<impl ServerReflection>, BootError> {
    let builder = Builder::configure().register_encoded_file_descriptor_set(proto::CONTRACT);
    let builder = services.fold(builder, Builder::with_service_name);
    builder.build_v1().context("read the contract for reflection")
}
