//! Properties: what holds for any template, any message, any bytes.

use std::sync::LazyLock;

use proptest::prelude::*;
use prost_reflect::prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use transcode::{Contract, RequestOptions, ResponseOptions};

use crate::fixture::{contract, pool, routed, try_contract};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(pool);
static ECHO: LazyLock<Contract> = LazyLock::new(|| contract(&[("One", "POST", "/v1/x", "*")]));

/// A source of decisions that proptest shrinks.
pub(crate) struct Choices<'a>(pub(crate) std::slice::Iter<'a, u64>);

impl Choices<'_> {
    pub(crate) fn next(&mut self) -> u64 {
        self.0.next().copied().unwrap_or(1)
    }

    fn text(&mut self) -> String {
        let number = self.next();
        let letters = ['a', 'ß', '"', '\\', '\u{1}', '\u{2028}', '😀', '/'];
        (0..number % 5).map(|index| letters[((number >> (index * 3)) % 8) as usize]).collect()
    }
}

/// The fields that differ, as both sides print them: prost-reflect's own Debug of a recursive type never ends.
fn difference(left: &DynamicMessage, right: &DynamicMessage) -> String {
    let descriptor = left.descriptor();
    let fields = descriptor.fields().filter(|field| left.get_field(field) != right.get_field(field));
    let print = |message: &DynamicMessage| {
        let wire = message.encode_to_vec();
        let options = ResponseOptions::default();
        String::from_utf8(routed(&ECHO, "POST", "/v1/x").response(&wire, &options).unwrap().to_vec()).unwrap()
    };
    let names: Vec<String> = fields.map(|field| field.name().to_owned()).collect();
    format!("{names:?}\n{}\n{}", print(left), print(right))
}

pub(crate) fn message(descriptor: &MessageDescriptor, choices: &mut Choices<'_>, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let seconds = |choices: &mut Choices<'_>| Value::I64((choices.next() % 250_000_000_000) as i64);
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            message.set_field_by_number(1, seconds(choices));
            message.set_field_by_number(2, Value::I32((choices.next() % 1_000_000_000) as i32));
        }
        "google.protobuf.FieldMask" => {
            message.set_field_by_number(1, Value::List(vec![Value::String("sub_field.a".to_owned())]))
        }
        "google.protobuf.Any" => {
            let inner = POOL.get_message_by_name("probe.v1.Sub").unwrap();
            let inner = self::message(&inner, choices, depth + 1).encode_to_vec();
            message.set_field_by_number(1, Value::String("type.googleapis.com/probe.v1.Sub".to_owned()));
            message.set_field_by_number(2, Value::Bytes(inner.into()));
        }
        "google.protobuf.Value" => {
            let value = match choices.next() % 4 {
                0 => (1, Value::EnumNumber(0)),
                1 => (2, Value::F64(choices.next() as i32 as f64)),
                2 => (3, Value::String(choices.text())),
                _ => (4, Value::Bool(true)),
            };
            message.set_field_by_number(value.0, value.1);
        }
        _ => {
            for field in descriptor.fields().filter(|_| depth < 4) {
                if choices.next().is_multiple_of(4) {
                    let value = value(&field, choices, depth);
                    message.set_field(&field, value);
                }
            }
        }
    }
    message
}

fn value(field: &FieldDescriptor, choices: &mut Choices<'_>, depth: usize) -> Value {
    let kind = field.kind();
    let count = choices.next() % 3 + 1;
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let entries = (0..count).map(|_| {
            let key = match key_kind {
                Kind::Bool => MapKey::Bool(choices.next().is_multiple_of(2)),
                Kind::Int32 => MapKey::I32(choices.next() as i32),
                _ => MapKey::String(choices.text()),
            };
            (key, single(&value_kind, choices, depth))
        });
        return Value::Map(entries.collect());
    }
    if field.is_list() {
        return Value::List((0..count).map(|_| single(&kind, choices, depth)).collect());
    }
    single(&kind, choices, depth)
}

