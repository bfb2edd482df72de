//! JSON to wire bytes, in one pass over the text and guided by plans; strict as section 4.5 of the
//! gateway's design says.
//!
//! Nothing is built between text and wire, and where things are in the text is only found out for an error.
//! The same pass finds conflicts with what path and query have bound and records the keys from which a
//! PATCH mask is made.

mod any;
mod field;
mod map;
mod scalar;
mod value;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::bound::Bound;
use crate::json::{self, Fault, Kind, MAX_DEPTH, Scanner};
use crate::mask::Recorder;
use crate::name;
use crate::plan::{Bits, FieldId, FieldPlan, MessageId, MessagePlan, Plans, Shape};
use crate::problem::{FieldViolation, Problem};
use crate::scalar as text;
use crate::wellknown::WellKnown;
use crate::wire::{Payload, Writer};

/// A field number no field has: stands in the path for what no other source can bind.
const UNBOUND: u32 = 0;

/// The state of one pass.
pub(crate) struct Reader<'a> {
    scan: Scanner<'a>,
    out: Writer,
    plans: &'a Plans,
    bound: &'a Bound,
    ignore_unknown: bool,
    mask: Option<Recorder>,
    /// Whether the path is kept: somebody has bound a leaf or wants a mask.
    tracks: bool,
    /// Field numbers from the request message down to the open message.
    path: Vec<u32>,
    /// The keys of all open maps.
    keys: Vec<map::Key>,
    /// Where the `@type` values of all later objects are, by the byte of their brace; see `any`.
    types: Option<HashMap<usize, usize>>,
}

/// What is read and by which rules.
pub(crate) struct Source<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) plans: &'a Plans,
    pub(crate) bound: &'a Bound,
    pub(crate) ignore_unknown: bool,
    pub(crate) depth_max: usize,
}

/// Reads the whole body as `message`, after what `out` already holds.
pub(crate) fn whole(source: &Source<'_>, message: MessageId, out: Writer) -> Result<Writer, Problem> {
    let mut reader = Reader::new(source, out, None)?;
    let plan = source.plans.message(message);
    let done = reader.message(plan).and_then(|()| reader.scan.end());
    reader.finish(source.body, done).map(|(out, _)| out)
}

/// Reads the whole body as the value of one top-level field; returns the recorded mask too.
pub(crate) fn one_field(
    source: &Source<'_>,
    field: FieldId,
    out: Writer,
    mask: Option<Recorder>,
) -> Result<(Writer, Option<Recorder>), Problem> {
    let mut reader = Reader::new(source, out, mask)?;
    let done = reader.only(source.plans.message(field.message), source.plans.field(field));
    reader.finish(source.body, done)
}

/// A Struct, Value or ListValue from JSON text in a query: the bytes of its fields.
pub(crate) fn message_text(message: MessageId, text: &str, plans: &Plans) -> Result<Vec<u8>, String> {
    let bound = Bound::default();
    let source = Source { body: text.as_bytes(), plans, bound: &bound, ignore_unknown: false, depth_max: MAX_DEPTH };
    whole(&source, message, Writer::default())
        .map(Writer::finish)
        .map_err(|problem| format!("expected JSON text: {}", problem.message))
}

impl<'a> Reader<'a> {
    fn new(source: &Source<'a>, out: Writer, mask: Option<Recorder>) -> Result<Self, Problem> {
        let scan = Scanner::new(source.body, source.depth_max).map_err(|fault| problem(source.body, fault))?;
        Ok(Self {
            scan,
            out,
            plans: source.plans,
            bound: source.bound,
            ignore_unknown: source.ignore_unknown,
            tracks: mask.is_some() || !source.bound.is_empty(),
            mask,
            path: Vec::new(),
            keys: Vec::new(),
            types: None,
        })
    }

    fn finish(self, body: &[u8], done: Result<(), Fault>) -> Result<(Writer, Option<Recorder>), Problem> {
        match done {
            Ok(()) => Ok((self.out, self.mask)),
            Err(fault) => Err(problem(body, fault)),
        }
    }

    /// The body is one field of `parent`.
    fn only(&mut self, parent: &'a MessagePlan, field: &'a FieldPlan) -> Result<(), Fault> {
        if self.scan.peek()? == Kind::Null && !field.takes_null {
            return Err(self.scan.fault("INVALID_VALUE", "a body cannot be null; send none, or a value"));
        }
        self.member(parent, field, &mut Bits::default())?;
        self.scan.end()
    }

    /// The content of a message whose length is already open, in its special form or as an object.
    fn message(&mut self, plan: &'a MessagePlan) -> Result<(), Fault> {
        match plan.special {
            None | Some(WellKnown::Empty) => self.object(plan, false).map(drop),
            Some(WellKnown::Any) => self.any(),
            Some(WellKnown::Struct) => self.structure(),
            Some(WellKnown::Value) => self.value(),
            Some(WellKnown::ListValue) => self.list_value(),
            Some(WellKnown::Wrapper) => match plan.fields.first() {
                Some(inner) => self.singular(inner),
                None => Ok(()),
            },
            Some(special) => self.special(special, &plan.name),
        }
    }

