//! The well-known types: messages whose JSON is not an object of their fields.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Syntax};

use crate::edition;

/// Which special JSON form a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WellKnown {
    Any,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    /// The value alone, in field 1.
    Wrapper,
    /// `{}`; special only inside Any, where some writers put it into `value`.
    Empty,
}

/// The special form of `message`, `None` for an ordinary one.
pub(crate) fn of(message: &MessageDescriptor) -> Option<WellKnown> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    Some(match name {
        "Any" => WellKnown::Any,
        "Timestamp" => WellKnown::Timestamp,
        "Duration" => WellKnown::Duration,
        "FieldMask" => WellKnown::FieldMask,
        "Struct" => WellKnown::Struct,
        "Value" => WellKnown::Value,
        "ListValue" => WellKnown::ListValue,
        "Empty" => WellKnown::Empty,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => WellKnown::Wrapper,
        _ => return None,
    })
}

/// The special form of a field's message type.
pub(crate) fn of_kind(kind: &Kind) -> Option<WellKnown> {
    kind.as_message().and_then(of)
}

/// Whether JSON `null` is a value of this kind and not the absence of one.
pub(crate) fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(message) => of(message) == Some(WellKnown::Value),
        Kind::Enum(enumeration) => enumeration.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

/// Whether unknown numbers of this enum are kept (proto3, and editions where they say so) or refused (proto2).
pub(crate) fn is_open(enumeration: &prost_reflect::EnumDescriptor) -> bool {
    enumeration.parent_file().syntax() == Syntax::Proto3 || edition::is_open(enumeration)
}

/// A singular message with fields of its own, into which paths and masks may descend.
pub(crate) fn plain_message(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    if field.is_list() || field.is_map() {
        return None;
    }
    let message = field.kind().as_message()?.clone();
    matches!(of(&message), None | Some(WellKnown::Empty)).then_some(message)
}
