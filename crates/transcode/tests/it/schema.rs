//! Random schemas: whatever a contract looks like, both directions agree with prost-reflect. And what is no part of a schema.

use proptest::prelude::*;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MessageOptions, MethodDescriptorProto, OneofDescriptorProto, ServiceDescriptorProto,
};
use prost_reflect::{DescriptorPool, DynamicMessage};
use transcode::{Contract, HttpRule, Options, Pattern, RequestOptions, ResponseOptions};

use crate::fixture::{PROBE, routed};
use crate::property::{Choices, message};

const KINDS: [Type; 17] = [
    Type::Double,
    Type::Float,
    Type::Int32,
    Type::Int64,
    Type::Uint32,
    Type::Uint64,
    Type::Sint32,
    Type::Sint64,
    Type::Fixed32,
    Type::Fixed64,
    Type::Sfixed32,
    Type::Sfixed64,
    Type::Bool,
    Type::String,
    Type::Bytes,
    Type::Enum,
    Type::Message,
];
const KEYS: [Type; 6] = [Type::String, Type::Int32, Type::Bool, Type::String, Type::Int32, Type::String];
const MESSAGES: u64 = 3;

/// Three messages that may hold each other, an enum, and a service that echoes the first.
fn schema(choices: &mut Choices<'_>) -> FileDescriptorSet {
    let value = |name: &str, number| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..EnumValueDescriptorProto::default()
    };
    let kind = EnumDescriptorProto {
        name: Some("Kind".to_owned()),
        value: vec![value("ZERO", 0), value("ONE", 1), value("FAR", -7)],
        ..EnumDescriptorProto::default()
    };
    let echo = MethodDescriptorProto {
        name: Some("Call".to_owned()),
        input_type: Some(".random.M0".to_owned()),
        output_type: Some(".random.M0".to_owned()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Echo".to_owned()),
        method: vec![echo],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("random.proto".to_owned()),
        package: Some("random".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: (0..MESSAGES).map(|index| random_message(index, choices)).collect(),
        enum_type: vec![kind],
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }
}

fn random_message(index: u64, choices: &mut Choices<'_>) -> DescriptorProto {
    let mut message = DescriptorProto { name: Some(format!("M{index}")), ..DescriptorProto::default() };
    // Numbers on both sides of the dense table, in no order.
    let mut numbers: Vec<i32> = (0..choices.next() % 9 + 1).map(|_| (choices.next() % 90) as i32 + 1).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let name = format!("field_{number}");
        let mut field = typed(&name, number, KINDS[(choices.next() % 17) as usize], choices);
        match choices.next() % 6 {
            0 => field.label = Some(Label::Repeated.into()),
            1 => field.oneof_index = Some(0),
            2 => {
                let entry = entry(number, field, choices);
                field = typed(&name, number, Type::Message, choices);
                field.label = Some(Label::Repeated.into());
                field.type_name = Some(format!(".random.M{index}.Field{number}Entry"));
                message.nested_type.push(entry);
            }
            _ => {}
        }
        message.field.push(field);
    }
    if message.field.iter().any(|field| field.oneof_index.is_some()) {
        message.oneof_decl.push(OneofDescriptorProto { name: Some("choice".to_owned()), options: None });
    }
    message
}

fn typed(name: &str, number: i32, kind: Type, choices: &mut Choices<'_>) -> FieldDescriptorProto {
    let type_name = match kind {
        Type::Enum => Some(".random.Kind".to_owned()),
        Type::Message => Some(format!(".random.M{}", choices.next() % MESSAGES)),
        _ => None,
    };
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name,
        ..FieldDescriptorProto::default()
    }
}

fn entry(number: i32, value: FieldDescriptorProto, choices: &mut Choices<'_>) -> DescriptorProto {
    let key = typed("key", 1, KEYS[(choices.next() % 6) as usize], choices);
    let value = FieldDescriptorProto { name: Some("value".to_owned()), number: Some(2), oneof_index: None, ..value };
    DescriptorProto {
        name: Some(format!("Field{number}Entry")),
        field: vec![key, value],
        options: Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() }),
        ..DescriptorProto::default()
    }
}

