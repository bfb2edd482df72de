//! Requests made from the contract alone, as ProtoJSON: for every method one that holds what is required, and every place in it
//! that takes text, so that a test can put the same thing into each of them.
//!
//! What must hold: a field that is added to the contract is a place the next time the test runs; nobody lists fields by hand.
use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost_reflect::{ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use proto::Method;
use serde_json::{Map, Value, json};

use super::{Contract, foreign::bindings};

/// Messages within messages that are followed.
const DEPTH: usize = 6;
/// Values of `google.api.FieldBehavior`.
const REQUIRED: i32 = 2;

/// What goes into a field, if the caller of the shape knows it better than the contract.
pub type Fill<'a> = &'a dyn Fn(&Place) -> Option<Value>;

/// The request of one method.
#[derive(Debug)]
pub struct Shape {
    /// The method.
    pub method: &'static Method,
    message: MessageDescriptor,
    /// Pattern of the resource name by path of the field.
    names: BTreeMap<String, String>,
    options: Options,
}

/// A field of a request, wherever it stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// `document.title`, of the contract's names.
    pub path: String,
    /// The pattern, `organizations/*/documents/*`, of the resource that it must name, where the contract says it.
    pub pattern: Option<String>,
    /// It is the one that says whose the call is: the method's access rule reads it.
    pub is_resource: bool,
    fields: Vec<FieldDescriptor>,
}

#[derive(Clone, Debug)]
struct Options {
    behavior: ExtensionDescriptor,
    example: ExtensionDescriptor,
    reference: ExtensionDescriptor,
    /// Pattern by resource type.
    types: BTreeMap<String, String>,
}

impl Contract {
    /// The request of every method, in the order of the contract.
    #[must_use]
    pub fn shapes(&self) -> Vec<Shape> {
        let options = Options::of(self);
        let bound = bindings();
        let shape = |(method, known): (prost_reflect::MethodDescriptor, &'static Method)| {
            let names = bound.get(known.path).cloned().into_iter().collect();
            Shape { method: known, message: method.input(), names, options: options.clone() }
        };
        self.methods().map(shape).collect()
    }
}

impl Shape {
    /// The least that the contract asks for.
    #[must_use]
    pub fn least(&self, fill: Fill<'_>) -> Value {
        self.object(&self.message, &[], None, fill)
    }

    /// Every place that takes text or bytes, those that only answers fill among them: a caller can send them all the same.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let mut found = Vec::new();
        self.collect(&self.message, &[], &mut found);
        found
    }

    /// The least request with this text in one place.
    #[must_use]
    pub fn with(&self, place: &Place, text: &str, fill: Fill<'_>) -> Value {
        self.object(&self.message, &[], Some((place, text)), fill)
    }

    fn collect(&self, message: &MessageDescriptor, above: &[FieldDescriptor], found: &mut Vec<Place>) {
        for field in message.fields() {
            let place = self.place(above, &field);
            match field.kind() {
                Kind::String | Kind::Bytes => found.push(place),
                Kind::Message(inner) if inner.full_name() == "google.protobuf.Struct" => found.push(place),
                Kind::Message(inner) if is_plain(&inner) && above.len() < DEPTH => {
                    self.collect(&inner, &place.fields, found)
                }
                _ => {}
            }
        }
    }

    fn place(&self, above: &[FieldDescriptor], field: &FieldDescriptor) -> Place {
        let fields: Vec<_> = above.iter().cloned().chain([field.clone()]).collect();
        let path = fields.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".");
        let pattern = self.names.get(&path).cloned().or_else(|| self.options.reference(field));
        let is_resource = self.method.access.as_ref().is_some_and(|access| access.resource == path);
        Place { path, pattern, is_resource, fields }
    }

    fn object(
        &self,
        message: &MessageDescriptor,
        above: &[FieldDescriptor],
        forced: Option<(&Place, &str)>,
        fill: Fill<'_>,
    ) -> Value {
        let mut object = Map::new();
        let head = forced.and_then(|(place, _)| place.fields.get(above.len()));
        for field in message.fields() {
            let place = self.place(above, &field);
            let choice = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            let taken = head.filter(|head| choice.is_some() && head.containing_oneof() == choice);
            let value = match (head == Some(&field), taken) {
                (true, _) => Some(self.value(&place, forced, fill)),
                (false, Some(_)) => None,
                (false, None) => fill(&place)
                    .or_else(|| self.is_needed(&field, &place).then(|| self.value(&place, None, fill)))
                    .filter(|_| choice.as_ref().is_none_or(|oneof| oneof.fields().next().as_ref() == Some(&field))),
            };
            if let Some(value) = value {
                let value = if field.is_list() && !value.is_array() { json!([value]) } else { value };
                object.insert(field.json_name().to_owned(), value);
            }
        }
        Value::Object(object)
    }

    fn is_needed(&self, field: &FieldDescriptor, place: &Place) -> bool {
        let chosen = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        chosen || self.names.contains_key(&place.path) || self.options.is_required(field)
    }

    fn value(&self, place: &Place, forced: Option<(&Place, &str)>, fill: Fill<'_>) -> Value {
        let field = place.fields.last().expect("a place is a field");
        let is_end = forced.is_some_and(|(end, _)| end.fields.len() == place.fields.len());
        match (forced.filter(|_| is_end), field.kind()) {
            (Some((_, text)), Kind::Bytes) => json!(STANDARD.encode(text)),
            (Some((_, text)), Kind::Message(_)) => json!({ "note": text }),
            (Some((_, text)), _) => json!(text),
            (None, Kind::Message(inner)) if is_plain(&inner) => self.object(&inner, &place.fields, forced, fill),
            (None, kind) => self.options.example(field).unwrap_or_else(|| usual(&kind)),
        }
    }
}

