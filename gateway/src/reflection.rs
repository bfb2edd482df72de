//! Merged reflection for callers: every service of the contract, without the methods that only workloads may call.
use bytes::Bytes;
use proto::{Methods, Rule};
use tonic::service::Routes;

use crate::schema::{SchemaError, set};

/// grpc.reflection.v1 and v1alpha over the public part of the contract.
#[derive(Clone)]
pub(crate) struct Reflection(Routes);

impl Reflection {
    /// Builds both versions.
    pub(crate) fn new(contract: &[u8], methods: &Methods) -> Result<Self, SchemaError> {
        let unreadable = |error: &dyn std::fmt::Display| SchemaError(format!("reflection cannot be served: {error}"));
        let public = public_part(contract, methods).map_err(|error| unreadable(&error))?;
        let v1 = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(&public)
            .build_v1()
            .map_err(|error| unreadable(&error))?;
        let v1alpha = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(&public)
            .build_v1alpha()
            .map_err(|error| unreadable(&error))?;
        Ok(Self(Routes::new(v1).add_service(v1alpha)))
    }

    /// A service to ask once.
    pub(crate) fn routes(&self) -> Routes {
        self.0.clone()
    }
}

/// The descriptor set without peers' methods; services that are left empty go too.
fn public_part(contract: &[u8], methods: &Methods) -> Result<Vec<u8>, mesh::wire::Malformed> {
    let is_public = |service: &str, method: &str| {
        let access = methods.get(&format!("/{service}/{method}")).and_then(|method| method.access.as_ref());
        access.is_some_and(|access| access.rule != Rule::PeerOnly && access.peers.is_empty())
    };
    let files = set::files(&Bytes::copy_from_slice(contract))?;
    let public: Vec<_> = files.iter().map(|file| file.cut(&is_public)).collect::<Result<_, _>>()?;
    Ok(set::join(&public))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn methods_of_workloads_are_not_shown() {
        let public = public_part(proto::CONTRACT, proto::methods()).expect("it is valid");
        let set = FileDescriptorSet::decode(public.as_slice()).expect("it is a set");
        let names: Vec<_> = set
            .file
            .iter()
            .flat_map(|file| &file.service)
            .flat_map(|service| &service.method)
            .map(|method| method.name().to_owned())
            .collect();
        assert!(names.iter().any(|name| name == "GetDocument"));
        assert!(!names.iter().any(|name| name == "BatchReadDocuments" || name == "ExchangeCredential"));
    }
}
