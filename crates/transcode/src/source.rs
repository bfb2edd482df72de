//! Source information of descriptor sets: three quarters of their bytes, of which the comments are read for the OpenAPI document and
//! for nothing else. So a pool is made without it, and what came is kept as bytes.
use std::borrow::Cow;

use prost::Message;
use prost_reflect::prost_types::SourceCodeInfo;

use crate::rewrite::{Change, Unreadable, rewritten};

/// The only field of `FileDescriptorSet`, and `source_code_info` of `FileDescriptorProto`.
const FILES: u32 = 1;
const SOURCE_INFO: u32 = 9;

/// A serialized `google.protobuf.FileDescriptorSet` without source information, for readers of its structure. Bytes that are no set stay as
/// they are: whoever decodes them says what is wrong with them.
#[must_use]
pub fn bare(set: &[u8]) -> Cow<'_, [u8]> {
    let bare = rewritten(set, |number, file| match number {
        FILES => rewritten(file, without_sources).map(Change::of),
        _ => Ok(Change::None),
    });
    bare.ok().flatten().map_or(Cow::Borrowed(set), Cow::Owned)
}

/// What cannot be read stays too, so that it is refused as it would be in its place.
fn without_sources(number: u32, content: &[u8]) -> Result<Change, Unreadable> {
    if number != SOURCE_INFO {
        return Ok(Change::None);
    }
    SourceCodeInfo::decode(content)?;
    Ok(Change::Gone)
}
