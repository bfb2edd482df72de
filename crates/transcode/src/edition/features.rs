//! The features of an edition: what files, messages, fields and enums say of them, and what holds where nothing is said.
//!
//! Read as own small messages, as `rule` reads its annotation: prost's descriptor types drop features. Those of them that change
//! neither JSON nor wire are not read: `utf8_validation`, because JSON has no place for what is not UTF-8, whoever verifies it, and
//! `json_format`, which is about what a compiler refuses.

use prost::Message;
use prost_reflect::{EnumDescriptor, FieldDescriptor};

/// `google.protobuf.FeatureSet`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    pub(super) field_presence: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) enum_type: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) repeated_field_encoding: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub(super) message_encoding: Option<i32>,
}

/// Values of `field_presence`.
pub(super) const EXPLICIT: i32 = 1;
pub(super) const IMPLICIT: i32 = 2;
pub(super) const LEGACY_REQUIRED: i32 = 3;
/// A value of `enum_type`.
pub(super) const OPEN: i32 = 1;
/// A value of `repeated_field_encoding`.
pub(super) const PACKED: i32 = 1;
/// Values of `message_encoding`.
pub(super) const LENGTH_PREFIXED: i32 = 1;
pub(super) const DELIMITED: i32 = 2;

/// Values of `google.protobuf.Edition`.
const EDITION_2023: i32 = 1000;
const EDITION_2024: i32 = 1001;

impl FeatureSet {
    /// What holds in a file that says nothing; `None` for an edition that this program does not know.
    pub(super) fn of_edition(edition: i32) -> Option<Self> {
        // 2024 added features for compilers and changed the defaults of none of these.
        matches!(edition, EDITION_2023 | EDITION_2024).then_some(Self {
            field_presence: Some(EXPLICIT),
            enum_type: Some(OPEN),
            repeated_field_encoding: Some(PACKED),
            message_encoding: Some(LENGTH_PREFIXED),
        })
    }

    /// What holds inside of this for an element that says `own`.
    pub(super) fn with(self, own: Option<Self>) -> Self {
        let own = own.unwrap_or_default();
        Self {
            field_presence: own.field_presence.or(self.field_presence),
            enum_type: own.enum_type.or(self.enum_type),
            repeated_field_encoding: own.repeated_field_encoding.or(self.repeated_field_encoding),
            message_encoding: own.message_encoding.or(self.message_encoding),
        }
    }
}

/// `google.protobuf.FileOptions`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FileOptions {
    #[prost(message, optional, tag = "50")]
    pub(super) features: Option<FeatureSet>,
}

/// `google.protobuf.MessageOptions`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageOptions {
    #[prost(bool, tag = "7")]
    pub(super) map_entry: bool,
    #[prost(message, optional, tag = "12")]
    pub(super) features: Option<FeatureSet>,
}

/// `google.protobuf.FieldOptions`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldOptions {
    #[prost(bool, optional, tag = "2")]
    pub(super) packed: Option<bool>,
    #[prost(message, optional, tag = "21")]
    pub(super) features: Option<FeatureSet>,
}

/// `google.protobuf.OneofOptions`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OneofOptions {
    #[prost(message, optional, tag = "1")]
    pub(super) features: Option<FeatureSet>,
}

/// `google.protobuf.EnumOptions`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumOptions {
    #[prost(message, optional, tag = "7")]
    pub(super) features: Option<FeatureSet>,
}

/// Whether a field of a lowered file counts as absent where it has its default, which proto2 has no word for.
pub(crate) fn is_implicit(field: &FieldDescriptor) -> bool {
    if field.field_descriptor_proto().options.is_none() || field.containing_oneof().is_some() {
        return false;
    }
    let options = field.options().encode_to_vec();
    let features = FieldOptions::decode(options.as_slice()).ok().and_then(|options| options.features);
    features.is_some_and(|features| features.field_presence == Some(IMPLICIT)) && field.kind().as_message().is_none()
}

/// Whether an enum of a lowered file keeps numbers that it does not know, which proto2 has no word for.
pub(crate) fn is_open(enumeration: &EnumDescriptor) -> bool {
    if enumeration.enum_descriptor_proto().options.is_none() {
        return false;
    }
    let options = enumeration.options().encode_to_vec();
    let features = EnumOptions::decode(options.as_slice()).ok().and_then(|options| options.features);
    features.is_some_and(|features| features.enum_type == Some(OPEN))
}
