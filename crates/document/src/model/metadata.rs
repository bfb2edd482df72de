//! Free metadata of a document: a JSON object within limits.
use serde_json::{Map, Value};

use super::limit;
use crate::error::Error;

/// A JSON object that keeps the limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata(Map<String, Value>);

impl Metadata {
    /// Checks size, depth, number of keys, and that no text holds a NUL, which PostgreSQL cannot store.
    pub(crate) fn parse(object: Map<String, Value>) -> Result<Self, Error> {
        let mut keys = 0;
        check_object(&object, 1, &mut keys)?;
        let written = serde_json::to_vec(&object).expect("a JSON object has text keys and can be written");
        if written.len() > limit::METADATA {
            return Err(Error::MetadataInvalid {
                problem: "is larger than 64 KiB as JSON",
                limit: Some(limit::METADATA),
            });
        }
        Ok(Self(object))
    }

    /// Takes back what was stored; it was checked then.
    pub(crate) fn restore(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// The object.
    pub(crate) fn object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A copy in which everything below each path (keys with dots between) is as in `source`; what is absent there goes away.
    pub(crate) fn with_paths(&self, paths: &[&str], source: &Self) -> Result<Self, Error> {
        let mut object = self.0.clone();
        for path in paths {
            let keys: Vec<_> = path.split('.').collect();
            match value_at(&source.0, &keys) {
                Some(value) => set(&mut object, &keys, value.clone()),
                None => remove(&mut object, &keys),
            }
        }
        Self::parse(object)
    }
}

fn check_object(object: &Map<String, Value>, depth: usize, keys: &mut usize) -> Result<(), Error> {
    *keys += object.len();
    if *keys > limit::METADATA_KEYS {
        return Err(Error::MetadataInvalid { problem: "has more than 1,000 keys", limit: Some(limit::METADATA_KEYS) });
    }
    check_depth(depth)?;
    for (key, value) in object {
        check_text(key)?;
        check_value(value, depth, keys)?;
    }
    Ok(())
}

fn check_value(value: &Value, depth: usize, keys: &mut usize) -> Result<(), Error> {
    match value {
        Value::String(text) => check_text(text),
        Value::Object(object) => check_object(object, depth + 1, keys),
        Value::Array(items) => {
            check_depth(depth + 1)?;
            items.iter().try_for_each(|item| check_value(item, depth + 1, keys))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn check_depth(depth: usize) -> Result<(), Error> {
    if depth <= limit::METADATA_DEPTH {
        return Ok(());
    }
    Err(Error::MetadataInvalid { problem: "is nested deeper than 20 levels", limit: Some(limit::METADATA_DEPTH) })
}

fn check_text(text: &str) -> Result<(), Error> {
    if !text.contains('\0') {
        return Ok(());
    }
    Err(Error::MetadataInvalid { problem: "holds a NUL character", limit: None })
}

fn value_at<'a>(object: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = object.get(*first)?;
    if rest.is_empty() { Some(value) } else { value_at(value.as_object()?, rest) }
}

/// What stands in the way of the path and is no object is replaced by one.
fn set(object: &mut Map<String, Value>, keys: &[&str], value: Value) {
    let Some((first, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        object.insert((*first).to_owned(), value);
        return;
    }
    let below = object.entry(*first).or_insert_with(|| Value::Object(Map::new()));
    if !below.is_object() {
        *below = Value::Object(Map::new());
    }
    if let Value::Object(below) = below {
        set(below, rest, value);
    }
}

fn remove(object: &mut Map<String, Value>, keys: &[&str]) {
    match keys {
        [] => {}
        [last] => {
            object.shift_remove(*last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Object(below)) = object.get_mut(*first) {
                remove(below, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn metadata(value: Value) -> Result<Metadata, Error> {
        let Value::Object(object) = value else { unreachable!("the tests give objects") };
        Metadata::parse(object)
    }

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn limits_are_kept_on_all_levels() {
        assert!(metadata(nested(20)).is_ok());
        assert!(metadata(nested(21)).is_err());
        assert!(metadata(json!({ "a": "x".repeat(limit::METADATA) })).is_err());
        let keys = |count: usize| Value::Object((0..count).map(|index| (index.to_string(), Value::Null)).collect());
        assert!(metadata(keys(1000)).is_ok());
        assert!(metadata(json!({ "a": keys(500), "b": [keys(500)] })).is_err());
        assert!(metadata(json!({ "a": [{ "b\0": 1 }] })).is_err());
        assert!(metadata(json!({ "a": ["\0"] })).is_err());
    }

    #[test]
    fn paths_set_replace_and_remove() {
        let current = metadata(json!({ "a": { "b": 1, "c": 2 }, "d": "x" })).expect("valid");
        let source = metadata(json!({ "a": { "b": 7 }, "d": { "e": true } })).expect("valid");
        let next = current.with_paths(&["a.b", "a.c", "d.e", "no.such"], &source).expect("valid");
        assert_eq!(next, metadata(json!({ "a": { "b": 7 }, "d": { "e": true } })).expect("valid"));
    }

    proptest! {
        #[test]
        fn numbers_are_kept_exactly(number in any::<f64>().prop_filter("JSON has no other", |number| number.is_finite())) {
            let written = serde_json::to_string(metadata(json!({ "n": number })).expect("valid").object()).expect("JSON");
            let read: Value = serde_json::from_str(&written).expect("JSON");
            prop_assert_eq!(read["n"].as_f64().map(f64::to_bits), Some(number.to_bits()));
        }
    }
}