fn contract(set: &FileDescriptorSet) -> Contract {
    let rule = HttpRule {
        selector: "random.Echo.Call".to_owned(),
        pattern: Some(Pattern::Post("/x".to_owned())),
        body: "*".to_owned(),
        ..HttpRule::default()
    };
    transcode::compile(&set.encode_to_vec(), &Options { rules: vec![rule], ..Options::default() }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_directions_agree_with_the_oracle(choices in prop::collection::vec(any::<u64>(), 400)) {
        let mut choices = Choices(choices.iter());
        let set = schema(&mut choices);
        let route = routed(&contract(&set), "POST", "/x");
        let pool = DescriptorPool::from_file_descriptor_set(set).unwrap();
        let descriptor = pool.get_message_by_name("random.M0").unwrap();
        let parts = [message(&descriptor, &mut choices, 0), message(&descriptor, &mut choices, 0)];
        // Two messages behind each other are one: every field may return, every oneof may change.
        let wire = parts.map(|part| part.encode_to_vec()).concat();
        let merged = DynamicMessage::decode(descriptor.clone(), wire.as_slice()).unwrap();
        for by_number in [false, true] {
            let options = ResponseOptions { by_number, ..ResponseOptions::default() };
            let json = route.response(&wire, &options).unwrap();
            let mut reader = serde_json::Deserializer::from_slice(&json);
            let understood = DynamicMessage::deserialize(descriptor.clone(), &mut reader);
            let understood = understood.unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&json)));
            prop_assert!(understood == merged, "{}", String::from_utf8_lossy(&json));
            let back = route.request(None, None, &json, &RequestOptions::default()).unwrap();
            let back = DynamicMessage::decode(descriptor.clone(), &*back).unwrap();
            prop_assert!(back == merged, "{}", String::from_utf8_lossy(&json));
        }
    }
}

#[test]
fn a_message_of_more_fields_than_can_be_numbered_is_refused() {
    let fields = (1..=70_000).map(|number| FieldDescriptorProto {
        name: Some(format!("f{number}")),
        // 19000 to 19999 belong to protobuf itself.
        number: Some(if number < 19_000 { number } else { number + 1_000 }),
        label: Some(1),
        r#type: Some(5),
        ..FieldDescriptorProto::default()
    });
    let file = FileDescriptorProto {
        name: Some("large.proto".to_owned()),
        package: Some("large".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: vec![DescriptorProto {
            name: Some("Large".to_owned()),
            field: fields.collect(),
            ..DescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    let set = FileDescriptorSet { file: vec![file] }.encode_to_vec();
    let errors = transcode::compile(&set, &Options::default()).expect_err("too many");
    assert_eq!(errors[0].rule, "large.Large");
}

/// `PROBE` with these bytes as a further `source_code_info` of its last file.
fn with_source_information(content: &[u8]) -> Vec<u8> {
    let mut set = FileDescriptorSet::decode(PROBE.as_slice()).unwrap();
    let mut file = set.file.pop().unwrap().encode_to_vec();
    let mut written = set.encode_to_vec();
    prost::encoding::bytes::encode(9, &content.to_vec(), &mut file);
    prost::encoding::bytes::encode(1, &file, &mut written);
    written
}

#[test]
fn a_set_without_source_information_is_the_same_contract() {
    let bare = transcode::bare(&PROBE);
    let mut wanted = FileDescriptorSet::decode(PROBE.as_slice()).unwrap();
    assert!(wanted.file.iter().any(|file| file.source_code_info.is_some()), "the probe has comments");
    wanted.file.iter_mut().for_each(|file| file.source_code_info = None);
    assert_eq!(FileDescriptorSet::decode(&*bare).unwrap(), wanted);
    assert_eq!(transcode::bare(&bare), bare);
}

#[test]
fn source_information_that_cannot_be_read_is_refused() {
    transcode::compile(&with_source_information(b""), &Options::default()).expect("nothing more is said");
    for malformed in [&b"\xff"[..], b"\x0a", b"\x0a\x02\x0a", b"\x0d\x00"] {
        let set = with_source_information(malformed);
        assert_eq!(transcode::bare(&set), set, "{malformed:?}");
        let Err(errors) = transcode::compile(&set, &Options::default()) else { panic!("{malformed:?} was taken") };
        assert_eq!(errors[0].file, "descriptor set", "{errors:?}");
    }
}
