//! Descriptors as bytes: single fields changed, everything else, custom options above all, left byte for byte.
use prost::DecodeError;

use crate::wire::{Cursor, Key, Malformed, Writer};

/// The bytes are no descriptor.
pub(crate) struct Unreadable;

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl From<DecodeError> for Unreadable {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// What becomes of one field of a message.
pub(crate) enum Change {
    /// It stays, byte for byte.
    None,
    /// It gets this content.
    To(Vec<u8>),
    /// It goes.
    Gone,
}

impl Change {
    /// This content, if there is one.
    pub(crate) fn of(content: Option<Vec<u8>>) -> Self {
        content.map_or(Self::None, Self::To)
    }
}

/// The message with what `change` makes of each of its fields, by number and length-delimited content; `None` if nothing changes.
pub(crate) fn rewritten(
    message: &[u8],
    mut change: impl FnMut(u32, &[u8]) -> Result<Change, Unreadable>,
) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut out = Writer::with_capacity(message.len() + message.len() / 8);
    let (mut cursor, mut from, mut is_changed) = (Cursor::new(message), message, false);
    while let Some(key) = cursor.key()? {
        let mut content: &[u8] = &[];
        match key.wire_type() {
            Key::LENGTH => content = cursor.bytes()?,
            _ => cursor.skip(key)?,
        }
        let (whole, rest) = from.split_at(from.len() - cursor.remaining());
        from = rest;
        let changed = change(key.number(), content)?;
        is_changed |= !matches!(changed, Change::None);
        match changed {
            Change::None => out.raw(whole),
            Change::To(content) => out.bytes(key.number(), &content),
            Change::Gone => {}
        }
    }
    Ok(is_changed.then(|| out.finish()))
}