fn single(kind: &Kind, choices: &mut Choices<'_>, depth: usize) -> Value {
    let number = choices.next();
    match kind {
        Kind::Double => Value::F64(Some(f64::from_bits(number)).filter(|value| !value.is_nan()).unwrap_or(0.5)),
        Kind::Float => Value::F32(Some(f32::from_bits(number as u32)).filter(|value| !value.is_nan()).unwrap_or(0.5)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
        Kind::Bool => Value::Bool(number.is_multiple_of(2)),
        Kind::String => Value::String(choices.text()),
        Kind::Bytes => Value::Bytes(number.to_le_bytes()[..(number % 9) as usize].to_vec().into()),
        Kind::Enum(enumeration) if enumeration.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber(number as i32 % 5),
        Kind::Message(descriptor) => Value::Message(message(descriptor, choices, depth + 1)),
    }
}

/// A template over the fields `name`, `s`, `os`, and a path it matches.
fn template() -> impl Strategy<Value = (String, String)> {
    let piece = prop_oneof![
        "[a-z]{1,4}".prop_map(|text| (text.clone(), text)),
        "[a-z0-9%:~é]{1,6}"
            .prop_filter("an escape must be whole", |text| !text.contains('%'))
            .prop_map(|text| ("*".to_owned(), text)),
    ];
    (prop::collection::vec(piece, 1..6), 0_usize..3, prop::option::of("[a-z]{1,4}")).prop_map(
        |(pieces, variable, verb)| {
            let mut template = String::new();
            for (index, (pattern, _)) in pieces.iter().enumerate() {
                let field = ["name", "s", "os"][variable];
                let pattern = if index == 0 { format!("{{{field}={pattern}}}") } else { pattern.clone() };
                template.push_str(&format!("/{pattern}"));
            }
            let mut path: String = pieces.iter().map(|(_, text)| format!("/{text}")).collect();
            if let Some(verb) = verb {
                template.push_str(&format!(":{verb}"));
                path.push_str(&format!(":{verb}"));
            }
            (template, path)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_route_of_a_rendered_template_finds_itself((template, path) in template()) {
        let contract = try_contract(&[("One", "GET", &template, "")]).unwrap();
        let route = routed(&contract, "GET", &path);
        prop_assert_eq!(route.template(), template.as_str());
    }

    #[test]
    fn json_out_of_any_message_reads_back_equal(choices in prop::collection::vec(any::<u64>(), 300)) {
        let descriptor = POOL.get_message_by_name("probe.v1.Everything").unwrap();
        let wire = message(&descriptor, &mut Choices(choices.iter()), 0).encode_to_vec();
        let route = routed(&ECHO, "POST", "/v1/x");
        let before = DynamicMessage::decode(descriptor.clone(), wire.as_slice()).unwrap();
        for options in [
            ResponseOptions::default(),
            ResponseOptions { defaults: true, proto_names: true, pretty: true, enum_numbers: true, ..ResponseOptions::default() },
        ] {
            let json = route.response(&wire, &options).unwrap();
            let back = route.request(None, None, &json, &RequestOptions::default());
            let back = back.unwrap_or_else(|problem| panic!("{problem}\n{}", String::from_utf8_lossy(&json)));
            let after = DynamicMessage::decode(descriptor.clone(), &*back).unwrap();
            prop_assert!(after == before, "{}", difference(&after, &before));
        }
    }

    #[test]
    fn what_is_understood_is_what_the_oracle_understands(choices in prop::collection::vec(any::<u64>(), 300)) {
        let descriptor = POOL.get_message_by_name("probe.v1.Everything").unwrap();
        let message = message(&descriptor, &mut Choices(choices.iter()), 0);
        let route = routed(&ECHO, "POST", "/v1/x");
        let json = route.response(&message.encode_to_vec(), &ResponseOptions::default()).unwrap();
        let mut reader = serde_json::Deserializer::from_slice(&json);
        let oracle = DynamicMessage::deserialize(descriptor.clone(), &mut reader).unwrap();
        let wire = route.request(None, None, &json, &RequestOptions::default()).unwrap();
        let understood = DynamicMessage::decode(descriptor, &*wire).unwrap();
        prop_assert!(understood == oracle, "{}", difference(&understood, &oracle));
    }

    #[test]
    fn no_body_no_query_and_no_answer_panics(body in prop::collection::vec(any::<u8>(), 0..80), text in "[{}\\[\\]\":,a-z0-9.eE+\\\\ -]{0,60}", query in "[a-z\\[\\].=&%+0-9]{0,60}") {
        let route = routed(&ECHO, "POST", "/v1/x");
        let _ = route.request(None, None, &body, &RequestOptions::default());
        let _ = route.request(Some(&query), None, text.as_bytes(), &RequestOptions { ignore_unknown: true, ..RequestOptions::default() });
        let _ = route.response(&body, &ResponseOptions::default());
        let _ = route.response_options(Some(&query));
        let _ = crate::fixture::query(&query);
    }
}
