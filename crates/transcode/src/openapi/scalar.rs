//! Scalars and well-known types as JSON Schema, in the form ProtoJSON gives them.
//!
//! In requests a schema names the canonical spelling of what the edge takes, and no more than it takes. The edge is more
//! lenient by the rules of ProtoJSON: numbers for enums and in quotes, null for what is not set, proto names of fields.

use prost_reflect::Kind;
use serde_json::{Value, json};

use super::schema::Use;
use crate::wellknown::WellKnown;

/// A type that is no message of its own and no enum.
pub(super) fn scalar(kind: &Kind, usage: Use) -> Option<Value> {
    Some(match kind {
        Kind::Double => json!({"type": "number", "format": "double"}),
        Kind::Float => json!({"type": "number", "format": "float"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({"type": "string", "format": "int64", "pattern": whole(true, usage)})
        }
        Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64", "pattern": whole(false, usage)}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Message(_) | Kind::Enum(_) => return None,
    })
}

/// Whole numbers of 64 bits. A pattern that ends at the largest of them would be a page long: in requests it ends one digit
/// before, where every number is taken; in answers one digit behind.
fn whole(signed: bool, usage: Use) -> String {
    let digits = if signed { 18 } else { 19 } + usize::from(usage == Use::Answer);
    format!("^(0|{}[1-9][0-9]{{0,{}}})$", if signed { "-?" } else { "" }, digits - 1)
}

/// The type of a message that has a form of its own; a wrapper is the business of the caller.
pub(super) fn special(special: WellKnown, usage: Use) -> Value {
    // Again a digit less and a digit more than the 10,000 years of `duration.proto`.
    let seconds = if usage == Use::Answer { 12 } else { 11 };
    match special {
        WellKnown::Any => json!({
            "type": "object",
            "properties": {"@type": {"type": "string"}},
            "additionalProperties": true,
        }),
        WellKnown::Timestamp => json!({"type": "string", "format": "date-time"}),
        WellKnown::Duration => {
            json!({"type": "string", "pattern": format!(r"^-?[0-9]{{1,{seconds}}}(\.[0-9]{{1,9}})?s$")})
        }
        WellKnown::FieldMask if usage == Use::Answer => json!({"type": "string"}),
        WellKnown::FieldMask => {
            let path = r"(?:[a-zA-Z0-9]+|\*)(?:\.(?:[a-zA-Z0-9]+|\*))*";
            json!({"type": "string", "pattern": format!("^(?:{path}(?:,{path})*)?$")})
        }
        WellKnown::Struct => json!({"type": "object", "additionalProperties": true}),
        WellKnown::Value | WellKnown::Wrapper => json!({}),
        WellKnown::ListValue => json!({"type": "array", "items": {}}),
        WellKnown::Empty => json!({"type": "object"}),
    }
}
