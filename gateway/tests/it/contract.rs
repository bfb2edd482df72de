//! The contract of the tests, compiled once from `library.proto`.
use std::{path::Path, sync::LazyLock};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions};
use serde_json::Value;

/// The descriptor set of `library.proto`.
pub(crate) static LIBRARY: LazyLock<Vec<u8>> = LazyLock::new(|| compiled("library.proto"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(LIBRARY.as_slice()).expect("protox wrote it"));

/// Compiles a file beside this one.
pub(crate) fn compiled(file: &str) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([here.join("tests/it"), here.join("../proto")]).expect("folders exist");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file(file).unwrap_or_else(|error| panic!("{error:?}"));
    compiler.encode_file_descriptor_set()
}

/// The method at `/library.v1.Library/Name`.
pub(crate) fn method(path: &str) -> Option<MethodDescriptor> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    POOL.get_service_by_name(service)?.methods().find(|method| method.name() == name)
}

/// ProtoJSON to wire bytes.
pub(crate) fn wire(message: &MessageDescriptor, json: &Value) -> Vec<u8> {
    let text = json.to_string();
    let mut reader = serde_json::Deserializer::from_str(&text);
    let message = DynamicMessage::deserialize(message.clone(), &mut reader)
        .unwrap_or_else(|error| panic!("{json} is no {}: {error}", message.full_name()));
    prost::Message::encode_to_vec(&message)
}

/// Wire bytes to ProtoJSON, defaults left out.
pub(crate) fn json(message: &MessageDescriptor, wire: &[u8]) -> Value {
    let message = DynamicMessage::decode(message.clone(), wire).expect("the edge sends well-formed messages");
    message
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .expect("what the edge sends has a JSON form")
}
