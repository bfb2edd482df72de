//! Struct, Value and ListValue: any JSON, kept as it is.
//!
//! Integer literals that a double cannot hold exactly are refused instead of rounded: an id beyond 2^53
//! in free-form metadata would silently become another id.

use std::collections::HashSet;

use super::{Reader, Step};
use crate::json::{Fault, Kind};
use crate::scalar;
use crate::wire::Payload;

impl Reader<'_> {
    /// The content of a `google.protobuf.Struct`.
    pub(super) fn structure(&mut self) -> Result<(), Fault> {
        self.expect(Kind::Object, "Struct")?;
        self.scan.open()?;
        let mut seen: HashSet<String> = HashSet::new();
        let mut first = true;
        while let Some(key) = self.scan.key(&mut first)? {
            self.trail.push(Step::Key(key.clone()));
            self.may_open()?;
            let entry = self.out.open(1);
            self.out.bytes(1, key.as_bytes());
            self.value_field(2)?;
            self.out.close(entry);
            if !seen.insert(key.into_owned()) {
                return Err(self.scan.fault("DUPLICATE_FIELD", "the key is given twice; keep one"));
            }
            self.trail.pop();
        }
        Ok(())
    }

    /// The content of a `google.protobuf.ListValue`.
    pub(super) fn list_value(&mut self) -> Result<(), Fault> {
        self.expect(Kind::Array, "ListValue")?;
        self.scan.open()?;
        let (mut first, mut index) = (true, 0);
        while self.scan.element(&mut first)? {
            self.trail.push(Step::Index(index));
            self.value_field(1)?;
            self.trail.pop();
            index += 1;
        }
        Ok(())
    }

    /// The content of a `google.protobuf.Value`.
    pub(super) fn value(&mut self) -> Result<(), Fault> {
        match self.scan.peek()? {
            Kind::Null => {
                self.scan.null()?;
                self.out.field(1, &Payload::Varint(0));
            }
            Kind::Bool => {
                let value = self.scan.bool()?;
                self.out.field(4, &Payload::Varint(u64::from(value)));
            }
            Kind::String => {
                let text = self.scan.string()?;
                self.out.bytes(3, text.as_bytes());
            }
            Kind::Number => self.number()?,
            Kind::Object => {
                self.may_open()?;
                let open = self.out.open(5);
                self.structure()?;
                self.out.close(open);
            }
            Kind::Array => {
                self.may_open()?;
                let open = self.out.open(6);
                self.list_value()?;
                self.out.close(open);
            }
        }
        Ok(())
    }

    fn value_field(&mut self, number: u32) -> Result<(), Fault> {
        self.may_open()?;
        let open = self.out.open(number);
        self.value()?;
        self.out.close(open);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        let before = self.scan.clone();
        let literal = self.scan.number()?;
        let value = scalar::parse_float::<f64>(literal).map_err(|expected| before.fault("INVALID_VALUE", expected))?;
        if !scalar::exact_in_double(literal, value) {
            return Err(before
                .fault("INVALID_VALUE", "this integer cannot be kept exactly in free-form JSON; send it as a string"));
        }
        self.out.field(2, &Payload::Fixed64(value.to_bits()));
        Ok(())
    }
}
