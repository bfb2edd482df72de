//! The compiled tables of every message and enum: all that the hot path asks, found by index.
//!
//! Built once from the descriptors at load. Messages and enums live in one arena and name each other by
//! index, so recursive types cost nothing and a request clones nothing. Fields are found by number through
//! a dense table up to 64 and by binary search above, by name by first guessing the field after the last
//! one and then through a hash table of both spellings.

mod bits;
mod build;
mod names;

use std::collections::HashMap;

pub(crate) use bits::Bits;
pub(crate) use build::build;
pub(crate) use names::Names;

use crate::ink::Stamp;
use crate::wellknown::WellKnown;
use crate::wire::Key;

/// Numbers up to this one are looked up in a table.
const DENSE: u32 = 64;

/// Index of a message in [`Plans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId(u32);

/// Index of an enum in [`Plans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnumId(u32);

/// A field of a message, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldId {
    pub(crate) message: MessageId,
    index: u16,
}

/// The type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

/// How many values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Singular,
    List,
    /// Its kind is the entry message with the fields 1 and 2.
    Map,
}

/// The bytes of a tag, ready to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    bytes: [u8; 5],
    len: u8,
}

/// What stands around a message in a field: a tag, and a second one behind it if it is a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tags {
    pub(crate) first: Tag,
    pub(crate) last: Option<Tag>,
}

/// One field, or one extension, of a message.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    /// A list that is written in one piece.
    pub(crate) packed: bool,
    /// Whether "set to its default" differs from "not set".
    pub(crate) presence: bool,
    /// A single scalar in no oneof, the usual field; bytes are none.
    pub(crate) lone: bool,
    /// A message between two tags instead of behind a length: proto2's groups, and `message_encoding = DELIMITED`.
    pub(crate) delimited: bool,
    /// Whether JSON `null` is a value of the kind and not the absence of one.
    pub(crate) takes_null: bool,
    /// Index of the oneof it is a member of; oneofs that stand for `optional` are none.
    pub(crate) oneof: Option<u16>,
    /// OUTPUT_ONLY or IDENTIFIER (AIP-203): what an update never changes.
    pub(crate) service_writes: bool,
    /// REQUIRED (AIP-203), and its absence can be seen.
    pub(crate) required: bool,
    /// The tag of one value.
    pub(crate) tag: Tag,
    /// The same as it is read.
    pub(crate) key: Key,
    /// The tag behind the value of a group, of the list in one piece otherwise.
    pub(crate) second_tag: Tag,
    /// The proto name; `[package.name]` for an extension.
    pub(crate) name: Box<str>,
    /// `,"name":` in JSON spelling.
    json_key: Stamp,
    /// `,"name":` in proto spelling.
    proto_key: Stamp,
    pub(crate) json_name: Box<str>,
}

/// One message.
#[derive(Debug)]
pub(crate) struct MessagePlan {
    pub(crate) full_name: Box<str>,
    /// The name without its package.
    pub(crate) name: Box<str>,
    /// The JSON form that is not an object of its fields.
    pub(crate) special: Option<WellKnown>,
    /// It has required fields, or a message below it has.
    pub(crate) asks: bool,
    /// By number.
    pub(crate) fields: Box<[FieldPlan]>,
    /// Index of a field plus one, by its number.
    dense: Box<[u16]>,
    names: Names,
    pub(crate) oneofs: Box<[Box<str>]>,
}

/// One enum.
#[derive(Debug)]
pub(crate) struct EnumPlan {
    pub(crate) name: Box<str>,
    /// Numbers without a name are kept; otherwise they count as unknown fields.
    pub(crate) open: bool,
    /// `google.protobuf.NullValue`, whose JSON is `null`.
    pub(crate) null: bool,
    /// The first declared value: what an absent field means.
    pub(crate) default: i32,
    /// Number and `"NAME"`, by number; of aliases the first declared.
    values: Box<[(i32, Box<[u8]>)]>,
    /// Whether the numbers are 0, 1, 2 and so on.
    dense: bool,
    by_name: Names,
    /// Name and number of every value, aliases included.
    names: Box<[(Box<str>, i32)]>,
}

/// All messages and enums of a contract.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    messages: Vec<MessagePlan>,
    enums: Vec<EnumPlan>,
    by_name: HashMap<Box<str>, MessageId>,
}

impl Plans {
    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> &MessagePlan {
        &self.messages[id.0 as usize]
    }

    #[inline]
    pub(crate) fn enumeration(&self, id: EnumId) -> &EnumPlan {
        &self.enums[id.0 as usize]
    }

    pub(crate) fn field(&self, id: FieldId) -> &FieldPlan {
        &self.message(id.message).fields[usize::from(id.index)]
    }

