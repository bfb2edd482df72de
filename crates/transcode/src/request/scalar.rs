//! One scalar: from the text to its wire value, and from there to the output.

use std::borrow::Cow;

use super::Reader;
use crate::ink::Ink;
use crate::json::{Fault, Kind as Found};
use crate::plan::{Kind, Tag};
use crate::scalar::{self as text, Small};
use crate::wire::Payload;

/// A scalar that has been read; strings are still in the text.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Number(Number),
    Text(&'a str),
    /// A string with escapes, at which the scanner still stands.
    Escaped,
    Base64(Cow<'a, str>, usize),
}

/// What is no text, as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
}

impl Number {
    /// Whether an absent field means the same; -0.0 does not.
    #[inline]
    pub(super) fn is_default(self) -> bool {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => value == 0,
            Self::Fixed32(value) => value == 0,
        }
    }
}

impl Scalar<'_> {
    /// Whether an absent field means the same.
    pub(super) fn is_default(&self) -> bool {
        match self {
            Self::Number(number) => number.is_default(),
            Self::Text(text) => text.is_empty(),
            Self::Base64(text, _) => text.is_empty(),
            Self::Escaped => false,
        }
    }
}

impl<'a> Reader<'a> {
    /// A scalar; `None` where an unknown enum name is ignored.
    pub(super) fn scalar(&mut self, kind: Kind) -> Result<Option<Scalar<'a>>, Fault> {
        let found = self.scan.peek()?;
        let scalar = match (kind, found) {
            (Kind::String, Found::String) => match self.scan.plain_string() {
                Some(text) => Scalar::Text(text),
                None => Scalar::Escaped,
            },
            (Kind::Bool, Found::Bool) => Scalar::Number(Number::Varint(u64::from(self.scan.bool()?))),
            (Kind::Bytes, Found::String) => {
                let at = self.scan.at();
                Scalar::Base64(self.scan.string()?, at)
            }
            (Kind::Enum(_), _) => return self.enumeration(kind, found),
            (Kind::String | Kind::Bytes | Kind::Bool | Kind::Message(_), _) => return Err(self.unwanted(kind, found)),
            (_, Found::Number) => match self.usual(kind) {
                Some(number) => Scalar::Number(number),
                None => Scalar::Number(self.unusual(kind)?),
            },
            (_, Found::String) => {
                let at = self.scan.at();
                let text = self.scan.string()?;
                Scalar::Number(self.parsed(kind, &text, at)?)
            }
            _ => return Err(self.unwanted(kind, found)),
        };
        Ok(Some(scalar))
    }

    /// A number of few digits, with or without quotes, a boolean or the name of an enum, if it stands at the very next byte; `None`
    /// passes nothing.
    #[inline]
    pub(super) fn usual(&mut self, kind: Kind) -> Option<Number> {
        let before = self.scan.at();
        let usual = match kind {
            Kind::String | Kind::Bytes | Kind::Message(_) => None,
            Kind::Bool => self.scan.small_bool().map(|value| Number::Varint(u64::from(value))),
            Kind::Enum(id) => self.scan.next_plain_string().and_then(|name| {
                self.plans.enumeration(id).number(name).map(|number| Number::Varint(i64::from(number) as u64))
            }),
            _ => {
                let small = self.scan.small_number().or_else(|| self.scan.quoted_small_number());
                small.and_then(|small| number(kind, small))
            }
        };
        if usual.is_none() {
            self.scan.seek(before);
        }
        usual
    }

    /// Any number without quotes.
    fn unusual(&mut self, kind: Kind) -> Result<Number, Fault> {
        let at = self.scan.at();
        let literal = self.scan.number()?;
        let refused = |expected| Fault::new(at, "INVALID_VALUE", expected);
        Ok(match kind {
            Kind::Double => Number::Fixed64(text::finite_float::<f64>(literal).map_err(refused)?.to_bits()),
            Kind::Float => Number::Fixed32(text::finite_float::<f32>(literal).map_err(refused)?.to_bits()),
            _ => return self.parsed(kind, literal, at),
        })
    }

    fn parsed(&self, kind: Kind, literal: &str, at: usize) -> Result<Number, Fault> {
        let payload = text::parse(self.plans, kind, literal);
        match payload.map_err(|expected| Fault::new(at, "INVALID_VALUE", expected))? {
            Payload::Varint(value) => Ok(Number::Varint(value)),
            Payload::Fixed32(value) => Ok(Number::Fixed32(value)),
            Payload::Fixed64(value) => Ok(Number::Fixed64(value)),
            Payload::Bytes(_) => Err(Fault::new(at, "INVALID_VALUE", "expected a number")),
        }
    }

    fn enumeration(&mut self, kind: Kind, found: Found) -> Result<Option<Scalar<'a>>, Fault> {
        let Kind::Enum(id) = kind else {
            return Err(self.unwanted(kind, found));
        };
        let plan = self.plans.enumeration(id);
        let at = self.scan.at();
        let refused = |expected| Fault::new(at, "INVALID_VALUE", expected);
        let number = match found {
            Found::Null if plan.null => {
                self.scan.null()?;
                0
            }
            Found::Number => text::enum_number(plan, self.scan.number()?).map_err(refused)?,
            Found::String => {
                let name = self.scan.string()?;
                match plan.number(&name) {
                    Some(number) => number,
                    None if self.ignore_unknown => return Ok(None),
                    None => return Err(refused(text::unknown_enum(plan, &name))),
                }
            }
            _ => return Err(self.unwanted(kind, found)),
        };
        Ok(Some(Scalar::Number(Number::Varint(i64::from(number) as u64))))
    }

    fn unwanted(&self, kind: Kind, found: Found) -> Fault {
        let wanted = match kind {
            Kind::Bool => "`true` or `false`",
            Kind::Bytes => "a string of base64",
            Kind::Enum(_) => "the name of an enum value or its number",
            Kind::String => "a string",
            _ => "a number",
        };
        self.scan.fault("INVALID_VALUE", format!("expected {wanted}, found {}", found.name()))
    }

    /// Writes a scalar behind its tag, or without one as an element of a packed list.
    pub(super) fn emit(&mut self, tag: Option<&Tag>, scalar: Scalar<'a>) -> Result<(), Fault> {
        match (tag, scalar) {
            (tag, Scalar::Number(number)) => self.number(tag, number),
            (Some(tag), Scalar::Text(text)) => self.out.text(tag, text.as_bytes()),
            (None, Scalar::Text(text)) => self.out.delimited(text.as_bytes()),
            (tag, Scalar::Escaped) => {
                tag.into_iter().for_each(|tag| self.out.tag(tag));
                let most = self.scan.left();
                let scan = &mut self.scan;
                let fill = |bytes: &mut Ink| scan.unescape(|part| bytes.extend_from_slice(part.as_bytes()));
                self.out.filled(most, fill)?;
            }
            (tag, Scalar::Base64(base64, at)) => {
                tag.into_iter().for_each(|tag| self.out.tag(tag));
                self.out
                    .filled(base64.len(), |bytes| text::decode_base64(&base64, bytes))
                    .map_err(|expected| Fault::new(at, "INVALID_VALUE", expected))?;
            }
        }
        Ok(())
    }

    /// As [`Reader::emit`].
    #[inline]
    pub(super) fn number(&mut self, tag: Option<&Tag>, number: Number) {
        match (tag, number) {
            (Some(tag), Number::Varint(value)) => return self.out.tagged(tag, value),
            (Some(tag), _) => self.out.tag(tag),
            (None, _) => {}
        }
        match number {
            Number::Varint(value) => self.out.varint(value),
            Number::Fixed32(value) => self.out.raw(&value.to_le_bytes()),
            Number::Fixed64(value) => self.out.raw(&value.to_le_bytes()),
        }
    }

    /// A scalar as a value of its own, to be compared.
    pub(super) fn payload(&mut self, scalar: Scalar<'a>) -> Result<Payload, Fault> {
        Ok(match scalar {
            Scalar::Number(Number::Varint(value)) => Payload::Varint(value),
            Scalar::Number(Number::Fixed32(value)) => Payload::Fixed32(value),
            Scalar::Number(Number::Fixed64(value)) => Payload::Fixed64(value),
            Scalar::Text(text) => Payload::Bytes(text.as_bytes().to_vec()),
            Scalar::Escaped => Payload::Bytes(self.scan.string()?.into_owned().into_bytes()),
            Scalar::Base64(base64, at) => {
                let bytes = text::bytes(&base64).map_err(|expected| Fault::new(at, "INVALID_VALUE", expected))?;
                Payload::Bytes(bytes)
            }
        })
    }
}

