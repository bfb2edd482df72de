//! Descriptors to plans, at load time; the only place where the transcoder meets descriptors.

use std::collections::HashMap;

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor};
use prost_reflect::{Kind as Described, MessageDescriptor};

use super::{DENSE, EnumId, EnumPlan, FieldId, FieldPlan, Kind, MessageId, MessagePlan, Names, Plans, Shape, Tag};
use crate::edition;
use crate::ink::{Ink, Stamp};
use crate::json;
use crate::mask;
use crate::required;
use crate::wellknown::{self, WellKnown};
use crate::wire::Key;

/// Builds the plans of every message and enum in the pool.
pub(crate) fn build(pool: &DescriptorPool) -> Plans {
    let messages = pool.all_messages().zip(0..).map(|(message, id)| (message.full_name().into(), MessageId(id)));
    let by_name: HashMap<Box<str>, MessageId> = messages.collect();
    let enums = pool.all_enums().zip(0..).map(|(each, id)| (each.full_name().to_owned(), EnumId(id)));
    let index = Index { messages: &by_name, enums: enums.collect() };
    let mut messages: Vec<_> = pool.all_messages().map(|descriptor| message(&descriptor, &index)).collect();
    spread(&mut messages);
    Plans { messages, enums: pool.all_enums().map(|descriptor| enumeration(&descriptor)).collect(), by_name }
}

/// A message asks when one of its fields does: said to all above it, level by level, as types may be recursive.
fn spread(messages: &mut [MessagePlan]) {
    loop {
        let asks: Vec<bool> = messages.iter().map(|message| message.asks).collect();
        let below = |field: &FieldPlan| match field.kind {
            Kind::Message(MessageId(id)) => field.shape != Shape::Map && asks.get(id as usize) == Some(&true),
            _ => false,
        };
        let found: Vec<bool> =
            messages.iter().map(|message| message.asks || message.fields.iter().any(below)).collect();
        if found == asks {
            return;
        }
        messages.iter_mut().zip(found).for_each(|(message, asks)| message.asks = asks);
    }
}

impl Plans {
    /// Where the plan of a described field is.
    pub(crate) fn place(&self, field: &FieldDescriptor) -> Option<FieldId> {
        self.field_id(self.find(field.parent_message().full_name())?, field.number())
    }
}

/// Full names to places in the arena.
struct Index<'b> {
    messages: &'b HashMap<Box<str>, MessageId>,
    enums: HashMap<String, EnumId>,
}

impl Index<'_> {
    fn kind(&self, kind: &Described) -> Option<Kind> {
        Some(match kind {
            Described::Double => Kind::Double,
            Described::Float => Kind::Float,
            Described::Int32 => Kind::Int32,
            Described::Int64 => Kind::Int64,
            Described::Uint32 => Kind::Uint32,
            Described::Uint64 => Kind::Uint64,
            Described::Sint32 => Kind::Sint32,
            Described::Sint64 => Kind::Sint64,
            Described::Fixed32 => Kind::Fixed32,
            Described::Fixed64 => Kind::Fixed64,
            Described::Sfixed32 => Kind::Sfixed32,
            Described::Sfixed64 => Kind::Sfixed64,
            Described::Bool => Kind::Bool,
            Described::String => Kind::String,
            Described::Bytes => Kind::Bytes,
            Described::Enum(each) => Kind::Enum(*self.enums.get(each.full_name())?),
            Described::Message(message) => Kind::Message(*self.messages.get(message.full_name())?),
        })
    }
}

fn message(descriptor: &MessageDescriptor, index: &Index<'_>) -> MessagePlan {
    let oneofs: Vec<_> = descriptor.oneofs().filter(|oneof| !oneof.is_synthetic()).collect();
    let mut fields: Vec<FieldPlan> = descriptor.fields().filter_map(|field| declared(&field, index)).collect();
    fields.extend(descriptor.extensions().filter_map(|extension| extended(&extension, index)));
    fields.sort_by_key(|field| field.number);
    for field in &mut fields {
        let member = |oneof: &prost_reflect::OneofDescriptor| oneof.fields().any(|each| each.number() == field.number);
        field.required &= required::can_be_missed(field);
        field.oneof = oneofs.iter().position(member).and_then(|at| u16::try_from(at).ok());
        field.lone = !matches!(field.kind, Kind::Message(_) | Kind::Bytes)
            && field.shape == Shape::Singular
            && field.oneof.is_none();
    }
    let mut dense = vec![0; DENSE as usize + 1];
    for (field, place) in fields.iter().zip(1..) {
        if let Some(slot) = dense.get_mut(field.number as usize) {
            *slot = place;
        }
    }
    // JSON names come first: where one field's proto name is another's JSON name, the latter is meant.
    let json = fields.iter().zip(0..).map(|(field, index)| (&*field.json_name, index));
    let proto = fields.iter().zip(0..).map(|(field, index)| (&*field.name, index));
    let names = Names::new(json.chain(proto));
    MessagePlan {
        full_name: descriptor.full_name().into(),
        name: descriptor.name().into(),
        special: wellknown::of(descriptor),
        asks: fields.iter().any(|field| field.required),
        dense: dense.into(),
        names,
        oneofs: oneofs.iter().map(|oneof| oneof.name().into()).collect(),
        fields: fields.into(),
    }
}

