//! Metadata on the wire: `google.protobuf.Struct`. What JSON cannot say exactly is refused, never rounded.
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Number, Value as Json};

use crate::{error::Error, model::Metadata};

/// Reads metadata.
pub(super) fn parse(metadata: Struct) -> Result<Metadata, Error> {
    Metadata::parse(parse_object(metadata)?)
}

/// Writes metadata.
pub(super) fn render(metadata: &Metadata) -> Struct {
    render_object(metadata.object())
}

fn parse_object(object: Struct) -> Result<Map<String, Json>, Error> {
    object.fields.into_iter().map(|(key, value)| Ok((key, parse_value(value)?))).collect()
}

fn parse_value(value: Value) -> Result<Json, Error> {
    let refused = |problem| Error::MetadataInvalid { problem, limit: None };
    Ok(match value.kind.ok_or_else(|| refused("holds a value of no kind"))? {
        Kind::NullValue(_) => Json::Null,
        Kind::BoolValue(flag) => Json::Bool(flag),
        Kind::StringValue(text) => Json::String(text),
        Kind::NumberValue(number) => {
            Json::Number(Number::from_f64(number).ok_or_else(|| refused("holds an infinite number or none at all"))?)
        }
        Kind::StructValue(object) => Json::Object(parse_object(object)?),
        Kind::ListValue(list) => Json::Array(list.values.into_iter().map(parse_value).collect::<Result<_, _>>()?),
    })
}

fn render_object(object: &Map<String, Json>) -> Struct {
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), render_value(value))).collect() }
}

fn render_value(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::String(text) => Kind::StringValue(text.clone()),
        // Only numbers that came as a double are stored, so each of them is one.
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::Object(object) => Kind::StructValue(render_object(object)),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(render_value).collect() }),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: Option<Kind>) -> Struct {
        Struct { fields: [("a".to_owned(), Value { kind })].into() }
    }

    #[test]
    fn what_was_read_is_written_again() {
        let inner = object(Some(Kind::NumberValue(-0.1)));
        let list = ListValue {
            values: vec![Value { kind: Some(Kind::StructValue(inner)) }, Value { kind: Some(Kind::NullValue(0)) }],
        };
        let sent = object(Some(Kind::ListValue(list)));
        assert_eq!(render(&parse(sent.clone()).expect("valid")), sent);
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for kind in [None, Some(Kind::NumberValue(f64::NAN)), Some(Kind::NumberValue(f64::INFINITY))] {
            assert!(matches!(parse(object(kind)), Err(Error::MetadataInvalid { .. })));
        }
    }
}
