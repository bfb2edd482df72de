//! The special JSON forms of the well-known types.

use super::Printer;
use super::message::{Stop, known};
use super::value::utf8;
use crate::json;
use crate::plan::MessagePlan;
use crate::scalar::{camel_into, render_duration, render_timestamp};
use crate::wellknown::WellKnown;
use crate::wire::{Cursor, Key};

impl<'p> Printer<'p> {
    pub(super) fn special(&mut self, special: WellKnown, plan: &'p MessagePlan, wire: &[u8]) -> Result<(), Stop> {
        match special {
            WellKnown::Any => self.any(wire),
            WellKnown::Timestamp => {
                let (seconds, nanos) = seconds_and_nanos(wire)?;
                render_timestamp(seconds, nanos, &mut self.out).ok_or(Stop::Unprintable(&"a Timestamp is out of range"))
            }
            WellKnown::Duration => {
                let (seconds, nanos) = seconds_and_nanos(wire)?;
                render_duration(seconds, nanos, &mut self.out).ok_or(Stop::Unprintable(&"a Duration is out of range"))
            }
            WellKnown::FieldMask => self.field_mask(wire),
            WellKnown::Wrapper | WellKnown::Struct | WellKnown::ListValue => {
                if !self.only(plan, wire)?
                    && let Some(field) = plan.fields.first()
                {
                    self.default(field)?;
                }
                Ok(())
            }
            WellKnown::Value if self.only(plan, wire)? => Ok(()),
            WellKnown::Value => Err(Stop::Unprintable(&"a Value holds nothing")),
            WellKnown::Empty => Ok(()),
        }
    }

    /// The value of the one field that is set, without its key; `false` if none is.
    fn only(&mut self, plan: &'p MessagePlan, wire: &[u8]) -> Result<bool, Stop> {
        let from = self.out.len();
        let found = match self.careful {
            true => self.gathered_only(plan, wire)?,
            false => self.ordered_only(plan, wire)?,
        };
        // A wrapper may hold these words, a Value may not: free-form JSON has no place for them.
        let is_word = |text: &[u8]| matches!(text, b"\"NaN\"" | b"\"Infinity\"" | b"\"-Infinity\"");
        if plan.special == Some(WellKnown::Value) && is_word(&self.out[from..]) && is_number(wire) {
            return Err(Stop::Unprintable(&"a Value holds NaN or an infinity"));
        }
        Ok(found)
    }

    fn ordered_only(&mut self, plan: &'p MessagePlan, wire: &[u8]) -> Result<bool, Stop> {
        let (mut cursor, mut found) = (Cursor::new(wire), false);
        while let Some(key) = cursor.key()? {
            match known(plan, key) {
                None => cursor.skip(key)?,
                Some(_) if found => return Err(Stop::Again),
                Some((_, field)) => {
                    self.value(field, key, &mut cursor, None)?;
                    found = true;
                }
            }
        }
        Ok(found)
    }

    fn field_mask(&mut self, wire: &[u8]) -> Result<(), Stop> {
        let (mut cursor, mut some) = (Cursor::new(wire), false);
        self.out.push(b'"');
        while let Some(key) = cursor.key()? {
            if (key.number(), key.wire_type()) != (1, Key::LENGTH) {
                cursor.skip(key)?;
                continue;
            }
            if std::mem::replace(&mut some, true) {
                self.out.push(b',');
            }
            let path = utf8(cursor.bytes()?)?;
            camel_into(path.as_bytes(), &mut self.out)
                .ok_or(Stop::Unprintable(&"a FieldMask holds a path that has no JSON spelling"))?;
        }
        self.out.push(b'"');
        Ok(())
    }

    /// An Any: `@type`, and then the fields of the message in it or its special form as `value`.
    pub(crate) fn any(&mut self, wire: &[u8]) -> Result<(), Stop> {
        let (mut url, mut bytes): (&[u8], &[u8]) = (b"", b"");
        let mut cursor = Cursor::new(wire);
        while let Some(key) = cursor.key()? {
            match (key.number(), key.wire_type()) {
                (1, Key::LENGTH) => url = cursor.bytes()?,
                (2, Key::LENGTH) => bytes = cursor.bytes()?,
                _ => cursor.skip(key)?,
            }
        }
        self.begin(b'{')?;
        if url.is_empty() && bytes.is_empty() {
            self.end(b'}', false);
            return Ok(());
        }
        let url = utf8(url)?;
        let mut some = false;
        self.word("@type", &mut some);
        json::string(url, &mut self.out);
        match self.plans.of_url(url) {
            Some(plan) if plan.special.is_none() => {
                self.enter()?;
                self.members(plan, bytes, None, true)?;
                self.messages -= 1;
            }
            Some(plan) => {
                self.word("value", &mut some);
                self.message(plan, bytes, None)?;
            }
            None if self.keep_unknown => {
                self.word("value", &mut some);
                json::base64(bytes, &mut self.out);
            }
            None => return Err(Stop::Unprintable(&"an Any holds a type that is not in the contract")),
        }
        self.end(b'}', true);
        Ok(())
    }

    /// A key that is no field's.
    fn word(&mut self, name: &str, some: &mut bool) {
        self.comma(some);
        json::string(name, &mut self.out);
        self.out.push(b':');
        if self.options.pretty {
            self.out.push(b' ');
        }
    }
}

/// Whether the last field of a Value is its number.
fn is_number(wire: &[u8]) -> bool {
    let mut cursor = Cursor::new(wire);
    let mut last = 0;
    while let Ok(Some(key)) = cursor.key() {
        if (1..=6).contains(&key.number()) {
            last = key.number();
        }
        if cursor.skip(key).is_err() {
            return false;
        }
    }
    last == 2
}

/// Of both the last wins, so the order and parts of the message do not matter.
fn seconds_and_nanos(wire: &[u8]) -> Result<(i64, i32), Stop> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut cursor = Cursor::new(wire);
    while let Some(key) = cursor.key()? {
        match (key.number(), key.wire_type()) {
            (1, Key::VARINT) => seconds = cursor.varint()? as i64,
            (2, Key::VARINT) => nanos = cursor.varint()? as i32,
            _ => cursor.skip(key)?,
        }
    }
    Ok((seconds, nanos))
}
