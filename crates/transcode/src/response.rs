//! Wire bytes to JSON: ProtoJSON with the options of the route and of the request's system parameters.
//!
//! The message is decoded by descriptor and printed by own code, which keeps the order of map keys stable
//! and prints floats, special types and defaults as the conformance suite has them. A message that has no
//! ProtoJSON form gives INTERNAL, never broken JSON.

mod fields;
mod message;
mod special;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::name;
use crate::problem::Problem;
use crate::query::{self, System};
use crate::wellknown;

pub use fields::Fields;
pub(crate) use message::Printer;

/// The form of the answer that `$alt` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alt {
    /// JSON.
    Json,
    /// The response message's wire bytes.
    Proto,
    /// Server-sent events.
    Sse,
    /// The raw bytes of an HttpBody.
    Media,
}

/// How an answer is printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseOptions {
    /// Print fields with implicit presence even where they have their default.
    pub defaults: bool,
    /// Print proto names instead of JSON names.
    pub proto_names: bool,
    /// Print enums as numbers.
    pub enum_numbers: bool,
    /// Print with line breaks and two spaces of indentation.
    pub pretty: bool,
    /// What `$alt` asks for, if it is given.
    pub alt: Option<Alt>,
    /// What `$fields` leaves in the answer.
    pub fields: Option<Fields>,
}

/// Reads the system parameters of a query.
pub(crate) fn options(
    query: Option<&str>,
    input: &MessageDescriptor,
    output: &MessageDescriptor,
    shown: Option<&FieldDescriptor>,
) -> Result<ResponseOptions, Problem> {
    let mut options = ResponseOptions::default();
    // System parameters hold no spaces, so `+` may stay.
    for (name, value) in query::pairs(query.unwrap_or_default(), false)? {
        match query::system(&name, input)? {
            Some(System::Alt) => alt(&name, &value, &mut options)?,
            Some(System::PrettyPrint) => {
                options.pretty = match value.as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(refused(&name, "expected `true` or `false`")),
                };
            }
            Some(System::Fields) => {
                let message = match shown {
                    None => Some(output.clone()),
                    Some(field) => field.kind().as_message().cloned(),
                };
                options.fields = Some(Fields::parse(&value, message.as_ref()).map_err(|text| refused(&name, text))?);
            }
            Some(System::ErrorVersion | System::Key) | None => {}
        }
    }
    Ok(options)
}

/// `json`, `proto`, `sse`, `media`, each with `;enum-encoding=int`.
fn alt(name: &str, value: &str, options: &mut ResponseOptions) -> Result<(), Problem> {
    let mut parts = value.split(';');
    options.alt = Some(match parts.next().unwrap_or_default() {
        "json" => Alt::Json,
        "proto" => Alt::Proto,
        "sse" => Alt::Sse,
        "media" => Alt::Media,
        _ => return Err(refused(name, "expected `json`, `proto`, `sse` or `media`")),
    });
    for part in parts {
        match part {
            "enum-encoding=int" => options.enum_numbers = true,
            _ => return Err(refused(name, "the only suffix is `;enum-encoding=int`")),
        }
    }
    Ok(())
}

fn refused(name: &str, description: impl Into<String>) -> Problem {
    Problem::field("INVALID_PARAMETER", name::shown(name), description)
}

/// Prints a message, or one field of it.
pub(crate) fn render(
    message: &DynamicMessage,
    shown: Option<&FieldDescriptor>,
    options: &ResponseOptions,
) -> Result<Bytes, Problem> {
    let mut printer = Printer::new(options, false);
    let printed = match shown {
        None => printer.message(message, options.fields.as_ref()),
        Some(field) if is_unset(message, field) => printer.unset(field),
        Some(field) => printer.field(field, &message.get_field(field), options.fields.as_ref()),
    };
    match printed {
        Ok(()) => Ok(printer.out.into()),
        Err(text) => Err(unrenderable(&format!("The service answered with a message that has no JSON form: {text}"))),
    }
}

/// Whether a `response_body` message is absent; scalars, lists and maps have defaults of their own.
fn is_unset(message: &DynamicMessage, field: &FieldDescriptor) -> bool {
    let is_message = field.kind().as_message().is_some() && !field.is_list() && !field.is_map();
    is_message && !message.has_field(field)
}

/// 500 INTERNAL for what a backend sent.
pub(crate) fn unrenderable(message: &str) -> Problem {
    Problem::internal(
        "UNRENDERABLE_RESPONSE",
        format!("{message}. This is a fault of the service; report it with the request id."),
    )
}

/// A scalar as plain text: ids of events.
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::I32(number) => Some(number.to_string()),
        Value::I64(number) => Some(number.to_string()),
        Value::U32(number) => Some(number.to_string()),
        Value::U64(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Printer<'_> {
    /// An absent message as `response_body`: `{}`, or `null` where it has a special form.
    fn unset(&mut self, field: &FieldDescriptor) -> Result<(), String> {
        let kind = field.kind();
        let special = wellknown::of_kind(&kind).is_some_and(|form| form != wellknown::WellKnown::Empty);
        let text: &[u8] = if special && matches!(kind, Kind::Message(_)) { b"null" } else { b"{}" };
        self.out.extend_from_slice(text);
        Ok(())
    }
}
