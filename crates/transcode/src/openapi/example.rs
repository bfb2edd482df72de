//! Example bodies that the edge takes, and the services too as far as the contract tells what they want.
//!
//! What the path binds and what the service alone writes is left out, and so is what need not be sent and has no value that is
//! always taken: the name of another resource, and an OPTIONAL text without an example. Etags, page tokens and request ids
//! come from somewhere else, and any other value of theirs is refused.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::annotation::Annotations;
use super::bound::{Below, Bound};
use super::schema::declared;
use crate::mask::{behavior, is_required, is_written_by_service};
use crate::wellknown::{self, WellKnown};

/// Messages inside messages that are still shown, and those of them that are shown because they are REQUIRED.
const MAX_DEPTH: usize = 3;
const MAX_REQUIRED_DEPTH: usize = 16;

/// Values of `google.api.FieldBehavior`.
const OPTIONAL: i32 = 1;
const IMMUTABLE: i32 = 5;

/// Makes the examples of one contract.
#[derive(Clone, Copy)]
pub(super) struct Examples<'a> {
    pub(super) annotations: &'a Annotations,
    /// They are of a partial update, which leaves out what cannot change.
    pub(super) updates: bool,
}

impl Examples<'_> {
    /// A message without what the path binds in it.
    pub(super) fn message(self, message: &MessageDescriptor, bound: &Bound<'_>) -> Value {
        self.object(message, bound, 0)
    }

    /// The value of one field, below which the path binds `bound`.
    pub(super) fn field(self, field: &FieldDescriptor, bound: &Bound<'_>) -> Value {
        self.value(field, bound, 0).unwrap_or_default()
    }

    fn object(self, message: &MessageDescriptor, bound: &Bound<'_>, depth: usize) -> Value {
        let mut members = Map::new();
        let mut chosen: BTreeSet<String> = BTreeSet::new();
        for field in message.fields() {
            let below = match bound.at(&field) {
                Below::Whole(_) => continue,
                Below::Parts(below) => below,
            };
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            let other = oneof.as_ref().is_some_and(|oneof| bound.chooses_another(oneof, &field));
            let fixed = self.updates && behavior(&field).contains(&IMMUTABLE);
            if is_written_by_service(&field)
                || fixed
                || other
                || oneof.as_ref().is_some_and(|one| chosen.contains(one.name()))
            {
                continue;
            }
            if let Some(value) = self.value(&field, &below, depth) {
                members.insert(field.json_name().to_owned(), value);
                chosen.extend(oneof.map(|oneof| oneof.name().to_owned()));
            }
        }
        Value::Object(members)
    }

    /// `None` where it is better to say nothing.
    fn value(self, field: &FieldDescriptor, bound: &Bound<'_>, depth: usize) -> Option<Value> {
        let kind = field.kind();
        if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
            let key = match single(&entry.map_entry_key_field().kind())? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let value = entry.map_entry_value_field();
            let value = self.single(&value.kind(), &Bound::default(), depth, false)?;
            return Some(json!({key: value}));
        }
        let value = match self.annotations.example(field) {
            Some(text) => given(&kind, text)?,
            None if is_text(&kind) && is_dispensable(field) => return None,
            None => self.single(&kind, bound, depth, is_required(field))?,
        };
        Some(if field.is_list() { json!([value]) } else { value })
    }

    fn single(self, kind: &Kind, bound: &Bound<'_>, depth: usize, required: bool) -> Option<Value> {
        match kind {
            Kind::Message(message) if wellknown::of(message).is_none() => {
                let limit = if required { MAX_REQUIRED_DEPTH } else { MAX_DEPTH };
                (depth < limit).then(|| self.object(message, bound, depth + 1))
            }
            kind => single(kind),
        }
    }
}

/// What the contract gives, in the JSON form of the field's type.
fn given(kind: &Kind, text: String) -> Option<Value> {
    match single(kind) {
        Some(Value::String(_)) => Some(Value::String(text)),
        _ => serde_json::from_str(&text).ok(),
    }
}

/// It need not be sent, and most values of it are refused.
fn is_dispensable(field: &FieldDescriptor) -> bool {
    !is_required(field) && (behavior(field).contains(&OPTIONAL) || Annotations::refers(field))
}

fn is_text(kind: &Kind) -> bool {
    matches!(kind, Kind::String | Kind::Bytes)
}

/// A value of everything but messages of the contract's own.
fn single(kind: &Kind) -> Option<Value> {
    if wellknown::takes_null(kind) && kind.as_enum().is_some() {
        return Some(Value::Null);
    }
    Some(match kind {
        Kind::Bool => json!(true),
        Kind::String => json!("text"),
        Kind::Bytes => json!("Ynl0ZXM="),
        Kind::Double | Kind::Float => json!(1.5),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => json!("1"),
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => json!(1),
        // The zero value says "not set": the next one is worth showing.
        Kind::Enum(enumeration) => {
            let values = declared(enumeration);
            json!(values.get(1).or(values.first())?.name())
        }
        Kind::Message(message) => match wellknown::of(message)? {
            WellKnown::Timestamp => json!("2026-01-31T09:30:00Z"),
            WellKnown::Duration => json!("1.5s"),
            WellKnown::FieldMask => json!("displayName"),
            WellKnown::Struct | WellKnown::Value => json!({"key": "text"}),
            WellKnown::ListValue => json!(["text"]),
            WellKnown::Any | WellKnown::Empty => json!({}),
            WellKnown::Wrapper => single(&message.get_field(1)?.kind())?,
        },
    })
}
