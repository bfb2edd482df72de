//! PATCH masks: the update mask of a partial update, made from the keys of the body's own JSON.
//!
//! Nested messages count down to their leaves; maps, lists, wrappers and free-form JSON count whole; null
//! counts too, because it clears. What the path binds and what the service alone writes (OUTPUT_ONLY and
//! IDENTIFIER, AIP-203) is left out, so that a caller may send back what it read.

use prost::Message;
use prost_reflect::FieldDescriptor;

use crate::plan::FieldPlan;
use crate::wire::Writer;

/// Collects the paths during the pass over the body.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Names from the body's message down to the open one; the body field itself is not among them.
    names: Vec<String>,
    paths: Vec<String>,
    /// Inside a value that counts whole.
    paused: bool,
    /// How many messages are open, the body field's own included.
    depth: usize,
}

impl Recorder {
    /// Notes one path.
    pub(crate) fn record(&mut self, field: &FieldPlan) {
        // At depth 0 the field is the body itself, sent as `{}`.
        if self.paused || self.depth == 0 || field.service_writes {
            return;
        }
        let mut path = self.names.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&field.name);
        self.paths.push(path);
    }

    /// Goes into a message; returns what to give to [`Recorder::leave`].
    pub(crate) fn enter(&mut self, field: &FieldPlan) -> bool {
        let before = self.paused;
        if self.depth > 0 {
            self.names.push(field.name.to_string());
            self.paused |= field.service_writes;
        }
        self.depth += 1;
        before
    }

    /// Comes back out of it.
    pub(crate) fn leave(&mut self, before: bool) {
        self.paused = before;
        self.depth -= 1;
        if self.depth > 0 {
            self.names.pop();
        }
    }

    /// Stops recording inside a whole value; returns what to give to [`Recorder::resume`].
    pub(crate) fn pause(&mut self) -> bool {
        std::mem::replace(&mut self.paused, true)
    }

    /// Goes on as before [`Recorder::pause`].
    pub(crate) fn resume(&mut self, before: bool) {
        self.paused = before;
    }

    /// Writes the mask into `field`, unless there is nothing in it.
    pub(crate) fn write(&self, field: &FieldPlan, out: &mut Writer) {
        if self.paths.is_empty() {
            return;
        }
        let open = out.open_tags(&field.tags());
        self.paths.iter().for_each(|path| out.bytes(1, path.as_bytes()));
        out.close_tags(&field.tags(), open);
    }
}

/// `google.api.FieldBehavior` OUTPUT_ONLY and IDENTIFIER.
const SERVICE_WRITES: [i32; 2] = [3, 8];

/// Whether only the service sets this field.
pub(crate) fn is_written_by_service(field: &FieldDescriptor) -> bool {
    behavior(field).iter().any(|value| SERVICE_WRITES.contains(value))
}

/// `google.api.FieldBehavior` REQUIRED.
const REQUIRED: i32 = 2;

/// Whether callers must send this field.
pub(crate) fn is_required(field: &FieldDescriptor) -> bool {
    behavior(field).contains(&REQUIRED)
}

/// The options of a field, of which only the behaviors are read.
#[derive(Clone, PartialEq, Message)]
struct FieldOptions {
    /// `extend google.protobuf.FieldOptions { repeated FieldBehavior field_behavior = 1052; }`
    #[prost(int32, repeated, packed = "false", tag = "1052")]
    behavior: Vec<i32>,
}

/// The `google.api.field_behavior` values of a field, as numbers.
pub(crate) fn behavior(field: &FieldDescriptor) -> Vec<i32> {
    let options = field.options().encode_to_vec();
    FieldOptions::decode(options.as_slice()).map(|options| options.behavior).unwrap_or_default()
}
