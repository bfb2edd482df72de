//! Messages, fields and enums as JSON Schema: the named schemas of the document.
//!
//! One message has up to three of them, because what holds of a request is wrong of an answer (see [`Use`]).

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, ExtensionDescriptor, FieldDescriptor, Kind};
use prost_reflect::{MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value, json};

use super::bound::{Below, Bound};
use super::comment::Comments;
use super::scalar;
use crate::contract::Inner;
use crate::mask::{behavior, is_required, is_written_by_service};
use crate::plan::{FieldPlan, Kind as PlannedKind, Shape};
use crate::wellknown::{self, WellKnown};

/// Values of `google.api.FieldBehavior`.
const INPUT_ONLY: i32 = 4;
const IMMUTABLE: i32 = 5;

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// In an answer. It names what the server sends today and forbids nothing else: a field may come at any time without that
    /// being a breaking change, and defaults are left out, so that nothing is `required` either.
    Answer,
    /// In a request that is asked for its REQUIRED fields, down to the last message. Unknown fields are refused.
    Request,
    /// In a request that is not: below the mask of a partial update, in values of maps, in later messages of a stream. Unknown
    /// fields are refused here too.
    Partial,
}

/// An object of fields.
pub(super) struct Object {
    pub(super) schema: Value,
    /// Something must be sent, also where the path has set a part of it.
    pub(super) demands: bool,
}

/// The schemas used so far.
pub(super) struct Schemas<'c> {
    comments: &'c Comments,
    inner: &'c Inner,
    done: BTreeMap<String, Value>,
    waiting: Vec<(MessageDescriptor, Use)>,
    enums: Vec<EnumDescriptor>,
}

impl<'c> Schemas<'c> {
    pub(super) fn new(comments: &'c Comments, inner: &'c Inner) -> Self {
        Self { comments, inner, done: BTreeMap::new(), waiting: Vec::new(), enums: Vec::new() }
    }