impl Options {
    fn of(contract: &Contract) -> Options {
        let named = |name: &str| contract.pool.get_extension_by_name(name).expect("the contract imports it");
        let resource = named("google.api.resource");
        let text =
            |value: &prost_reflect::DynamicMessage, name: &str| value.get_field_by_name(name).map(|v| v.into_owned());
        let types =
            contract.pool.all_messages().filter(|message| message.options().has_extension(&resource)).filter_map(
                |message| {
                    let said = message.options().get_extension(&resource).as_message()?.clone();
                    let kind = text(&said, "type")?.as_str()?.to_owned();
                    let pattern = text(&said, "pattern")?.as_list()?.first()?.as_str()?.to_owned();
                    let stars = pattern.split('/').map(|part| if part.starts_with('{') { "*" } else { part });
                    Some((kind, stars.collect::<Vec<_>>().join("/")))
                },
            );
        Options {
            behavior: named("google.api.field_behavior"),
            example: named("workos.api.v1.example"),
            reference: named("google.api.resource_reference"),
            types: types.collect(),
        }
    }

    fn is_required(&self, field: &FieldDescriptor) -> bool {
        let options = field.options();
        let said = options.get_extension(&self.behavior);
        said.as_list().is_some_and(|list| list.iter().any(|value| value.as_enum_number() == Some(REQUIRED)))
    }

    fn reference(&self, field: &FieldDescriptor) -> Option<String> {
        let options = field.options();
        let said = options.get_extension(&self.reference);
        let kind = said.as_message()?.get_field_by_name("type")?.as_str()?.to_owned();
        self.types.get(&kind).cloned()
    }

    fn example(&self, field: &FieldDescriptor) -> Option<Value> {
        let options = field.options();
        let text = options.get_extension(&self.example).as_str()?.to_owned();
        (!text.is_empty()).then_some(json!(text))
    }
}

/// A message of ours, written as an object of its fields.
fn is_plain(message: &MessageDescriptor) -> bool {
    !message.full_name().starts_with("google.protobuf.")
}

/// What a field without an example gets.
fn usual(kind: &Kind) -> Value {
    match kind {
        Kind::Enum(values) => {
            let first = values.values().find(|value| value.number() != 0);
            json!(first.map(|value| value.name().to_owned()))
        }
        Kind::Bool => json!(true),
        Kind::Message(inner) => match inner.full_name() {
            "google.protobuf.Timestamp" => json!("2099-12-31T00:00:00Z"),
            "google.protobuf.Duration" => json!("60s"),
            "google.protobuf.FieldMask" => json!(""),
            _ => json!({}),
        },
        Kind::Bytes => json!(STANDARD.encode("bytes")),
        Kind::String => json!("text"),
        _ => json!(1),
    }
}
