//! Source information of descriptor sets: three quarters of their bytes, of which the comments are read for the OpenAPI document and
//! for nothing else. So a pool is made without it, and what came is kept as bytes.
use std::borrow::Cow;

use crate::rewrite::{Change, rewritten};

/// The only field of `FileDescriptorSet`, and `source_code_info` of `FileDescriptorProto`.
const FILES: u32 = 1;
const SOURCE_INFO: u32 = 9;

/// A serialized `google.protobuf.FileDescriptorSet` without source information, for readers of its structure. Bytes that are no set stay as
/// they are: whoever decodes them says what is wrong with them.
#[must_use]
pub fn bare(set: &[u8]) -> Cow<'_, [u8]> {
    let bare = rewritten(set, |number, file| match number {
        FILES => rewritten(file, |number, _| Ok(if number == SOURCE_INFO { Change::Gone } else { Change::None }))
            .map(Change::of),
        _ => Ok(Change::None),
    });
    bare.ok().flatten().map_or(Cow::Borrowed(set), Cow::Owned)
}
