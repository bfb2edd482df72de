//! Merged reflection for callers: every service of the contract, without the methods that only workloads may call.
use bytes::Bytes;
use chassis::reflection::Reflection;
use proto::Methods;

use crate::schema::{SchemaError, is_served, set};

/// Reflection over the public part of a contract.
pub(crate) fn merged(contract: &[u8], methods: &Methods) -> Result<Reflection, SchemaError> {
    let unreadable = |error: &dyn std::fmt::Display| SchemaError(format!("reflection cannot be served: {error}"));
    let public = public_part(contract, methods).map_err(|error| unreadable(&error))?.into();
    Reflection::new(&public, None).map_err(|error| unreadable(&error))
}

/// The descriptor set without peers' methods; services that are left empty go too.
fn public_part(contract: &[u8], methods: &Methods) -> Result<Vec<u8>, mesh::wire::Malformed> {
    let is_public = |service: &str, method: &str| methods.get(&format!("/{service}/{method}")).is_some_and(is_served);
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