    /// Builds what is referenced and not built yet, and returns all.
    pub(super) fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some((message, usage)) = self.waiting.pop() {
            let name = self.name(&message, usage);
            if !self.done.contains_key(&name) {
                let object = self.object(&message, usage, &Bound::default());
                self.done.insert(name, object.schema);
            }
        }
        for enumeration in std::mem::take(&mut self.enums) {
            let schema = self.enumeration(&enumeration);
            self.done.insert(enumeration.full_name().to_owned(), schema);
        }
        self.done
    }

    /// The name of a message's schema. `-` is in no name of protobuf, so that nothing of the contract has the same.
    fn name(&self, message: &MessageDescriptor, usage: Use) -> String {
        let asks = self.inner.plans.find(message.full_name()).is_some_and(|id| self.inner.plans.message(id).asks);
        let suffix = match usage {
            Use::Answer => "",
            // Where nothing is asked for, both are the same.
            Use::Partial if asks => "-partial",
            Use::Request | Use::Partial => "-request",
        };
        format!("{}{suffix}", message.full_name())
    }

    /// A reference to a message, or the inline form of a special one.
    pub(super) fn message(&mut self, message: &MessageDescriptor, usage: Use) -> Value {
        match wellknown::of(message) {
            None => {
                self.waiting.push((message.clone(), usage));
                json!({"$ref": format!("#/components/schemas/{}", self.name(message, usage))})
            }
            Some(WellKnown::Empty) if self.is_closed(usage) => json!({"type": "object", "additionalProperties": false}),
            Some(WellKnown::Wrapper) => {
                json!({"oneOf": [self.wrapped(message, usage), {"type": "null"}]})
            }
            Some(special) => scalar::special(special, usage),
        }
    }

    fn wrapped(&mut self, message: &MessageDescriptor, usage: Use) -> Value {
        message.get_field(1).map(|field| self.kind(&field.kind(), usage)).unwrap_or_default()
    }

    /// Fields that the contract does not have are refused.
    fn is_closed(&self, usage: Use) -> bool {
        usage != Use::Answer && !self.inner.options.reading.ignore_unknown
    }

    /// A message as an inline object, below which the path binds `bound`.
    pub(super) fn object(&mut self, message: &MessageDescriptor, usage: Use, bound: &Bound<'_>) -> Object {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in message.fields() {
            let (property, is_demanded) = self.property(&field, usage, bound);
            properties.insert(field.json_name().to_owned(), property);
            if is_demanded {
                required.push(field.json_name().to_owned());
            }
        }
        for extension in message.extensions() {
            properties.insert(extension.json_name().to_owned(), self.extension(&extension, usage));
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        let description = self.comments.of(&message.parent_file(), message.path());
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        schema.insert("properties".to_owned(), properties.into());
        let demands = !required.is_empty();
        if demands {
            schema.insert("required".to_owned(), required.into());
        }
        if self.is_closed(usage) {
            // The members of `allOf` below name no properties: those beside it are all there are.
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        let oneofs = message.oneofs().filter(|oneof| !oneof.is_synthetic());
        let choices: Vec<Value> = oneofs.filter_map(|oneof| choice(&oneof, bound)).collect();
        if !choices.is_empty() {
            schema.insert("allOf".to_owned(), choices.into());
        }
        Object { schema: Value::Object(schema), demands }
    }

    /// One field of an object, and whether it must be sent.
    fn property(&mut self, field: &FieldDescriptor, usage: Use, bound: &Bound<'_>) -> (Value, bool) {
        match (bound.at(field), wellknown::plain_message(field)) {
            (Below::Whole(variable), _) => {
                let mut schema = self.described_field(field, usage);
                // Not left out: the edge takes the value of the path here too, so that a caller may send back what it read.
                let note =
                    format!("Bound by the path as `{}`: leave it out, or send the same value.", variable.spelling);
                let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
                schema["description"] = format!("{text}\n\n{note}").trim_start().into();
                schema["readOnly"] = true.into();
                (schema, false)
            }
            (Below::Parts(below), Some(message)) if !below.is_empty() => {
                // The path has set the message already; what else it must have is still to be sent.
                let Object { schema, demands } = self.object(&message, inside(field, usage), &below);
                (schema, demands)
            }
            (Below::Parts(_), _) => {
                (self.described_field(field, usage), usage == Use::Request && self.is_asked_for(field))
            }
        }
    }

    /// A request without the field is refused (`required.rs`).
    pub(super) fn is_asked_for(&self, field: &FieldDescriptor) -> bool {
        self.plan(field).is_some_and(|plan| plan.required)
    }

    fn plan(&self, field: &FieldDescriptor) -> Option<&'c FieldPlan> {
        let plans = &self.inner.plans;
        plans.place(field).map(|id| plans.field(id))
    }

    /// A field with its comment and behavior.
    fn described_field(&mut self, field: &FieldDescriptor, usage: Use) -> Value {
        let mut schema = match self.field(field, usage) {
            Value::Object(schema) => schema,
            other => return other,
        };
        let parent = field.parent_message();
        let description = self.comments.of(&parent.parent_file(), field.path());
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        let behavior = behavior(field);
        // REQUIRED by the contract where an absence cannot be told from a default: only the service can ask.
        let unseen = usage == Use::Request && is_required(field) && !self.is_asked_for(field);
        for (says, key) in [
            (is_written_by_service(field), "readOnly"),
            (behavior.contains(&INPUT_ONLY), "writeOnly"),
            (behavior.contains(&IMMUTABLE), "x-immutable"),
            (unseen, "x-required"),
            (field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()), "deprecated"),
        ] {
            if says {
                schema.insert(key.to_owned(), true.into());
            }
        }
        Value::Object(schema)
    }

    /// The type of a field. In a request that asks for it, what counts as absent is no value of it.
    pub(super) fn field(&mut self, field: &FieldDescriptor, usage: Use) -> Value {
        let (kind, below) = (field.kind(), inside(field, usage));
        let asked = if usage == Use::Request { self.plan(field).filter(|plan| plan.required) } else { None };
        let mut schema = match (field.is_map(), &kind, asked) {
            (true, Kind::Message(entry), _) => {
                json!({"type": "object", "additionalProperties": self.kind(&entry.map_entry_value_field().kind(), below)})
            }
            _ if field.is_list() => json!({"type": "array", "items": self.kind(&kind, below)}),
            (_, Kind::Message(message), Some(_)) if wellknown::of(message) == Some(WellKnown::Wrapper) => {
                self.wrapped(message, below)
            }
            _ => self.kind(&kind, below),
        };
        let least = asked.and_then(|plan| match (plan.shape, plan.kind) {
            (Shape::List, _) => Some("minItems"),
            (Shape::Map, _) => Some("minProperties"),
            (Shape::Singular, PlannedKind::String | PlannedKind::Bytes) => Some("minLength"),
            (Shape::Singular, _) => None,
        });
        if let Some(least) = least {
            schema[least] = 1.into();
        }
        schema
    }

    /// The type of a field that is a parameter or the whole body, where `null` is no value.
    pub(super) fn sent(&mut self, field: &FieldDescriptor, usage: Use) -> Value {
        match field.kind().as_message().filter(|message| wellknown::of(message) == Some(WellKnown::Wrapper)) {
            Some(message) if !field.is_list() => self.wrapped(message, usage),
            _ => self.field(field, usage),
        }
    }

    fn extension(&mut self, extension: &ExtensionDescriptor, usage: Use) -> Value {
        let usage = if usage == Use::Answer { usage } else { Use::Partial };
        let schema = self.kind(&extension.kind(), usage);
        if extension.is_list() { json!({"type": "array", "items": schema}) } else { schema }
    }

    fn kind(&mut self, kind: &Kind, usage: Use) -> Value {
        match kind {
            Kind::Message(message) => self.message(message, usage),
            Kind::Enum(_) if wellknown::takes_null(kind) => json!({"type": "null"}),
            Kind::Enum(enumeration) => {
                self.enums.push(enumeration.clone());
                json!({"$ref": format!("#/components/schemas/{}", enumeration.full_name())})
            }
            scalar => scalar::scalar(scalar, usage).unwrap_or_default(),
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

/// How the messages in a field are used; `required.rs` does not go into maps.
fn inside(field: &FieldDescriptor, usage: Use) -> Use {
    if usage == Use::Request && field.is_map() { Use::Partial } else { usage }
}

/// The values in the order of the file; the descriptor has them by number.
pub(super) fn declared(enumeration: &EnumDescriptor) -> Vec<EnumValueDescriptor> {
    let mut values: Vec<EnumValueDescriptor> = enumeration.values().collect();
    values.sort_by_key(|value| value.path().last().copied());
    values
}

/// One member or none; when the path has set one, no other.
fn choice(oneof: &OneofDescriptor, bound: &Bound<'_>) -> Option<Value> {
    let present = |field: FieldDescriptor| json!({"required": [field.json_name()]});
    if oneof.fields().any(|field| bound.holds(&field)) {
        let others: Vec<Value> = oneof.fields().filter(|field| !bound.holds(field)).map(present).collect();
        return (!others.is_empty()).then(|| json!({"not": {"anyOf": others}}));
    }
    let present: Vec<Value> = oneof.fields().map(present).collect();
    let mut choices = present.clone();
    choices.push(json!({"not": {"anyOf": present}}));
    Some(json!({"oneOf": choices}))
}