/// A number of few digits as its wire value; `None` if its text needs a closer look.
#[inline]
fn number(kind: Kind, small: Small) -> Option<Number> {
    if kind == Kind::Double {
        return small.double().map(|value| Number::Fixed64(value.to_bits()));
    }
    if small.fraction > 0 || small.digits > i64::MAX as u64 {
        return None;
    }
    let signed = if small.negative { -(small.digits as i64) } else { small.digits as i64 };
    let (narrow, unsigned) = (i32::try_from(signed).is_ok(), signed >= 0);
    Some(match kind {
        Kind::Int64 => Number::Varint(signed as u64),
        Kind::Sfixed64 => Number::Fixed64(signed as u64),
        Kind::Sint64 => Number::Varint(((signed << 1) ^ (signed >> 63)) as u64),
        Kind::Int32 if narrow => Number::Varint(signed as u64),
        Kind::Sint32 if narrow => Number::Varint(((signed << 1) ^ (signed >> 63)) as u64),
        Kind::Sfixed32 if narrow => Number::Fixed32(signed as u32),
        Kind::Uint64 if unsigned => Number::Varint(signed as u64),
        Kind::Fixed64 if unsigned => Number::Fixed64(signed as u64),
        Kind::Uint32 if u32::try_from(signed).is_ok() => Number::Varint(signed as u64),
        Kind::Fixed32 if u32::try_from(signed).is_ok() => Number::Fixed32(signed as u32),
        _ => return None,
    })
}
