//! Wire bytes to JSON: ProtoJSON with the options of the route and of the request's system parameters.
//!
//! Straight from the wire to the output, guided by plans, with nothing built between. Map keys are sorted, so
//! that answers are stable. A message that has no ProtoJSON form gives INTERNAL, never broken JSON.

mod fields;
mod gather;
mod list;
mod map;
mod message;
mod special;
mod value;

use bytes::Bytes;

use crate::name;
use crate::plan::{FieldId, FieldPlan, MessageId, MessagePlan, Plans, Shape};
use crate::problem::Problem;
use crate::query::{self, System};
use crate::wellknown::WellKnown;

pub use fields::Fields;
pub(crate) use fields::printed_below;
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
    /// Print fields by number instead of in the order of the service's answer.
    pub by_number: bool,
    /// What `$alt` asks for, if it is given.
    pub alt: Option<Alt>,
    /// What `$fields` leaves in the answer.
    pub fields: Option<Fields>,
}

/// Reads the system parameters of a query.
pub(crate) fn options(
    query: Option<&str>,
    plans: &Plans,
    input: &MessagePlan,
    output: &MessagePlan,
    shown: Option<FieldId>,
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
                let message = self::shown(plans, output, shown);
                options.fields = Some(Fields::parse(&value, plans, message).map_err(|text| refused(&name, text))?);
            }
            Some(System::ErrorVersion | System::Key) | None => {}
        }
    }
    Ok(options)
}

/// The message whose fields an answer has: the response, or the field of it that is the whole body.
pub(crate) fn shown<'p>(plans: &'p Plans, output: &'p MessagePlan, field: Option<FieldId>) -> Option<&'p MessagePlan> {
    match field {
        None => Some(output),
        Some(field) => plans.child(plans.field(field)),
    }
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
    plans: &Plans,
    message: MessageId,
    shown: Option<FieldId>,
    wire: &[u8],
    options: &ResponseOptions,
) -> Result<Bytes, Problem> {
    let mut printer = Printer::new(plans, options, 2 * wire.len() + 64);
    let plan = plans.message(message);
    let fields = options.fields.as_ref();
    let printed = match shown {
        None => printer.run(|printer| printer.message(plan, wire, fields)),
        Some(field) => printer.run(|printer| printer.one(plan, plans.field(field), wire, fields)),
    };
    match printed {
        Ok(()) => Ok(printer.out.finish().into()),
        Err(why) => Err(unrenderable(&format!("The service answered with a message that has no JSON form: {why}"))),
    }
}

/// The last value of a scalar field as plain text, if it is set: ids of events.
pub(crate) fn plain_text(plans: &Plans, field: FieldId, wire: &[u8]) -> Result<Option<String>, Problem> {
    let options = ResponseOptions::default();
    let printer = Printer::new(plans, &options, 0);
    let plan = plans.message(field.message);
    let number = plans.field(field).number;
    printer.last_text(plan, number, wire).map_err(|_| unrenderable("The service answered with a malformed message"))
}

/// 500 INTERNAL for what a backend sent.
pub(crate) fn unrenderable(message: &str) -> Problem {
    Problem::internal(
        "UNRENDERABLE_RESPONSE",
        format!("{message}. This is a fault of the service; report it with the request id."),
    )
}

impl<'p> Printer<'p> {
    /// One field of a message as the whole answer.
    fn one(
        &mut self,
        plan: &'p MessagePlan,
        field: &'p FieldPlan,
        wire: &[u8],
        fields: Option<&Fields>,
    ) -> Result<(), message::Stop> {
        let Some(index) = plan.index_of(field.number) else {
            return Ok(());
        };
        match self.plans.child(field).filter(|_| field.shape == Shape::Singular) {
            Some(child) if !self.sets(plan, index, wire)? => {
                // An absent message is `{}`, or `null` where it has a special form.
                let plain = matches!(child.special, None | Some(WellKnown::Empty));
                self.out.extend_from_slice(if plain { b"{}" } else { b"null" });
                Ok(())
            }
            _ => self.gathered_value(plan, index, wire, fields),
        }
    }
}
