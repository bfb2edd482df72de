//! The value of one field: singular, list or map, each element by its kind.

use std::borrow::Cow;
use std::collections::HashSet;

use prost_reflect::{FieldDescriptor, Kind as FieldKind, MessageDescriptor};

use super::{Reader, Step, UNBOUND};
use crate::json::{Fault, Kind};
use crate::scalar;
use crate::wellknown;
use crate::wire::Payload;

impl Reader<'_> {
    /// The value of `field` in the open message; null has been dealt with.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Result<(), Fault> {
        if let Some(message) = wellknown::plain_message(field).filter(|_| self.mask.is_some()) {
            return self.recorded_message(field, &message);
        }
        self.record(field);
        let paused = self.mask.as_mut().map(crate::mask::Recorder::pause);
        let kind = field.kind();
        if let (true, FieldKind::Message(entry)) = (field.is_map(), &kind) {
            self.map(field, entry)?;
        } else if field.is_list() {
            self.list(field, &kind)?;
        } else {
            self.singular(field, &kind)?;
        }
        if let (Some(mask), Some(state)) = (self.mask.as_mut(), paused) {
            mask.resume(state);
        }
        Ok(())
    }

    /// Notes the key of a field whose value is taken whole, unless the path binds it.
    pub(super) fn record(&mut self, field: &FieldDescriptor) {
        let Some(mask) = self.mask.as_mut() else {
            return;
        };
        self.path.push(field.number());
        if !self.bound.holds(&self.path) {
            mask.record(field);
        }
        self.path.pop();
    }

    /// A message into which the mask descends: its keys are recorded, or itself if it has none.
    fn recorded_message(&mut self, field: &FieldDescriptor, message: &MessageDescriptor) -> Result<(), Fault> {
        self.may_open()?;
        let before = self.mask.as_mut().map(|mask| mask.enter(field));
        self.path.push(field.number());
        let open = self.out.open(field.number());
        let keys = self.object(message, false)?;
        self.out.close(open);
        self.path.pop();
        if let (Some(mask), Some(before)) = (self.mask.as_mut(), before) {
            mask.leave(before);
        }
        if keys == 0 {
            self.record(field);
        }
        Ok(())
    }

    fn singular(&mut self, field: &FieldDescriptor, kind: &FieldKind) -> Result<(), Fault> {
        if let FieldKind::Message(message) = kind {
            return self.nested(field.number(), message);
        }
        match self.scalar(kind)? {
            Some(payload) => self.put(field, &payload),
            None => Ok(()),
        }
    }

    /// A message as a field of the open one.
    pub(super) fn nested(&mut self, number: u32, message: &MessageDescriptor) -> Result<(), Fault> {
        self.may_open()?;
        self.path.push(number);
        let open = self.out.open(number);
        self.message(message)?;
        self.out.close(open);
        self.path.pop();
        Ok(())
    }

    fn list(&mut self, field: &FieldDescriptor, kind: &FieldKind) -> Result<(), Fault> {
        self.expect(Kind::Array, &format!("the list `{}`", field.json_name()))?;
        self.scan.open()?;
        self.may_open()?;
        let mark = self.out.mark();
        let packed = field.is_packed().then(|| self.out.open(field.number()));
        let (mut first, mut index, mut written) = (true, 0, 0);
        self.path.push(UNBOUND);
        while self.scan.element(&mut first)? {
            self.trail.push(Step::Index(index));
            self.refuse_null(kind, "an element of a list")?;
            written += usize::from(self.element(field.number(), kind, packed.is_some())?);
            self.trail.pop();
            index += 1;
        }
        self.path.pop();
        match packed {
            Some(_) if written == 0 => self.out.rewind(mark),
            Some(open) => self.out.close(open),
            None => {}
        }
        Ok(())
    }

    /// One element; `false` where an unknown enum name is ignored.
    fn element(&mut self, number: u32, kind: &FieldKind, packed: bool) -> Result<bool, Fault> {
        if let FieldKind::Message(message) = kind {
            self.nested(number, message)?;
            return Ok(true);
        }
        let Some(payload) = self.scalar(kind)? else {
            return Ok(false);
        };
        if packed {
            self.out.payload(&payload);
        } else {
            self.out.field(number, &payload);
        }
        Ok(true)
    }

    fn map(&mut self, field: &FieldDescriptor, entry: &MessageDescriptor) -> Result<(), Fault> {
        self.expect(Kind::Object, &format!("the map `{}`", field.json_name()))?;
        self.scan.open()?;
        let key_kind = entry.map_entry_key_field().kind();
        let value_kind = entry.map_entry_value_field().kind();
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        let mut first = true;
        self.path.push(UNBOUND);
        while let Some(text) = self.scan.key(&mut first)? {
            self.trail.push(Step::Key(text.clone()));
            self.map_entry(field.number(), &text, (&key_kind, &value_kind), &mut seen)?;
            self.trail.pop();
        }
        self.path.pop();
        Ok(())
    }

    fn map_entry(
        &mut self,
        number: u32,
        text: &str,
        (key_kind, value_kind): (&FieldKind, &FieldKind),
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<(), Fault> {
        let key = scalar::parse(key_kind, text)
            .map_err(|expected| self.scan.fault("INVALID_VALUE", format!("the key of a map: {expected}")))?;
        let identity = match &key {
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::Varint(value) | Payload::Fixed64(value) => value.to_le_bytes().to_vec(),
            Payload::Fixed32(value) => value.to_le_bytes().to_vec(),
        };
        if !seen.insert(identity) {
            return Err(self.scan.fault("DUPLICATE_FIELD", "the key is given twice; keep one"));
        }
        self.refuse_null(value_kind, "a value of a map")?;
        self.may_open()?;
        let mark = self.out.mark();
        let open = self.out.open(number);
        self.out.field(1, &key);
        if self.element(2, value_kind, false)? {
            self.out.close(open);
        } else {
            self.out.rewind(mark);
        }
        Ok(())
    }

    fn refuse_null(&mut self, kind: &FieldKind, whole: &str) -> Result<(), Fault> {
        if self.scan.peek()? != Kind::Null || wellknown::takes_null(kind) {
            return Ok(());
        }
        Err(self.scan.fault("INVALID_VALUE", format!("{whole} cannot be null; leave it out")))
    }

    /// A scalar; `None` where an unknown enum name is ignored.
    pub(super) fn scalar(&mut self, kind: &FieldKind) -> Result<Option<Payload>, Fault> {
        let found = self.scan.peek()?;
        let before = self.scan.at();
        let fault = |message: String| Fault { at: before, reason: "INVALID_VALUE", message };
        let text: Cow<'_, str> = match (kind, found) {
            (FieldKind::Bool, Kind::Bool) => {
                return self.scan.bool().map(|value| Some(Payload::Varint(u64::from(value))));
            }
            (FieldKind::Enum(_), Kind::Null) if wellknown::takes_null(kind) => {
                return self.scan.null().map(|()| Some(Payload::Varint(0)));
            }
            (FieldKind::Enum(enumeration), Kind::Number) => {
                let literal = self.scan.number()?;
                return scalar::enum_number(enumeration, literal).map(Some).map_err(fault);
            }
            (FieldKind::Enum(enumeration), Kind::String) => {
                let name = self.scan.string()?;
                return match enumeration.get_value_by_name(&name) {
                    Some(value) => Ok(Some(Payload::Varint(i64::from(value.number()) as u64))),
                    None if self.ignore_unknown => Ok(None),
                    None => Err(fault(scalar::unknown_enum(enumeration, &name))),
                };
            }
            (FieldKind::String | FieldKind::Bytes, Kind::String) => self.scan.string()?,
            (FieldKind::String | FieldKind::Bytes | FieldKind::Bool | FieldKind::Enum(_), _) => {
                return Err(fault(format!("expected {}, found {}", wanted(kind), found.name())));
            }
            (_, Kind::Number) => self.scan.number()?.into(),
            (_, Kind::String) => self.scan.string()?,
            _ => return Err(fault(format!("expected a number, found {}", found.name()))),
        };
        scalar::parse(kind, &text).map(Some).map_err(fault)
    }
}

fn wanted(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "`true` or `false`",
        FieldKind::Bytes => "a string of base64",
        FieldKind::Enum(_) => "the name of an enum value or its number",
        _ => "a string",
    }
}
