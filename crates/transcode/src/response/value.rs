//! Scalars as JSON, from the wire or as the default of a field that is not there.

use super::message::Stop;
use super::{Fields, Printer};
use crate::json;
use crate::plan::{EnumId, FieldPlan, Kind, Shape};
use crate::wire::{Cursor, unzigzag};

impl<'p> Printer<'p> {
    /// The scalar behind its tag; `false` for an enum number the field does not keep.
    pub(super) fn scalar(&mut self, kind: Kind, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
        match kind {
            Kind::String => self.short_text(cursor)?,
            // A varint may be wider than its type: the surplus is cut off, as every decoder does.
            Kind::Int32 => self.signed(i64::from(cursor.varint()? as i32)),
            Kind::Int64 => self.quoted_signed(cursor.varint()? as i64),
            Kind::Uint32 => self.unsigned(u64::from(cursor.varint()? as u32)),
            Kind::Uint64 => self.quoted_unsigned(cursor.varint()?),
            Kind::Sint32 => self.signed(unzigzag(u64::from(cursor.varint()? as u32))),
            Kind::Sint64 => self.quoted_signed(unzigzag(cursor.varint()?)),
            Kind::Fixed32 => self.unsigned(u64::from(cursor.fixed32()?)),
            Kind::Fixed64 => self.quoted_unsigned(cursor.fixed64()?),
            Kind::Sfixed32 => self.signed(i64::from(cursor.fixed32()? as i32)),
            Kind::Sfixed64 => self.quoted_signed(cursor.fixed64()? as i64),
            Kind::Float => json::float32(f32::from_bits(cursor.fixed32()?), &mut self.out),
            Kind::Double => json::float64(f64::from_bits(cursor.fixed64()?), &mut self.out),
            Kind::Bool => {
                let text: &[u8] = if cursor.varint()? == 0 { b"false" } else { b"true" };
                self.out.extend_from_slice(text);
            }
            Kind::Bytes => json::base64(cursor.bytes()?, &mut self.out),
            Kind::Enum(id) => return Ok(self.enumeration(id, cursor.varint()? as i32)),
            Kind::Message(_) => return Err(Stop::Unprintable(&"a message stands where a scalar belongs")),
        }
        Ok(true)
    }

    /// A string that is short and plain as a rule.
    #[inline]
    pub(super) fn short_text(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let mut ahead = *cursor;
        if let Some(near) = ahead.near()
            && json::plain_near(near, &mut self.out)
        {
            *cursor = ahead;
            return Ok(());
        }
        self.text(cursor.bytes()?)
    }

    /// A string of the wire.
    #[inline]
    pub(super) fn text(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if json::text(bytes, &mut self.out) { Ok(()) } else { Err(NOT_UTF8) }
    }

    #[inline]
    fn signed(&mut self, number: i64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    #[inline]
    fn unsigned(&mut self, number: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A double, and so JavaScript, cannot hold 64 bits: always strings.
    #[inline]
    fn quoted_signed(&mut self, number: i64) {
        self.out.push(b'"');
        self.signed(number);
        self.out.push(b'"');
    }

    #[inline]
    fn quoted_unsigned(&mut self, number: u64) {
        self.out.push(b'"');
        self.unsigned(number);
        self.out.push(b'"');
    }

    /// An enum by name; by number where that is asked for or the number has no name.
    fn enumeration(&mut self, id: EnumId, number: i32) -> bool {
        let plan = self.plans.enumeration(id);
        let name = plan.quoted(number);
        if name.is_none() && !plan.open {
            return false;
        }
        match name {
            _ if plan.null => self.out.extend_from_slice(b"null"),
            Some(name) if !self.options.enum_numbers => self.out.extend_from_slice(name),
            _ => self.signed(i64::from(number)),
        }
        true
    }

    /// The fields among `absent` that are printed all the same.
    pub(super) fn defaults(
        &mut self,
        absent: &'p [FieldPlan],
        fields: Option<&Fields>,
        some: &mut bool,
    ) -> Result<(), Stop> {
        for field in absent.iter().filter(|field| !field.presence) {
            if fields.is_none_or(|fields| fields.below(field.number).is_some()) {
                self.key(field, some);
                self.default(field)?;
            }
        }
        Ok(())
    }

    /// What a field means that is not there.
    pub(super) fn default(&mut self, field: &'p FieldPlan) -> Result<(), Stop> {
        match field.shape {
            Shape::List => self.out.extend_from_slice(b"[]"),
            Shape::Map => self.out.extend_from_slice(b"{}"),
            Shape::Singular => match field.kind {
                Kind::Message(id) => return self.message(self.plans.message(id), b"", None),
                Kind::Enum(id) => {
                    self.enumeration(id, self.plans.enumeration(id).default);
                }
                // Zero bytes are the zero of every kind: a number, an empty text, `false`.
                kind => return self.scalar(kind, &mut Cursor::new(&[0; 8])).map(drop),
            },
        }
        Ok(())
    }
}

const NOT_UTF8: Stop = Stop::Unprintable(&"a string in it is not UTF-8");

/// The text of a string that is not printed as it is.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)
}
