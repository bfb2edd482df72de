//! The special JSON forms of the well-known types.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::Printer;
use crate::json;
use crate::scalar::{camel, render_duration, render_timestamp};
use crate::wellknown::{self, WellKnown};

impl Printer<'_> {
    pub(super) fn special(&mut self, message: &DynamicMessage, special: WellKnown) -> Result<(), String> {
        match special {
            WellKnown::Any => self.any(message),
            WellKnown::Timestamp => {
                let (seconds, nanos) = seconds_and_nanos(message);
                let text = render_timestamp(seconds, nanos).ok_or("a Timestamp is out of range")?;
                json::string(&text, &mut self.out);
                Ok(())
            }
            WellKnown::Duration => {
                let (seconds, nanos) = seconds_and_nanos(message);
                let text = render_duration(seconds, nanos).ok_or("a Duration is out of range")?;
                json::string(&text, &mut self.out);
                Ok(())
            }
            WellKnown::FieldMask => self.field_mask(message),
            WellKnown::Wrapper | WellKnown::Struct | WellKnown::ListValue => {
                // Field 1 is the value, the map of fields, the list of values.
                let field = message.descriptor().get_field(1).ok_or("a special type without field 1")?;
                // The special form itself is no level of nesting; its content counts.
                self.depth -= 1;
                let printed = self.field(&field, &message.get_field(&field), None);
                self.depth += 1;
                printed
            }
            WellKnown::Value => self.json_value(message),
            WellKnown::Empty => Ok(()),
        }
    }

    fn field_mask(&mut self, message: &DynamicMessage) -> Result<(), String> {
        let paths = message.get_field_by_number(1).ok_or("a FieldMask without paths")?;
        let names: Option<Vec<String>> =
            paths.as_list().unwrap_or_default().iter().map(|path| path.as_str().and_then(camel)).collect();
        let names = names.ok_or("a FieldMask holds a path that has no JSON spelling")?;
        json::string(&names.join(","), &mut self.out);
        Ok(())
    }

    fn json_value(&mut self, message: &DynamicMessage) -> Result<(), String> {
        let (field, value) = message.fields().next().ok_or("a Value holds nothing")?;
        if value.as_f64().is_some_and(|number| !number.is_finite()) {
            return Err("a Value holds NaN or an infinity".to_owned());
        }
        self.depth -= 1;
        let printed = self.field(&field, value, None);
        self.depth += 1;
        printed
    }

    fn any(&mut self, message: &DynamicMessage) -> Result<(), String> {
        let url = message.get_field_by_number(1);
        let url = url.as_ref().and_then(|url| url.as_str()).unwrap_or_default();
        let bytes = message.get_field_by_number(2);
        let bytes = bytes.as_ref().and_then(|bytes| bytes.as_bytes()).cloned().unwrap_or_default();
        if url.is_empty() && bytes.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        let pool = message.descriptor().parent_pool().clone();
        let descriptor = url.rsplit_once('/').and_then(|(_, name)| pool.get_message_by_name(name));
        let mut count = 0;
        self.out.push(b'{');
        self.key("@type", &mut count);
        json::string(url, &mut self.out);
        match descriptor {
            Some(descriptor) => {
                let inner =
                    DynamicMessage::decode(descriptor.clone(), bytes).map_err(|_| "an Any holds malformed bytes")?;
                match wellknown::of(&descriptor) {
                    None => count = self.members(&inner, None, count)?,
                    Some(_) => {
                        self.key("value", &mut count);
                        self.message(&inner, None)?;
                    }
                }
            }
            None if self.keep_unknown => {
                self.key("value", &mut count);
                json::string(&BASE64_STANDARD.encode(&bytes), &mut self.out);
            }
            None => return Err("an Any holds a type that is not in the contract".to_owned()),
        }
        self.end(b'}', count);
        Ok(())
    }
}

fn seconds_and_nanos(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message.get_field_by_number(1).and_then(|value| value.as_i64());
    let nanos = message.get_field_by_number(2).and_then(|value| match value.as_ref() {
        Value::I32(nanos) => Some(*nanos),
        _ => None,
    });
    (seconds.unwrap_or_default(), nanos.unwrap_or_default())
}
