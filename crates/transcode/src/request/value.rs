//! Struct, Value and ListValue: any JSON, kept as it is.
//!
//! Integer literals that a double cannot hold exactly are refused instead of rounded: an id beyond 2^53
//! in free-form metadata would silently become another id.

use super::Reader;
use super::map::Keys;
use crate::json::{Fault, Kind, Scanner};
use crate::scalar::{self, Small};
use crate::wire::{Payload, varint_len};

/// A value whose length is known before it is written.
#[derive(Debug, Clone, Copy)]
enum Leaf<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
}

impl<'a> Reader<'a> {
    /// The content of a `google.protobuf.Struct`.
    pub(super) fn structure(&mut self) -> Result<(), Fault> {
        self.expect(Kind::Object, "Struct")?;
        self.scan.open()?;
        let (mut first, mut keys) = (true, self.keys());
        while self.scan.member(&mut first)? {
            self.structure_entry(&mut keys)?;
        }
        self.unique(&keys)
    }

    fn structure_entry(&mut self, keys: &mut Keys) -> Result<(), Fault> {
        let key = self.scan.name()?;
        let at = self.scan.at();
        self.may_open(2)?;
        let Some(leaf) = self.leaf()? else {
            let entry = self.out.open(1);
            self.structure_key(&key, at, keys);
            self.value_field(2)?;
            self.out.close_still(entry);
            return Ok(());
        };
        let (text, value) = (key.len() as u64, leaf.len());
        let length = 2 + varint_len(text) as u64 + text + varint_len(value) as u64 + value;
        self.out.raw(b"\x0a");
        self.out.varint(length);
        self.structure_key(&key, at, keys);
        self.out.raw(b"\x12");
        self.write(leaf);
        Ok(())
    }

    fn structure_key(&mut self, key: &str, at: usize, keys: &mut Keys) {
        self.out.raw(b"\x0a");
        let from = self.out.len();
        self.out.delimited(key.as_bytes());
        self.note(keys, from, at);
    }

    /// The content of a `google.protobuf.ListValue`.
    pub(super) fn list_value(&mut self) -> Result<(), Fault> {
        self.expect(Kind::Array, "ListValue")?;
        self.scan.open()?;
        let mut first = true;
        while self.scan.element(&mut first)? {
            self.may_open(1)?;
            match self.leaf()? {
                Some(leaf) => {
                    self.out.raw(b"\x0a");
                    self.write(leaf);
                }
                None => self.value_field(1)?,
            }
        }
        Ok(())
    }

    /// The content of a `google.protobuf.Value`.
    pub(super) fn value(&mut self) -> Result<(), Fault> {
        if let Some(leaf) = self.leaf()? {
            self.write_content(leaf);
            return Ok(());
        }
        match self.scan.peek()? {
            Kind::Array => {
                self.may_open(1)?;
                let open = self.out.open(6);
                self.list_value()?;
                self.out.close(open);
            }
            Kind::Object => {
                self.may_open(1)?;
                let open = self.out.open(5);
                self.structure()?;
                self.out.close(open);
            }
            _ => {
                let text = self.scan.string()?;
                self.out.bytes(3, text.as_bytes());
            }
        }
        Ok(())
    }

    fn value_field(&mut self, number: u32) -> Result<(), Fault> {
        let open = self.out.open(number);
        self.value()?;
        self.out.close(open);
        Ok(())
    }

    /// A value that is neither an object, an array nor a string with escapes.
    fn leaf(&mut self) -> Result<Option<Leaf<'a>>, Fault> {
        Ok(match self.scan.peek()? {
            Kind::Null => {
                self.scan.null()?;
                Some(Leaf::Null)
            }
            Kind::Bool => Some(Leaf::Bool(self.scan.bool()?)),
            Kind::Number => Some(Leaf::Number(number(&mut self.scan)?)),
            Kind::String => self.scan.plain_string().map(Leaf::Text),
            Kind::Object | Kind::Array => None,
        })
    }

    /// A leaf behind its length.
    fn write(&mut self, leaf: Leaf<'_>) {
        self.out.varint(leaf.len());
        self.write_content(leaf);
    }

    fn write_content(&mut self, leaf: Leaf<'_>) {
        match leaf {
            Leaf::Null => self.out.raw(&[0x08, 0]),
            Leaf::Bool(value) => self.out.raw(&[0x20, u8::from(value)]),
            Leaf::Number(value) => self.out.field(2, &Payload::Fixed64(value.to_bits())),
            Leaf::Text(text) => self.out.bytes(3, text.as_bytes()),
        }
    }
}

impl Leaf<'_> {
    /// The length of its Value.
    fn len(self) -> u64 {
        match self {
            Self::Null | Self::Bool(_) => 2,
            Self::Number(_) => 9,
            Self::Text(text) => {
                let length = text.len() as u64;
                1 + varint_len(length) as u64 + length
            }
        }
    }
}

fn number(scan: &mut Scanner<'_>) -> Result<f64, Fault> {
    let at = scan.at();
    let refused = |expected: String| Fault::new(at, "INVALID_VALUE", expected);
    if let Some(value) = scan.small_number().and_then(Small::double) {
        return Ok(value);
    }
    scan.seek(at);
    let literal = scan.number()?;
    let value = scalar::finite_float::<f64>(literal).map_err(refused)?;
    if scalar::exact_in_double(literal, value) {
        return Ok(value);
    }
    Err(refused("this integer cannot be kept exactly in free-form JSON; send it as a string".to_owned()))
}