fn declared(field: &FieldDescriptor, index: &Index<'_>) -> Option<FieldPlan> {
    let described = field.kind();
    let shape = match field.cardinality() {
        Cardinality::Repeated if field.is_map() => Shape::Map,
        Cardinality::Repeated => Shape::List,
        Cardinality::Optional | Cardinality::Required => Shape::Singular,
    };
    Some(FieldPlan {
        packed: field.is_packed(),
        presence: field.supports_presence() && !edition::is_implicit(field),
        service_writes: mask::is_written_by_service(field),
        required: mask::is_required(field),
        ..plan(
            (field.name(), field.json_name()),
            field.number(),
            index.kind(&described)?,
            shape,
            field.is_group(),
            takes_null(&described),
        )
    })
}

fn extended(extension: &ExtensionDescriptor, index: &Index<'_>) -> Option<FieldPlan> {
    let described = extension.kind();
    let shape = if extension.is_list() { Shape::List } else { Shape::Singular };
    let name = extension.json_name();
    Some(FieldPlan {
        packed: extension.is_packed(),
        presence: extension.supports_presence(),
        ..plan(
            (name, name),
            extension.number(),
            index.kind(&described)?,
            shape,
            extension.is_group(),
            takes_null(&described),
        )
    })
}

fn plan(
    (name, json_name): (&str, &str),
    number: u32,
    kind: Kind,
    shape: Shape,
    delimited: bool,
    takes_null: bool,
) -> FieldPlan {
    let (first, second) = if delimited { (3, 4) } else { (kind.wire_type(), 2) };
    FieldPlan {
        number,
        kind,
        shape,
        packed: false,
        lone: false,
        presence: true,
        delimited,
        takes_null,
        oneof: None,
        service_writes: false,
        required: false,
        tag: Tag::new(number, first),
        key: Key::new(number, first),
        second_tag: Tag::new(number, second),
        json_key: key(json_name),
        proto_key: key(name),
        name: name.into(),
        json_name: json_name.into(),
    }
}

fn takes_null(kind: &Described) -> bool {
    match kind {
        Described::Message(message) => wellknown::of(message) == Some(WellKnown::Value),
        Described::Enum(enumeration) => is_null(enumeration),
        _ => false,
    }
}

fn is_null(enumeration: &EnumDescriptor) -> bool {
    enumeration.full_name() == "google.protobuf.NullValue"
}

/// `,"name":`.
fn key(name: &str) -> Stamp {
    let mut key = Ink::default();
    key.push(b',');
    json::string(name, &mut key);
    key.push(b':');
    key.into()
}

fn enumeration(descriptor: &EnumDescriptor) -> EnumPlan {
    let mut values: Vec<(i32, Box<[u8]>)> = Vec::new();
    let mut names: Vec<(Box<str>, i32)> = Vec::new();
    // The descriptor itself lists its values by number; which alias came first is in its source only.
    let declared = &descriptor.enum_descriptor_proto().value;
    for value in declared {
        names.push((value.name().into(), value.number()));
        let mut quoted = Ink::default();
        json::string(value.name(), &mut quoted);
        values.push((value.number(), quoted.finish().into()));
    }
    // Both keep the order of equal numbers: of aliases the first declared stays.
    values.sort_by_key(|(number, _)| *number);
    values.dedup_by_key(|(number, _)| *number);
    EnumPlan {
        name: descriptor.name().into(),
        open: wellknown::is_open(descriptor),
        null: is_null(descriptor),
        default: declared.first().map_or(0, |value| value.number()),
        dense: values.iter().zip(0..).all(|((number, _), index)| *number == index),
        by_name: Names::new(names.iter().zip(0..).map(|((name, _), index)| (&**name, index))),
        values: values.into(),
        names: names.into(),
    }
}
