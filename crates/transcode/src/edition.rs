//! Files of an edition said in the words of proto2, which the descriptor pool understands.
//!
//! An edition has no rules of its own: it is a set of features, each of which a file, a message, a oneof, a field or an enum
//! may set for itself and for what is in it. Here every element gets what holds for it: `required`, `packed` and groups are
//! words of proto2; that a field has no presence, or that an enum is open, is said in its own features, where [`is_implicit`] and
//! [`is_open`] find it. So a lowered set says all that the plans need, however often it is lowered.
//!
//! What must hold: everything else, custom options above all, stays byte for byte.

mod features;

use std::borrow::Cow;

use prost::Message;

pub(crate) use features::{is_implicit, is_open};

use crate::compile::LoadError;
use crate::rewrite::{Change, Unreadable, rewritten};
use crate::wire::MAX_DEPTH;
use features::{DELIMITED, IMPLICIT, LEGACY_REQUIRED, OPEN, PACKED};
use features::{EnumOptions, FeatureSet, FieldOptions, FileOptions, MessageOptions, OneofOptions};

/// The only field of `FileDescriptorSet`.
const FILES: u32 = 1;
/// Fields of `FileDescriptorProto`.
mod file {
    pub(super) const MESSAGES: u32 = 4;
    pub(super) const ENUMS: u32 = 5;
    pub(super) const EXTENSIONS: u32 = 7;
    pub(super) const SYNTAX: u32 = 12;
    pub(super) const EDITION: u32 = 14;
}
/// Fields of `DescriptorProto`.
mod message {
    pub(super) const FIELDS: u32 = 2;
    pub(super) const NESTED: u32 = 3;
    pub(super) const ENUMS: u32 = 4;
    pub(super) const EXTENSIONS: u32 = 6;
}
/// Values of `FieldDescriptorProto.Type` and `Label`.
const TYPE_STRING: i32 = 9;
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_BYTES: i32 = 12;
const LABEL_REQUIRED: i32 = 2;
const LABEL_REPEATED: i32 = 3;

/// What is read of a `FileDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, optional, tag = "8")]
    options: Option<FileOptions>,
    #[prost(string, tag = "12")]
    syntax: String,
    #[prost(int32, tag = "14")]
    edition: i32,
}

/// What is read of a `DescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct Described {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    nested: Vec<Nested>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    oneofs: Vec<Oneof>,
}

/// What is read of a `DescriptorProto` inside of another.
#[derive(Clone, PartialEq, Message)]
struct Nested {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
}

/// What is read of a `OneofDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct Oneof {
    #[prost(message, optional, tag = "2")]
    options: Option<OneofOptions>,
}

/// What is read of a `FieldDescriptorProto`, and what is added to it.
#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, optional, tag = "2")]
    extendee: Option<String>,
    #[prost(int32, optional, tag = "4")]
    label: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    kind: Option<i32>,
    #[prost(string, optional, tag = "6")]
    type_name: Option<String>,
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
    #[prost(int32, optional, tag = "9")]
    oneof_index: Option<i32>,
}

/// What is read of an `EnumDescriptorProto`, and what is added to it.
#[derive(Clone, PartialEq, Message)]
struct Enumeration {
    #[prost(message, optional, tag = "3")]
    options: Option<EnumOptions>,
}