    /// An object of fields; `typed` passes over the `@type` of an Any. Returns how many keys it had.
    fn object(&mut self, plan: &'a MessagePlan, typed: bool) -> Result<usize, Fault> {
        self.expect(Kind::Object, &plan.name)?;
        self.scan.open()?;
        let (mut first, mut keys, mut guess) = (true, 0, 0);
        let (mut seen, mut members, mut has_type) = (Bits::default(), Bits::default(), false);
        loop {
            let index = if self.takes_next(plan, guess, first) {
                guess
            } else if !self.scan.member(&mut first)? {
                break;
            } else {
                match self.named(plan, guess, typed)? {
                    Named::Field(index) => index,
                    Named::Unknown => {
                        keys += 1;
                        continue;
                    }
                    Named::Type if std::mem::replace(&mut has_type, true) => return Err(self.second_type()),
                    Named::Type => continue,
                }
            };
            keys += 1;
            guess = index + 1;
            if !seen.insert(index) {
                return Err(self.scan.fault("DUPLICATE_FIELD", "the field is given twice; keep one"));
            }
            let Some(field) = plan.fields.get(index) else {
                continue;
            };
            // Most members are single scalars that nobody asks anything about: no step between text and output.
            if field.lone && !self.tracks && self.lone(field) {
                continue;
            }
            self.member(plan, field, &mut members)?;
        }
        Ok(keys)
    }

    /// Of two types a reader may take either.
    fn second_type(&self) -> Fault {
        self.scan.fault("DUPLICATE_FIELD", "`@type` is given twice; keep one")
    }

    /// Passes the comma and the key of the field that most writers send next, if they stand here just so.
    #[inline]
    fn takes_next(&mut self, plan: &MessagePlan, guess: usize, first: bool) -> bool {
        !first && plan.fields.get(guess).is_some_and(|field| self.scan.take_stamp(field.key(false)))
    }

    /// The key of a member; the value of an unknown one is passed too.
    fn named(&mut self, plan: &MessagePlan, guess: usize, typed: bool) -> Result<Named, Fault> {
        if plan.fields.get(guess).is_some_and(|field| self.scan.take(field.expected_key())) {
            return Ok(Named::Field(guess));
        }
        let key = self.scan.name()?;
        if typed && key == "@type" {
            self.scan.skip()?;
            return Ok(Named::Type);
        }
        if let Some(index) = plan.index_by_name(&key) {
            return Ok(Named::Field(index));
        }
        if self.ignore_unknown {
            self.scan.skip()?;
            return Ok(Named::Unknown);
        }
        let advice = name::nearest(&plan.json_names(), &key);
        let text = format!("{} has no such field{advice}", plan.name);
        Err(self.scan.fault("UNKNOWN_FIELD", text))
    }

    /// One field of an object: null, then the oneof rule, then the value.
    fn member(&mut self, parent: &MessagePlan, field: &'a FieldPlan, members: &mut Bits) -> Result<(), Fault> {
        let takes_null = field.takes_null && field.shape == Shape::Singular;
        if self.scan.peek()? == Kind::Null && !takes_null {
            self.record(field);
            return self.scan.null();
        }
        if let Some(oneof) = field.oneof {
            let taken = !members.insert(usize::from(oneof));
            let bound = if self.tracks { self.bound.member(&self.path, oneof) } else { None };
            if taken || bound.is_some_and(|number| number != field.number) {
                let name = parent.oneofs.get(usize::from(oneof)).map_or("", |name| name);
                let text = format!("another member of `{name}` is set already; keep one");
                return Err(self.scan.fault("CONFLICTING_VALUE", text));
            }
        }
        self.field(field)
    }

    /// A Timestamp, Duration or FieldMask.
    fn special(&mut self, special: WellKnown, name: &str) -> Result<(), Fault> {
        let mut before = self.scan.at();
        let string = match self.scan.next_plain_string() {
            Some(string) => Cow::Borrowed(string),
            None => {
                self.expect(Kind::String, name)?;
                before = self.scan.at();
                self.scan.string()?
            }
        };
        let refused = |expected| Fault::new(before, "INVALID_VALUE", expected);
        if self.tracks
            && let Some((Payload::Bytes(known), spelling)) = self.bound.value(&self.path)
            && *known != text::special(special, &string).map_err(refused)?
        {
            return Err(differs(before, spelling));
        }
        text::write_special(special, &string, &mut self.out).map_err(refused)
    }

    /// Goes down into `number`, for whoever asks for the path.
    fn enter(&mut self, number: u32) {
        if self.tracks {
            self.path.push(number);
        }
    }

    fn leave(&mut self) {
        if self.tracks {
            self.path.pop();
        }
    }

    fn expect(&mut self, kind: Kind, whole: &str) -> Result<(), Fault> {
        let found = self.scan.peek()?;
        if found == kind {
            return Ok(());
        }
        let text = format!("expected {} for {whole}, found {}", kind.name(), found.name());
        Err(self.scan.fault("INVALID_VALUE", text))
    }

    /// Whether `more` messages may be opened.
    fn may_open(&self, more: usize) -> Result<(), Fault> {
        if self.out.room() >= more {
            return Ok(());
        }
        let limit = crate::wire::MAX_DEPTH;
        let text = format!("this nests more than {limit} messages; nest less");
        Err(self.scan.fault("TOO_DEEP", text))
    }
}

/// What a key turned out to be.
enum Named {
    Field(usize),
    Unknown,
    Type,
}

fn differs(at: usize, spelling: &str) -> Fault {
    let text = format!("it differs from `{spelling}` in the path; leave it out or send the same value");
    Fault::new(at, "CONFLICTING_VALUE", text)
}

/// A fault with line, column and JSON path, as the caller sees it.
fn problem(body: &[u8], fault: Fault) -> Problem {
    let fault = fault.found();
    let (line, column) = Scanner::position(body, fault.at);
    let field = json::path(body, fault.at);
    let at = format!("line {line}, column {column}");
    let message = match field.is_empty() {
        true => format!("The body is refused at {at}: {}.", fault.message),
        false => format!("The body is refused at {at}, `{field}`: {}.", fault.message),
    };
    let mut problem =
        Problem::invalid(fault.reason, message).about("line", line.to_string()).about("column", column.to_string());
    if !field.is_empty() {
        problem.violations.push(FieldViolation { field, description: fault.message });
    }
    problem
}
