//! Merged reflection for callers: every service of the contract, without the methods that only workloads may call.
use chassis::BootError;
use prost::Message;
use prost_types::FileDescriptorSet;
use proto::Rule;
use tonic::service::Routes;

/// grpc.reflection.v1 and v1alpha over the public part of the contract.
#[derive(Clone)]
pub(crate) struct Reflection(Routes);

impl Reflection {
    /// Builds both versions.
    pub(crate) fn new() -> Result<Self, BootError> {
        let public = public_contract()?;
        let v1 =
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(&public).build_v1()?;
        let v1alpha = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(&public)
            .build_v1alpha()?;
        Ok(Self(Routes::new(v1).add_service(v1alpha)))
    }

    /// A service to ask once.
    pub(crate) fn routes(&self) -> Routes {
        self.0.clone()
    }
}

/// The descriptor set without peers' methods; services that are left empty go too.
fn public_contract() -> Result<Vec<u8>, BootError> {
    let mut set = FileDescriptorSet::decode(proto::CONTRACT)?;
    for file in &mut set.file {
        let package = file.package().to_owned();
        for service in &mut file.service {
            let name = service.name().to_owned();
            service.method.retain(|method| is_public(&format!("/{package}.{name}/{}", method.name())));
        }
        file.service.retain(|service| !service.method.is_empty());
    }
    Ok(set.encode_to_vec())
}

fn is_public(path: &str) -> bool {
    let access = proto::methods().get(path).and_then(|method| method.access.as_ref());
    access.is_some_and(|access| access.rule != Rule::PeerOnly && access.peers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_workloads_are_not_shown() {
        let set = FileDescriptorSet::decode(public_contract().expect("it is valid").as_slice()).expect("it is a set");
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
