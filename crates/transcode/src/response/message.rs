//! Messages, fields, lists, maps and scalars as JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::{Fields, ResponseOptions};
use crate::json;
use crate::wellknown;

/// Messages that may be open at once; an Any restarts the decoder's own count.
const MAX_DEPTH: usize = 100;

/// Prints into `out`; errors are sentences about the message, without its values.
pub(crate) struct Printer<'o> {
    pub(crate) out: Vec<u8>,
    pub(super) options: &'o ResponseOptions,
    /// An Any of unknown type is printed with its bytes instead of refused: in error details.
    pub(super) keep_unknown: bool,
    pub(super) depth: usize,
}

impl<'o> Printer<'o> {
    pub(crate) fn new(options: &'o ResponseOptions, keep_unknown: bool) -> Self {
        Self { out: Vec::with_capacity(512), options, keep_unknown, depth: 0 }
    }

    /// A message in its special form or as an object.
    pub(crate) fn message(&mut self, message: &DynamicMessage, fields: Option<&Fields>) -> Result<(), String> {
        self.descend()?;
        match wellknown::of(&message.descriptor()) {
            None | Some(wellknown::WellKnown::Empty) => {
                self.out.push(b'{');
                let count = self.members(message, fields, 0)?;
                self.end(b'}', count);
            }
            Some(special) => self.special(message, special)?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// The fields of a message inside an open object that has `count` members already.
    pub(super) fn members(
        &mut self,
        message: &DynamicMessage,
        fields: Option<&Fields>,
        mut count: usize,
    ) -> Result<usize, String> {
        for field in self.printed(message) {
            let below = match fields {
                None => None,
                Some(fields) => match fields.below(field.number()) {
                    None => continue,
                    Some(below) => Some(below),
                },
            };
            let name = if self.options.proto_names { field.name() } else { field.json_name() };
            self.key(name, &mut count);
            self.field(&field, &message.get_field(&field), below)?;
        }
        Ok(count)
    }

    /// The fields to print, by number: those that are set and, on demand, those with a default.
    fn printed(&self, message: &DynamicMessage) -> Vec<FieldDescriptor> {
        if !self.options.defaults {
            return message.fields().map(|(field, _)| field).collect();
        }
        let descriptor: MessageDescriptor = message.descriptor();
        let mut fields: Vec<FieldDescriptor> =
            descriptor.fields().filter(|field| !field.supports_presence() || message.has_field(field)).collect();
        fields.sort_by_key(FieldDescriptor::number);
        fields
    }

    /// The value of a field.
    pub(crate) fn field(
        &mut self,
        field: &FieldDescriptor,
        value: &Value,
        fields: Option<&Fields>,
    ) -> Result<(), String> {
        self.value(&field.kind(), value, fields)
    }

    pub(super) fn value(&mut self, kind: &Kind, value: &Value, fields: Option<&Fields>) -> Result<(), String> {
        match value {
            Value::List(values) => {
                self.begin(b'[')?;
                let mut count = 0;
                for value in values {
                    self.comma(&mut count);
                    self.value(kind, value, fields)?;
                }
                self.end(b']', count);
                self.depth -= 1;
                Ok(())
            }
            Value::Map(entries) => self.map(kind, entries.iter().collect(), fields),
            Value::Message(message) => self.message(message, fields),
            scalar => {
                self.scalar(kind, scalar);
                Ok(())
            }
        }
    }

    fn map(&mut self, kind: &Kind, mut entries: Vec<(&MapKey, &Value)>, fields: Option<&Fields>) -> Result<(), String> {
        let Kind::Message(entry) = kind else {
            return Err("a map without an entry type".to_owned());
        };
        let kind = entry.map_entry_value_field().kind();
        // The decoder keeps no order: sorted keys make answers comparable.
        entries.sort_by_key(|(key, _)| *key);
        self.begin(b'{')?;
        let mut count = 0;
        for (key, value) in entries {
            self.key(&key_text(key), &mut count);
            self.value(&kind, value, fields)?;
        }
        self.end(b'}', count);
        self.depth -= 1;
        Ok(())
    }

    fn scalar(&mut self, kind: &Kind, value: &Value) {
        let out = &mut self.out;
        let mut buffer = itoa::Buffer::new();
        match value {
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::I32(number) => out.extend_from_slice(buffer.format(*number).as_bytes()),
            Value::U32(number) => out.extend_from_slice(buffer.format(*number).as_bytes()),
            // A double, and so JavaScript, cannot hold 64 bits: always strings.
            Value::I64(number) => json::string(buffer.format(*number), out),
            Value::U64(number) => json::string(buffer.format(*number), out),
            Value::F32(number) => json::float32(*number, out),
            Value::F64(number) => json::float64(*number, out),
            Value::String(text) => json::string(text, out),
            Value::Bytes(bytes) => json::string(&BASE64_STANDARD.encode(bytes), out),
            Value::EnumNumber(number) => self.enumeration(kind, *number),
            Value::Message(_) | Value::List(_) | Value::Map(_) => {}
        }
    }

    /// An enum by name; by number where that is asked for or the number has no name.
    fn enumeration(&mut self, kind: &Kind, number: i32) {
        if wellknown::takes_null(kind) {
            self.out.extend_from_slice(b"null");
            return;
        }
        let named = kind.as_enum().and_then(|enumeration| enumeration.get_value(number));
        match named.filter(|_| !self.options.enum_numbers) {
            Some(value) => json::string(value.name(), &mut self.out),
            None => self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    fn descend(&mut self) -> Result<(), String> {
        if self.depth == MAX_DEPTH {
            return Err(format!("it nests more than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Opens an array or an object.
    pub(super) fn begin(&mut self, bracket: u8) -> Result<(), String> {
        self.descend()?;
        self.out.push(bracket);
        Ok(())
    }

    /// Closes what has `count` items; the caller steps back in depth.
    pub(super) fn end(&mut self, bracket: u8, count: usize) {
        if count > 0 {
            self.line(self.depth - 1);
        }
        self.out.push(bracket);
    }

    /// The comma and line break before an item.
    pub(super) fn comma(&mut self, count: &mut usize) {
        if *count > 0 {
            self.out.push(b',');
        }
        *count += 1;
        self.line(self.depth);
    }

    /// A key with what stands before and behind it.
    pub(super) fn key(&mut self, name: &str, count: &mut usize) {
        self.comma(count);
        json::string(name, &mut self.out);
        self.out.push(b':');
        if self.options.pretty {
            self.out.push(b' ');
        }
    }

    fn line(&mut self, depth: usize) {
        if self.options.pretty {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b' ', depth * 2));
        }
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
        MapKey::String(text) => text.clone(),
    }
}
