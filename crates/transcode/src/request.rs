//! JSON to wire bytes, in one pass over the text and guided by descriptors; strict as section 4.5 of the
//! gateway's design says.
//!
//! Nothing is built between text and wire. The same pass finds conflicts with what path and query have
//! bound and records the keys from which a PATCH mask is made.

mod any;
mod field;
mod value;

use std::borrow::Cow;
use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

use crate::bound::Bound;
use crate::json::{Fault, Kind, Scanner};
use crate::mask::Recorder;
use crate::name;
use crate::problem::{FieldViolation, Problem};
use crate::scalar;
use crate::wellknown::{self, WellKnown};
use crate::wire::{Payload, Writer};

/// A field number no field has: stands in the path for what no other source can bind.
const UNBOUND: u32 = 0;

/// One step of the JSON path, for messages.
enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

/// The state of one pass.
pub(crate) struct Reader<'a> {
    scan: Scanner<'a>,
    pub(crate) out: Writer,
    pool: &'a DescriptorPool,
    bound: &'a Bound,
    ignore_unknown: bool,
    pub(crate) mask: Option<Recorder>,
    /// Field numbers from the request message down to the open message.
    path: Vec<u32>,
    trail: Vec<Step<'a>>,
    /// Where the `@type` values of all later objects are, by the byte of their brace; see `any`.
    types: Option<HashMap<usize, usize>>,
}

/// What is read and by which rules.
pub(crate) struct Source<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) pool: &'a DescriptorPool,
    pub(crate) bound: &'a Bound,
    pub(crate) ignore_unknown: bool,
}

/// Reads the whole body as `message`, after what `out` already holds.
pub(crate) fn whole(source: &Source<'_>, message: &MessageDescriptor, out: Writer) -> Result<Writer, Problem> {
    let mut reader = Reader::new(source, out, None)?;
    let done = reader.root(|reader| reader.message(message));
    reader.finish(source.body, done).map(|(out, _)| out)
}

/// Reads the whole body as the value of one top-level field; returns the recorded mask too.
pub(crate) fn one_field(
    source: &Source<'_>,
    field: &FieldDescriptor,
    out: Writer,
    mask: Option<Recorder>,
) -> Result<(Writer, Option<Recorder>), Problem> {
    let mut reader = Reader::new(source, out, mask)?;
    let done = reader.root(|reader| {
        if reader.scan.peek()? == Kind::Null && !wellknown::takes_null(&field.kind()) {
            return Err(reader.scan.fault("INVALID_VALUE", "a body cannot be null; send none, or a value"));
        }
        reader.member(field, &mut Vec::new())
    });
    reader.finish(source.body, done)
}

/// A Struct, Value or ListValue from JSON text in a query: the bytes of its fields.
pub(crate) fn message_text(message: &MessageDescriptor, text: &str, pool: &DescriptorPool) -> Result<Vec<u8>, String> {
    let bound = Bound::default();
    let source = Source { body: text.as_bytes(), pool, bound: &bound, ignore_unknown: false };
    whole(&source, message, Writer::default())
        .map(Writer::finish)
        .map_err(|problem| format!("expected JSON text: {}", problem.message))
}

impl<'a> Reader<'a> {
    fn new(source: &Source<'a>, out: Writer, mask: Option<Recorder>) -> Result<Self, Problem> {
        let scan = Scanner::new(source.body).map_err(|fault| problem(source.body, &[], fault))?;
        Ok(Self {
            scan,
            out,
            pool: source.pool,
            bound: source.bound,
            ignore_unknown: source.ignore_unknown,
            mask,
            path: Vec::new(),
            trail: Vec::new(),
            types: None,
        })
    }

    fn root(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        read(self)?;
        self.scan.end()
    }

    fn finish(self, body: &[u8], done: Result<(), Fault>) -> Result<(Writer, Option<Recorder>), Problem> {
        match done {
            Ok(()) => Ok((self.out, self.mask)),
            Err(fault) => Err(problem(body, &self.trail, fault)),
        }
    }

    /// The content of a message whose length is already open, in its special form or as an object.
    fn message(&mut self, message: &MessageDescriptor) -> Result<(), Fault> {
        match wellknown::of(message) {
            None | Some(WellKnown::Empty) => self.object(message, false).map(drop),
            Some(WellKnown::Any) => self.any(),
            Some(WellKnown::Struct) => self.structure(),
            Some(WellKnown::Value) => self.value(),
            Some(WellKnown::ListValue) => self.list_value(),
            Some(WellKnown::Wrapper) => self.wrapper(message),
            Some(text) => self.special(text),
        }
    }

