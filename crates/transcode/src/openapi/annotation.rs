//! What the contract says about the values of fields beyond their types: examples, and the patterns of resources
//! (AIP-123, AIP-124).

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{DescriptorPool, ExtensionDescriptor, FieldDescriptor, Value};

use super::Info;
use crate::mask::is_required;

/// `google.api.ResourceDescriptor`, as far as it is read here.
#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, repeated, tag = "2")]
    pattern: Vec<String>,
}

/// `google.api.ResourceReference`, as far as it is read here.
#[derive(Clone, PartialEq, Message)]
struct Reference {
    #[prost(string, tag = "1")]
    kind: String,
}

/// The options of a message, of which only the resource is read. An own message, as `rule.rs` has it.
#[derive(Clone, PartialEq, Message)]
struct MessageOptions {
    /// `extend google.protobuf.MessageOptions { ResourceDescriptor resource = 1053; }`
    #[prost(message, optional, tag = "1053")]
    resource: Option<Resource>,
}

/// The options of a field, of which only the reference is read.
#[derive(Clone, PartialEq, Message)]
struct FieldOptions {
    /// `extend google.protobuf.FieldOptions { ResourceReference resource_reference = 1055; }`
    #[prost(message, optional, tag = "1055")]
    reference: Option<Reference>,
}

/// The annotations of one contract.
pub(super) struct Annotations {
    /// A name of each resource type.
    names: HashMap<String, String>,
    example: Option<ExtensionDescriptor>,
}

impl Annotations {
    /// Reads the resources of the pool. An option that it does not declare gives no examples.
    pub(super) fn read(pool: &DescriptorPool, info: &Info) -> Self {
        let mut names = HashMap::new();
        for message in pool.all_messages() {
            let options = MessageOptions::decode(message.options().encode_to_vec().as_slice()).unwrap_or_default();
            if let Some(resource) = options.resource
                && let Some(pattern) = resource.pattern.first()
            {
                names.insert(resource.kind, filled(pattern, &info.example_id));
            }
        }
        // By its full name: the numbers of options are only the same in all contracts when they are registered.
        Self { names, example: pool.get_extension_by_name(&info.example_option) }
    }

    /// A value of the field that the contract itself gives; else, where one must be sent, a name of the resource that it refers
    /// to: a reader puts one in that exists. As text.
    pub(super) fn example(&self, field: &FieldDescriptor) -> Option<String> {
        let options = field.options();
        if let Some(option) = self.example.as_ref().filter(|option| options.has_extension(option))
            && let Value::String(text) = options.get_extension(option).into_owned()
        {
            return Some(text);
        }
        if !is_required(field) {
            return None;
        }
        let options = FieldOptions::decode(options.encode_to_vec().as_slice()).ok()?;
        self.names.get(&options.reference?.kind).cloned()
    }

    /// The field names another resource.
    pub(super) fn refers(field: &FieldDescriptor) -> bool {
        let options = FieldOptions::decode(field.options().encode_to_vec().as_slice()).unwrap_or_default();
        options.reference.is_some()
    }
}

/// `users/{user}` with an id in each place; without one the variables keep their names.
fn filled(pattern: &str, id: &str) -> String {
    let segments = pattern.split('/').map(|segment| {
        let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        variable.map_or(segment, |variable| if id.is_empty() { variable } else { id })
    });
    segments.collect::<Vec<_>>().join("/")
}
