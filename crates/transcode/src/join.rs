//! Makes each message that path, query or a header bind into stand once on the wire.
//!
//! What is bound and what the body says are written one after the other. By protobuf's rules occurrences of one message
//! merge, but protobufjs and others keep the last one only: what the path binds would be lost there.
use std::borrow::Cow;

use crate::wire::{Cursor, Key, Malformed, Writer};

/// The same message, in which no message that one of these field paths leads through stands twice. Bytes that are no
/// message stay as they are.
#[must_use]
pub fn joined<'w>(wire: &'w [u8], paths: &[&[u32]]) -> Cow<'w, [u8]> {
    let mut messages: Vec<u32> = paths.iter().filter(|path| path.len() > 1).map(|path| path[0]).collect();
    messages.sort_unstable();
    messages.dedup();
    let mut whole = Cow::Borrowed(wire);
    for number in messages {
        let below: Vec<&[u32]> = paths.iter().filter(|path| path[0] == number).map(|path| &path[1..]).collect();
        if let Ok(Some(once)) = once(&whole, number, &below) {
            whole = Cow::Owned(once);
        }
    }
    whole
}

/// The message with this field once, where its first occurrence stood; `None` when it stands once already.
fn once(wire: &[u8], number: u32, below: &[&[u32]]) -> Result<Option<Vec<u8>>, Malformed> {
    let (mut parts, mut first) = (Vec::new(), 0);
    let mut rest = Vec::with_capacity(wire.len());
    let mut cursor = Cursor::new(wire);
    let (mut from, mut is_group) = (wire, false);
    while let Some(key) = cursor.key()? {
        let part = match key.wire_type() {
            Key::LENGTH if key.number() == number => Some(cursor.bytes()?),
            Key::START_GROUP if key.number() == number => Some(cursor.group(number)?),
            _ => cursor.skip(key).map(|()| None)?,
        };
        if let Some(part) = part {
            if parts.is_empty() {
                (first, is_group) = (rest.len(), key.wire_type() == Key::START_GROUP);
            }
            parts.push(part);
        } else {
            rest.extend_from_slice(&from[..from.len() - cursor.remaining()]);
        }
        from = &wire[wire.len() - cursor.remaining()..];
    }
    if parts.len() < 2 {
        return Ok(None);
    }
    let content = parts.concat();
    let mut out = Writer::with_capacity(wire.len());
    out.raw(&rest[..first]);
    let content = joined(&content, below);
    if is_group {
        out.group(number, &content)
    } else {
        out.bytes(number, &content)
    }
    out.raw(&rest[first..]);
    Ok(Some(out.finish()))
}

#[cfg(test)]
mod tests {
    use super::joined;

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, content.len() as u8], content].concat()
    }

    #[test]
    fn occurrences_become_one_at_the_first_place() {
        let (a, b, other) = (field(1, b"a"), field(2, b"b"), [0x28, 7]);
        let wire = [&field(3, &a)[..], &other, &field(3, &b)].concat();
        assert_eq!(*joined(&wire, &[&[3, 1]]), [&field(3, &[&a[..], &b].concat())[..], &other].concat());
        assert_eq!(*joined(&wire, &[&[3]]), wire, "the path ends there");
        assert_eq!(*joined(&wire, &[&[4, 1]]), wire);
    }

    #[test]
    fn groups_stay_groups() {
        let wire = [&[0x1b][..], &field(1, b"a"), &[0x1c, 0x28, 7, 0x1b], &field(2, b"b"), &[0x1c]].concat();
        let once = [&[0x1b][..], &field(1, b"a"), &field(2, b"b"), &[0x1c, 0x28, 7]].concat();
        assert_eq!(*joined(&wire, &[&[3, 1]]), once);
    }

    #[test]
    fn deeper_ones_too_and_broken_bytes_stay() {
        let deep = |content: &[u8]| field(3, &field(4, content));
        let wire = [deep(b"ab"), deep(b"cd")].concat();
        assert_eq!(*joined(&wire, &[&[3, 4, 1]]), deep(b"abcd"));
        assert_eq!(*joined(&wire[..wire.len() - 1], &[&[3, 4, 1]]), wire[..wire.len() - 1]);
    }
}