    /// An object of fields; `typed` passes over the `@type` of an Any. Returns how many keys it had.
    fn object(&mut self, message: &MessageDescriptor, typed: bool) -> Result<usize, Fault> {
        self.expect(Kind::Object, message.name())?;
        self.scan.open()?;
        let (mut first, mut keys) = (true, 0);
        let mut seen: Vec<u32> = Vec::new();
        let mut members: Vec<(String, u32)> = Vec::new();
        while let Some(key) = self.scan.key(&mut first)? {
            if typed && key == "@type" {
                self.scan.skip()?;
                continue;
            }
            keys += 1;
            self.trail.push(Step::Key(key.clone()));
            match name::field(message, &key) {
                Some(field) => {
                    if seen.contains(&field.number()) {
                        return Err(self.scan.fault("DUPLICATE_FIELD", "the field is given twice; keep one"));
                    }
                    seen.push(field.number());
                    self.member(&field, &mut members)?;
                }
                None if self.ignore_unknown => self.scan.skip()?,
                None => {
                    let advice = name::advice(message, &key);
                    let text = format!("{} has no such field{advice}", message.name());
                    return Err(self.scan.fault("UNKNOWN_FIELD", text));
                }
            }
            self.trail.pop();
        }
        Ok(keys)
    }

    /// One field of an object: null, then the oneof rule, then the value.
    fn member(&mut self, field: &FieldDescriptor, members: &mut Vec<(String, u32)>) -> Result<(), Fault> {
        let absent = self.scan.peek()? == Kind::Null
            && (field.is_list() || field.is_map() || !wellknown::takes_null(&field.kind()));
        if absent {
            self.record(field);
            return self.scan.null();
        }
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            let taken = members.iter().any(|(name, _)| name == oneof.name());
            let bound = self.bound.member(&self.path, oneof.name());
            if taken || bound.is_some_and(|(number, _)| number != field.number()) {
                let text = format!("another member of `{}` is set already; keep one", oneof.name());
                return Err(self.scan.fault("CONFLICTING_VALUE", text));
            }
            members.push((oneof.name().to_owned(), field.number()));
        }
        self.field(field)
    }

    fn wrapper(&mut self, message: &MessageDescriptor) -> Result<(), Fault> {
        let inner = message.get_field(1).expect("every wrapper of google.protobuf has field 1");
        match self.scalar(&inner.kind())? {
            Some(payload) => self.put(&inner, &payload),
            None => Ok(()),
        }
    }

    /// A Timestamp, Duration or FieldMask.
    fn special(&mut self, well_known: WellKnown) -> Result<(), Fault> {
        self.expect(Kind::String, &format!("{well_known:?}"))?;
        let before = self.scan.clone();
        let text = self.scan.string()?;
        let bytes = scalar::special(well_known, &text).map_err(|expected| before.fault("INVALID_VALUE", expected))?;
        if let Some((Payload::Bytes(known), spelling)) = self.bound.value(&self.path)
            && *known != bytes
        {
            return Err(differs(&before, spelling));
        }
        self.out.raw(&bytes);
        Ok(())
    }

    /// Writes a leaf of the open message, unless another source bound it differently.
    fn put(&mut self, field: &FieldDescriptor, payload: &Payload) -> Result<(), Fault> {
        if !self.bound.is_empty() {
            self.path.push(field.number());
            let known = self.bound.value(&self.path);
            if let Some((known, spelling)) = known
                && known != payload
            {
                return Err(differs(&self.scan, spelling));
            }
            self.path.pop();
        }
        // A default without presence is what an absent field means.
        if field.supports_presence() || !payload.is_default() {
            self.out.field(field.number(), payload);
        }
        Ok(())
    }

    fn expect(&mut self, kind: Kind, whole: &str) -> Result<(), Fault> {
        let found = self.scan.peek()?;
        if found == kind {
            return Ok(());
        }
        let text = format!("expected {} for {whole}, found {}", kind.name(), found.name());
        Err(self.scan.fault("INVALID_VALUE", text))
    }

    fn may_open(&self) -> Result<(), Fault> {
        if self.out.may_open() {
            return Ok(());
        }
        let limit = crate::wire::MAX_DEPTH;
        let text = format!("this nests more than {limit} messages; nest less");
        Err(self.scan.fault("TOO_DEEP", text))
    }
}

fn differs(scan: &Scanner<'_>, spelling: &str) -> Fault {
    let text = format!("it differs from `{spelling}` in the path; leave it out or send the same value");
    scan.fault("CONFLICTING_VALUE", text)
}

/// A fault with line, column and JSON path, as the caller sees it.
fn problem(body: &[u8], trail: &[Step<'_>], fault: Fault) -> Problem {
    let (line, column) = Scanner::position(body, fault.at);
    let mut field = String::new();
    for step in trail {
        match step {
            Step::Index(index) => field.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(&name::shown(key));
            }
        }
    }
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
