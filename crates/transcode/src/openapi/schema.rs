//! Messages, fields and enums as JSON Schema, in the form ProtoJSON gives them.
//!
//! A message becomes one named schema. `required` stands in request bodies only: answers leave defaults
//! out, and a partial update need not carry what a resource must have.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comment::Comments;
use crate::mask::behavior;
use crate::wellknown::{self, WellKnown};

/// Values of `google.api.FieldBehavior`.
pub(super) const REQUIRED: i32 = 2;
pub(super) const OUTPUT_ONLY: i32 = 3;
const INPUT_ONLY: i32 = 4;
const IMMUTABLE: i32 = 5;

/// The schemas used so far.
pub(super) struct Schemas<'c> {
    comments: &'c Comments,
    done: BTreeMap<String, Value>,
    waiting: Vec<MessageDescriptor>,
    enums: Vec<EnumDescriptor>,
}

impl<'c> Schemas<'c> {
    pub(super) fn new(comments: &'c Comments) -> Self {
        Self { comments, done: BTreeMap::new(), waiting: Vec::new(), enums: Vec::new() }
    }

    /// Builds what is referenced and not built yet, and returns all.
    pub(super) fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(message) = self.waiting.pop() {
            if self.done.contains_key(message.full_name()) {
                continue;
            }
            let schema = self.object(&message, &BTreeSet::new(), false);
            self.done.insert(message.full_name().to_owned(), schema);
        }
        for enumeration in std::mem::take(&mut self.enums) {
            let schema = self.enumeration(&enumeration);
            self.done.insert(enumeration.full_name().to_owned(), schema);
        }
        self.done
    }

    /// A reference to a message, or the inline form of a special one.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(special) = wellknown::of(message) {
            return self.special(message, special);
        }
        self.waiting.push(message.clone());
        json!({"$ref": format!("#/components/schemas/{}", message.full_name())})
    }

    /// A message as an inline object without the fields `omitted`, for request bodies.
    pub(super) fn object(&mut self, message: &MessageDescriptor, omitted: &BTreeSet<u32>, is_request: bool) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| !omitted.contains(&field.number())) {
            if is_request && behavior(&field).contains(&REQUIRED) {
                required.push(field.json_name().to_owned());
            }
            let name = field.json_name().to_owned();
            properties.insert(name, self.described_field(&field));
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        let description = self.comments.of(&message.parent_file(), message.path());
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        let choices: Vec<Value> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| {
                let members = oneof.fields().filter(|field| !omitted.contains(&field.number()));
                at_most_one(&members.map(|field| field.json_name().to_owned()).collect::<Vec<_>>())
            })
            .collect();
        if !choices.is_empty() {
            schema.insert("allOf".to_owned(), choices.into());
        }
        Value::Object(schema)
    }

    /// A field with its comment and behavior.
    pub(super) fn described_field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = match self.field(field) {
            Value::Object(schema) => schema,
            other => return other,
        };
        let parent = field.parent_message();
        let description = self.comments.of(&parent.parent_file(), field.path());
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        let behavior = behavior(field);
        for (value, key) in
            [(OUTPUT_ONLY, "readOnly"), (INPUT_ONLY, "writeOnly"), (REQUIRED, "x-required"), (IMMUTABLE, "x-immutable")]
        {
            if behavior.contains(&value) {
                schema.insert(key.to_owned(), true.into());
            }
        }
        let options = field.field_descriptor_proto().options.as_ref();
        if options.is_some_and(|options| options.deprecated()) {
            schema.insert("deprecated".to_owned(), true.into());
        }
        Value::Object(schema)
    }

    /// The type of a field.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let kind = field.kind();
        if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
            let values = self.kind(&entry.map_entry_value_field().kind());
            return json!({"type": "object", "additionalProperties": values});
        }
        let schema = self.kind(&kind);
        if field.is_list() {
            return json!({"type": "array", "items": schema});
        }
        schema
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "format": "int64"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Message(message) => self.message(message),
            Kind::Enum(enumeration) => {
                if wellknown::takes_null(kind) {
                    return json!({"type": "null"});
                }
                self.enums.push(enumeration.clone());
                json!({"$ref": format!("#/components/schemas/{}", enumeration.full_name())})
            }
        }
    }

    fn special(&mut self, message: &MessageDescriptor, special: WellKnown) -> Value {
        match special {
            WellKnown::Any => json!({
                "type": "object",
                "properties": {"@type": {"type": "string"}},
                "additionalProperties": true,
            }),
            WellKnown::Timestamp => json!({"type": "string", "format": "date-time"}),
            WellKnown::Duration => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"}),
            WellKnown::FieldMask => json!({"type": "string"}),
            WellKnown::Struct => json!({"type": "object", "additionalProperties": true}),
            WellKnown::Value => json!({}),
            WellKnown::ListValue => json!({"type": "array", "items": {}}),
            WellKnown::Empty => json!({"type": "object"}),
            WellKnown::Wrapper => {
                let inner = message.get_field(1).map(|field| self.kind(&field.kind()));
                json!({"oneOf": [inner.unwrap_or_default(), {"type": "null"}]})
            }
        }
    }

    fn enumeration(&self, enumeration: &EnumDescriptor) -> Value {
        let mut description = self.comments.of(&enumeration.parent_file(), enumeration.path());
        for value in declared(enumeration) {
            let text = self.comments.of(&enumeration.parent_file(), value.path());
            if !text.is_empty() {
                description.push_str(&format!("\n- `{}`: {text}", value.name()));
            }
        }
        let names: Vec<String> = declared(enumeration).iter().map(|value| value.name().to_owned()).collect();
        json!({"type": "string", "enum": names, "description": description.trim_start()})
    }
}

/// The values in the order of the file; the descriptor has them by number.
pub(super) fn declared(enumeration: &EnumDescriptor) -> Vec<EnumValueDescriptor> {
    let mut values: Vec<EnumValueDescriptor> = enumeration.values().collect();
    values.sort_by_key(|value| value.path().last().copied());
    values
}

/// One of these names or none.
fn at_most_one(names: &[String]) -> Value {
    let present: Vec<Value> = names.iter().map(|name| json!({"required": [name]})).collect();
    let mut choices = present.clone();
    choices.push(json!({"not": {"anyOf": present}}));
    json!({"oneOf": choices})
}