/// A serialized `google.protobuf.FileDescriptorSet` whose files of an edition are said in proto2, for readers that know proto2 and
/// proto3 alone; [`compile`](crate::compile()) does so itself. Bytes that are no set stay as they are: whoever decodes them says what is
/// wrong with them.
///
/// # Errors
/// Every file of an edition that is not known.
pub fn lowered(set: &[u8]) -> Result<Cow<'_, [u8]>, Vec<LoadError>> {
    let mut errors = Vec::new();
    let rewritten = rewritten(set, |number, bytes| {
        if number != FILES {
            return Ok(Change::None);
        }
        let file = File::decode(bytes)?;
        if file.syntax != "editions" {
            return Ok(Change::None);
        }
        match FeatureSet::of_edition(file.edition) {
            Some(defaults) => whole_file(bytes, &file, defaults).map(Change::of),
            None => {
                errors.push(unknown(&file));
                Ok(Change::None)
            }
        }
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(rewritten.ok().flatten().map_or(Cow::Borrowed(set), Cow::Owned))
}

fn unknown(file: &File) -> LoadError {
    LoadError {
        file: file.name.clone(),
        rpc: "-".to_owned(),
        rule: "-".to_owned(),
        problem: format!("its edition, {} of google.protobuf.Edition, is not known", file.edition),
        remedy: "write it in edition 2023 or 2024, or in proto3".to_owned(),
    }
}

fn whole_file(bytes: &[u8], file: &File, defaults: FeatureSet) -> Result<Option<Vec<u8>>, Unreadable> {
    let name = if file.package.is_empty() { String::new() } else { format!(".{}", file.package) };
    let features = defaults.with(file.options.as_ref().and_then(|options| options.features));
    let scope = Scope { features, name, ..Scope::default() };
    rewritten(bytes, |number, bytes| match number {
        file::MESSAGES => scope.message(bytes).map(Change::of),
        file::ENUMS => scope.enumeration(bytes).map(Change::of),
        file::EXTENSIONS => scope.field(bytes).map(Change::of),
        file::SYNTAX => Ok(Change::To(b"proto2".to_vec())),
        file::EDITION => Ok(Change::Gone),
        _ => Ok(Change::None),
    })
}

/// A file or a message, as what is in it sees it.
#[derive(Default)]
struct Scope {
    features: FeatureSet,
    /// Its full name behind a dot; nothing for a file without a package.
    name: String,
    /// The full names of the entry messages of its maps.
    entries: Vec<String>,
    /// It is such a message itself.
    is_entry: bool,
    /// What holds in its oneofs.
    oneofs: Vec<FeatureSet>,
    /// Messages around what is in it.
    depth: usize,
}

impl Scope {
    fn message(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        if self.depth > MAX_DEPTH {
            return Err(Unreadable);
        }
        let described = Described::decode(bytes)?;
        let scope = self.inside(&described);
        rewritten(bytes, |number, bytes| match number {
            message::FIELDS | message::EXTENSIONS => scope.field(bytes).map(Change::of),
            message::NESTED => scope.message(bytes).map(Change::of),
            message::ENUMS => scope.enumeration(bytes).map(Change::of),
            _ => Ok(Change::None),
        })
    }

    /// The scope of a message in this one.
    fn inside(&self, described: &Described) -> Self {
        let is_entry = |options: &Option<MessageOptions>| options.as_ref().is_some_and(|options| options.map_entry);
        let features = self.features.with(described.options.as_ref().and_then(|options| options.features));
        let name = format!("{}.{}", self.name, described.name);
        let entries = described.nested.iter().filter(|nested| is_entry(&nested.options));
        let oneofs = described.oneofs.iter().map(|oneof| oneof.options.as_ref().and_then(|options| options.features));
        Self {
            features,
            entries: entries.map(|nested| format!("{name}.{}", nested.name)).collect(),
            is_entry: is_entry(&described.options),
            oneofs: oneofs.map(|own| features.with(own)).collect(),
            depth: self.depth + 1,
            name,
        }
    }

    /// A field or an extension: what is added to its end counts, because of a scalar the last value does, and messages merge.
    fn field(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let field = Field::decode(bytes)?;
        let oneof = field.oneof_index.and_then(|index| self.oneofs.get(usize::try_from(index).ok()?));
        let own = field.options.as_ref().and_then(|options| options.features);
        let features = oneof.unwrap_or(&self.features).with(own);
        let is_repeated = field.label == Some(LABEL_REPEATED);
        // Where a type has a name, the kind of it may be left out.
        let may_be_message = matches!(field.kind, Some(TYPE_MESSAGE | TYPE_GROUP) | None);
        let is_message = field.kind.is_some() && may_be_message;
        let is_packable = !is_message && !matches!(field.kind, Some(TYPE_STRING | TYPE_BYTES));
        let has_presence = is_repeated || is_message || field.oneof_index.is_some() || field.extendee.is_some();
        let is_delimited = may_be_message && !self.is_entry && !self.is_map(&field);
        let mut added = Field::default();
        if features.field_presence == Some(LEGACY_REQUIRED) && !is_repeated && field.extendee.is_none() {
            added.label = Some(LABEL_REQUIRED);
        }
        if features.message_encoding == Some(DELIMITED) && is_delimited {
            added.kind = Some(TYPE_GROUP);
        }
        let packed = (is_repeated && is_packable && features.repeated_field_encoding == Some(PACKED)).then_some(true);
        let is_implicit = features.field_presence == Some(IMPLICIT) && !has_presence;
        let features = is_implicit.then_some(FeatureSet { field_presence: Some(IMPLICIT), ..FeatureSet::default() });
        if packed.is_some() || features.is_some() {
            added.options = Some(FieldOptions { packed, features });
        }
        Ok((added != Field::default()).then(|| [bytes, &added.encode_to_vec()].concat()))
    }

    /// Maps have a length, whatever holds around them.
    fn is_map(&self, field: &Field) -> bool {
        let Some(name) = field.type_name.as_deref().filter(|_| field.label == Some(LABEL_REPEATED)) else {
            return false;
        };
        let is_entry = |entry: &String| match name.starts_with('.') {
            true => entry == name,
            false => entry.strip_suffix(name).is_some_and(|before| before.ends_with('.')),
        };
        self.entries.iter().any(is_entry)
    }

    fn enumeration(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let own = Enumeration::decode(bytes)?.options.and_then(|options| options.features);
        if self.features.with(own).enum_type != Some(OPEN) {
            return Ok(None);
        }
        let features = FeatureSet { enum_type: Some(OPEN), ..FeatureSet::default() };
        let added = Enumeration { options: Some(EnumOptions { features: Some(features) }) };
        Ok(Some([bytes, &added.encode_to_vec()].concat()))
    }
}