    /// The message with this full name.
    pub(crate) fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    /// The field with this number.
    pub(crate) fn field_id(&self, message: MessageId, number: u32) -> Option<FieldId> {
        let index = self.message(message).index_of(number)?;
        Some(FieldId { message, index: u16::try_from(index).ok()? })
    }

    /// The message an `@type` names.
    pub(crate) fn of_url(&self, url: &str) -> Option<&MessagePlan> {
        let (_, name) = url.rsplit_once('/')?;
        self.find(name).map(|id| self.message(id))
    }

    /// Key and value of a map's entries; `None` if the field is no map.
    pub(crate) fn entry(&self, field: &FieldPlan) -> Option<(&FieldPlan, &FieldPlan)> {
        match (field.shape, field.kind) {
            (Shape::Map, Kind::Message(entry)) => match &*self.message(entry).fields {
                [key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The message of a singular or repeated message field.
    #[inline]
    pub(crate) fn child(&self, field: &FieldPlan) -> Option<&MessagePlan> {
        match field.kind {
            Kind::Message(id) => Some(self.message(id)),
            _ => None,
        }
    }

    /// A singular message with fields of its own, into which paths and masks may descend.
    pub(crate) fn plain(&self, field: &FieldPlan) -> Option<&MessagePlan> {
        let child = self.child(field).filter(|_| field.shape == Shape::Singular)?;
        matches!(child.special, None | Some(WellKnown::Empty)).then_some(child)
    }
}

impl MessagePlan {
    /// The index of the field with this number.
    #[inline]
    pub(crate) fn index_of(&self, number: u32) -> Option<usize> {
        if number <= DENSE {
            let index = *self.dense.get(number as usize)?;
            return usize::from(index).checked_sub(1);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }

    /// The index of the field with this JSON or proto name.
    pub(crate) fn index_by_name(&self, name: &str) -> Option<usize> {
        self.names.find(name, |index| {
            let field = self.fields.get(index)?;
            Some((&field.json_name, &field.name))
        })
    }

    /// The field with this JSON or proto name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&FieldPlan> {
        self.index_by_name(name).and_then(|index| self.fields.get(index))
    }

    /// All JSON names, for advice.
    pub(crate) fn json_names(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.json_name.to_string()).collect()
    }
}

impl FieldPlan {
    /// `,"name":`.
    #[inline]
    pub(crate) fn key(&self, proto_names: bool) -> &Stamp {
        if proto_names { &self.proto_key } else { &self.json_key }
    }

    /// The tags of one value.
    pub(crate) fn tags(&self) -> Tags {
        Tags { first: self.tag, last: self.delimited.then_some(self.second_tag) }
    }

    /// Whether a value is a text.
    #[inline]
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::String)
    }

    /// `"name":` as a compact writer has it.
    #[inline]
    pub(crate) fn expected_key(&self) -> &[u8] {
        self.json_key.get(1..).unwrap_or_default()
    }

    /// A list of numbers, which may come in one piece or one by one whatever the contract says.
    #[inline]
    pub(crate) fn is_packable(&self) -> bool {
        self.shape == Shape::List && !matches!(self.kind, Kind::String | Kind::Bytes | Kind::Message(_))
    }
}

impl EnumPlan {
    /// `"NAME"` of a number.
    #[inline]
    pub(crate) fn quoted(&self, number: i32) -> Option<&[u8]> {
        let index = match self.dense {
            true => usize::try_from(number).ok()?,
            false => self.values.binary_search_by_key(&number, |(known, _)| *known).ok()?,
        };
        self.values.get(index).map(|(_, name)| &**name)
    }

    /// Whether the field keeps this number.
    pub(crate) fn keeps(&self, number: i32) -> bool {
        self.open || self.quoted(number).is_some()
    }

    /// The number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        let index = self.by_name.find(name, |index| {
            let (known, _) = self.names.get(index)?;
            Some((known, known))
        })?;
        self.names.get(index).map(|(_, number)| *number)
    }

    /// All names, for advice.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.iter().map(|(name, _)| name.to_string()).collect()
    }
}

impl Kind {
    /// 0 varint, 1 eight bytes, 2 length, 5 four bytes.
    #[inline]
    pub(crate) fn wire_type(self) -> u32 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => 5,
            Self::String | Self::Bytes | Self::Message(_) => 2,
            _ => 0,
        }
    }

    #[inline]
    pub(crate) fn is_message(self) -> bool {
        matches!(self, Self::Message(_))
    }
}

impl Tag {
    fn new(number: u32, wire_type: u32) -> Self {
        let (mut bytes, mut len, mut rest) = ([0; 5], 0, number << 3 | wire_type);
        while rest >= 0x80 {
            bytes[len] = rest as u8 | 0x80;
            rest >>= 7;
            len += 1;
        }
        bytes[len] = rest as u8;
        Self { bytes, len: len as u8 + 1 }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
