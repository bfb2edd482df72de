//! Example bodies, from the types alone: something a reader can fill in.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::schema::{OUTPUT_ONLY, declared};
use crate::mask::behavior;
use crate::wellknown::{self, WellKnown};

/// Messages inside messages that are still shown.
const MAX_DEPTH: usize = 3;

/// A message without the fields that something else binds.
pub(super) fn message(message: &MessageDescriptor, omitted: &BTreeSet<u32>) -> Value {
    object(message, omitted, 0)
}

/// The value of one field.
pub(super) fn field(field: &FieldDescriptor) -> Value {
    value(field, 0)
}

fn object(message: &MessageDescriptor, omitted: &BTreeSet<u32>, depth: usize) -> Value {
    let mut members = Map::new();
    let mut chosen: BTreeSet<String> = BTreeSet::new();
    for field in message.fields() {
        let skipped = omitted.contains(&field.number()) || behavior(&field).contains(&OUTPUT_ONLY);
        let second = field
            .containing_oneof()
            .is_some_and(|oneof| !oneof.is_synthetic() && !chosen.insert(oneof.name().to_owned()));
        if !skipped && !second {
            members.insert(field.json_name().to_owned(), value(&field, depth));
        }
    }
    Value::Object(members)
}

fn value(field: &FieldDescriptor, depth: usize) -> Value {
    let kind = field.kind();
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        let value = single(&entry.map_entry_value_field().kind(), depth);
        return json!({"key": value});
    }
    let value = single(&kind, depth);
    if field.is_list() { json!([value]) } else { value }
}

fn single(kind: &Kind, depth: usize) -> Value {
    match kind {
        Kind::Bool => json!(true),
        Kind::String => json!("text"),
        Kind::Bytes => json!("Ynl0ZXM="),
        Kind::Double | Kind::Float => json!(1.5),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => json!("1"),
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => json!(1),
        // The zero value says "not set": the next one is worth showing.
        Kind::Enum(enumeration) => {
            let values = declared(enumeration);
            values.get(1).or(values.first()).map_or(Value::Null, |value| json!(value.name()))
        }
        Kind::Message(message) => match wellknown::of(message) {
            None if depth == MAX_DEPTH => json!({}),
            None => object(message, &BTreeSet::new(), depth + 1),
            Some(WellKnown::Timestamp) => json!("2026-01-31T09:30:00Z"),
            Some(WellKnown::Duration) => json!("1.5s"),
            Some(WellKnown::FieldMask) => json!("displayName"),
            Some(WellKnown::Struct | WellKnown::Value) => json!({"key": "text"}),
            Some(WellKnown::ListValue) => json!(["text"]),
            Some(WellKnown::Any | WellKnown::Empty) => json!({}),
            Some(WellKnown::Wrapper) => message.get_field(1).map_or(Value::Null, |field| single(&field.kind(), depth)),
        },
    }
}
