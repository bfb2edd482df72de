//! The protobuf wire format: tags, varints and length-delimited messages, written in one pass.
//!
//! A message's length stands before it and is not known until it ends. Its width is guessed from the last
//! message at the same depth. After a wrong guess what is little is moved; all else is noted, and all notes are settled in one pass
//! at the end, so deep nesting stays linear. What leaves has minimal lengths.

mod cursor;

pub(crate) use cursor::{Cursor, Key, Malformed, unzigzag};

use crate::ink::{Ink, Near, encode_varint};
use crate::plan::{Tag, Tags};

/// A value as it stands on the wire after its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(Vec<u8>),
}

impl Payload {
    fn wire_type(&self) -> u32 {
        match self {
            Self::Varint(_) => Key::VARINT,
            Self::Fixed64(_) => Key::FIXED64,
            Self::Bytes(_) => Key::LENGTH,
            Self::Fixed32(_) => Key::FIXED32,
        }
    }
}

/// Nested messages a decoder is sure to accept (prost and the C++ and Java libraries stop at 100).
pub(crate) const MAX_DEPTH: usize = 100;

/// Most bytes of one message that are moved at once.
const MOVED: usize = 1024;

/// A length whose guessed width was wrong.
#[derive(Debug, Clone, Copy)]
struct Note {
    at: usize,
    width: usize,
    length: usize,
}

/// An open message, to be given back to [`Writer::close`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Open {
    at: usize,
    width: usize,
    shift: isize,
}

/// A state to return to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    len: usize,
    notes: usize,
    shift: isize,
    depth: usize,
}

/// Writes wire bytes.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Ink,
    notes: Vec<Note>,
    /// By how many bytes settling the notes will change the length of what is written so far.
    shift: isize,
    depth: usize,
    /// Bytes that were moved because of a wrong guess.
    moved: usize,
    /// The width of the last length, by depth.
    widths: [u8; MAX_DEPTH],
}

impl Default for Writer {
    fn default() -> Self {
        Self { out: Ink::default(), notes: Vec::new(), shift: 0, depth: 0, moved: 0, widths: [1; MAX_DEPTH] }
    }
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Ink::with_capacity(bytes), ..Self::default() }
    }

    /// Writes behind so many bytes of room, which are the first of what [`Writer::finish`] gives.
    pub(crate) fn behind(room: usize, bytes: usize) -> Self {
        let mut writer = Self::with_capacity(room + bytes);
        (0..room).for_each(|_| writer.out.push(0));
        writer
    }

    /// How many messages may be opened, one in the other.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        MAX_DEPTH.saturating_sub(self.depth)
    }

    /// Bytes written so far; a key to [`Writer::written`].
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Bytes as they stand now; lengths in them may still change.
    #[inline]
    pub(crate) fn written(&self, from: usize, to: usize) -> &[u8] {
        self.out.get(from..to).unwrap_or_default()
    }

    /// A field with its tag.
    pub(crate) fn field(&mut self, number: u32, payload: &Payload) {
        self.key(number, payload.wire_type());
        self.payload(payload);
    }

    /// A number with its tag.
    #[inline]
    pub(crate) fn number(&mut self, number: u32, value: u64) {
        self.key(number, Key::VARINT);
        self.varint(value);
    }

    /// A length-delimited field whose bytes are at hand.
    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.key(number, Key::LENGTH);
        self.delimited(bytes);
    }

    /// A group whose content is at hand.
    pub(crate) fn group(&mut self, number: u32, content: &[u8]) {
        self.key(number, Key::START_GROUP);
        self.raw(content);
        self.key(number, Key::END_GROUP);
    }

    /// A length and its bytes.
    #[inline]
    pub(crate) fn delimited(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// A value without a tag.
    pub(crate) fn payload(&mut self, payload: &Payload) {
        match payload {
            Payload::Varint(value) => self.varint(*value),
            Payload::Fixed32(value) => self.raw(&value.to_le_bytes()),
            Payload::Fixed64(value) => self.raw(&value.to_le_bytes()),
            Payload::Bytes(bytes) => self.delimited(bytes),
        }
    }

    /// Bytes that are wire format already.
    #[inline]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length-delimited field whose tag is ready and whose bytes are at hand.
    #[inline]
    pub(crate) fn text(&mut self, tag: &Tag, text: &[u8]) {
        self.out.field(tag.bytes(), text);
    }

    /// As [`Writer::text`], for a short one.
    #[inline]
    pub(crate) fn text_near(&mut self, tag: &Tag, near: Near<'_>) {
        match tag.bytes() {
            [tag] => self.out.field_near(*tag, near),
            tag => self.out.field(tag, near.text()),
        }
    }

    /// A tag: one byte as a rule.
    #[inline]
    pub(crate) fn tag(&mut self, tag: &Tag) {
        match tag.bytes() {
            [byte] => self.out.push(*byte),
            bytes => self.out.extend_from_slice(bytes),
        }
    }

    /// A number behind its tag.
    #[inline]
    pub(crate) fn tagged(&mut self, tag: &Tag, value: u64) {
        match tag.bytes() {
            [tag] if value < 0x80 => self.out.extend_from_slice(&[*tag, value as u8]),
            _ => {
                self.tag(tag);
                self.varint(value);
            }
        }
    }

    /// Bytes that `fill` appends, at most `most` of them, behind their length.
    pub(crate) fn filled<E>(&mut self, most: usize, fill: impl FnOnce(&mut Ink) -> Result<(), E>) -> Result<(), E> {
        let at = self.out.len();
        let width = varint_len(most as u64);
        self.out.extend_from_slice(&[0; 10][..width]);
        fill(&mut self.out)?;
        let length = self.out.len() - at - width;
        let mut buffer = [0; 10];
        let used = encode_varint(length as u64, &mut buffer);
        if used < width {
            self.out.copy_within(at + width.., at + used);
            self.out.truncate(at + used + length);
        }
        self.out[at..at + used].copy_from_slice(&buffer[..used]);
        Ok(())
    }

    /// Begins a length-delimited field: a message or a packed list.
    pub(crate) fn open(&mut self, number: u32) -> Open {
        self.key(number, Key::LENGTH);
        self.begin()
    }

    /// As [`Writer::open`], with a tag that is ready.
    #[inline]
    pub(crate) fn open_tag(&mut self, tag: &Tag) -> Open {
        self.tag(tag);
        self.begin()
    }

    #[inline]
    fn begin(&mut self) -> Open {
        let width = self.widths.get(self.depth).map_or(1, |width| usize::from(*width));
        let open = Open { at: self.out.len(), width, shift: self.shift };
        self.out.extend_from_slice(&[0; 10][..width]);
        self.depth += 1;
        open
    }

    /// Begins a group; it ends with [`Writer::close_group`].
    pub(crate) fn open_group(&mut self, tag: &Tag) {
        self.tag(tag);
        self.depth += 1;
    }

    pub(crate) fn close_group(&mut self, tag: &Tag) {
        self.tag(tag);
        self.depth -= 1;
    }

    /// Begins a message of either form; it ends with [`Writer::close_tags`].
    pub(crate) fn open_tags(&mut self, tags: &Tags) -> Option<Open> {
        if tags.last.is_none() {
            return Some(self.open_tag(&tags.first));
        }
        self.open_group(&tags.first);
        None
    }

    pub(crate) fn close_tags(&mut self, tags: &Tags, open: Option<Open>) {
        match (&tags.last, open) {
            (Some(last), _) => self.close_group(last),
            (None, Some(open)) => self.close(open),
            (None, None) => {}
        }
    }

    /// A value behind its tag; the bytes of a message may be wanted as a group.
    pub(crate) fn value(&mut self, tags: &Tags, payload: &Payload) {
        self.tag(&tags.first);
        match (&tags.last, payload) {
            (Some(last), Payload::Bytes(message)) => {
                self.raw(message);
                self.tag(last);
            }
            _ => self.payload(payload),
        }
    }

    /// Whether nothing has been written since the opening.
    #[inline]
    pub(crate) fn is_empty(&self, open: &Open) -> bool {
        self.out.len() == open.at + open.width
    }

    /// Ends the field begun by [`Writer::open`]; fields are closed in the reverse order of opening. What stands in it may move by a
    /// byte: nobody keeps its place.
    #[inline]
    pub(crate) fn close(&mut self, open: Open) {
        self.end(&open, true);
    }

    /// As [`Writer::close`], for a field in which places are kept.
    pub(crate) fn close_still(&mut self, open: Open) {
        self.end(&open, false);
    }

    #[inline]
    fn end(&mut self, open: &Open, moves: bool) {
        let written = self.out.len() - open.at - open.width;
        let length = written.wrapping_add_signed(self.shift - open.shift);
        self.depth -= 1;
        let mut buffer = [0; 10];
        let used = encode_varint(length as u64, &mut buffer);
        if used != open.width && !(moves && self.made_way(open, used, written)) {
            return self.note(open, used, length);
        }
        self.out[open.at..open.at + used].copy_from_slice(&buffer[..used]);
    }

    /// Moves what is little, so that a wrong guess here and there costs no second pass. All moves together cost no more than what is
    /// written.
    #[cold]
    fn made_way(&mut self, open: &Open, used: usize, written: usize) -> bool {
        let little = written <= MOVED && self.moved + written <= self.out.len() + MOVED;
        if !little || self.notes.last().is_some_and(|note| note.at > open.at) {
            return false;
        }
        self.moved += written;
        let from = open.at + open.width;
        if used > open.width {
            self.out.extend_from_slice(&[0; 10][..used - open.width]);
        }
        self.out.copy_within(from..from + written, open.at + used);
        self.out.truncate(open.at + used + written);
        self.guess(used);
        true
    }

    /// The next message at this depth is taken to be like this one.
    fn guess(&mut self, used: usize) {
        if let Some(width) = self.widths.get_mut(self.depth) {
            *width = used as u8;
        }
    }

    #[cold]
    fn note(&mut self, open: &Open, used: usize, length: usize) {
        self.notes.push(Note { at: open.at, width: open.width, length });
        self.shift += used as isize - open.width as isize;
        self.guess(used);
    }

    /// Where we are, for [`Writer::rewind`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.out.len(), notes: self.notes.len(), shift: self.shift, depth: self.depth }
    }

    /// Drops everything written since `mark`, open messages included.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        self.notes.truncate(mark.notes);
        self.shift = mark.shift;
        self.depth = mark.depth;
    }

    /// The finished bytes, every length in its shortest form.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.notes.is_empty() {
            return self.out.finish();
        }
        // Inner messages close first, but stand behind.
        self.notes.sort_unstable_by_key(|note| note.at);
        let mut settled = Vec::with_capacity(self.out.len().wrapping_add_signed(self.shift));
        let mut from = 0;
        for note in &self.notes {
            settled.extend_from_slice(&self.out[from..note.at]);
            let mut buffer = [0; 10];
            let used = encode_varint(note.length as u64, &mut buffer);
            settled.extend_from_slice(&buffer[..used]);
            from = note.at + note.width;
        }
        settled.extend_from_slice(&self.out[from..]);
        settled
    }

    #[inline]
    fn key(&mut self, number: u32, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    #[inline]
    pub(crate) fn varint(&mut self, value: u64) {
        self.out.varint(value);
    }
}

/// Bytes of a varint.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::{Ink, MOVED, Payload, Writer, varint_len};

    #[test]
    fn lengths_are_minimal_however_deep() {
        let mut writer = Writer::default();
        let outer = writer.open(1);
        writer.field(2, &Payload::Varint(300));
        let inner = writer.open(3);
        writer.bytes(1, &[b'x'; 200]);
        writer.close(inner);
        writer.close(outer);
        writer.field(4, &Payload::Fixed32(7));
        // The guess is now two bytes, which is one too many.
        let short = writer.open(1);
        writer.field(2, &Payload::Varint(1));
        writer.close(short);
        let wire = writer.finish();
        assert_eq!(wire[..9], [0x0a, 0xd1, 0x01, 0x10, 0xac, 0x02, 0x1a, 0xcb, 0x01]);
        assert_eq!(wire[wire.len() - 9..], [0x25, 7, 0, 0, 0, 0x0a, 2, 0x10, 1]);
        assert_eq!(wire.len(), 3 + 209 + 5 + 4);
    }

    #[test]
    fn rewinding_forgets_open_messages_and_wrong_guesses() {
        let mut writer = Writer::default();
        writer.field(1, &Payload::Varint(1));
        let mark = writer.mark();
        let outer = writer.open(2);
        let inner = writer.open(2);
        writer.bytes(1, &[b'x'; 200]);
        writer.close(inner);
        let _dropped = outer;
        writer.rewind(mark);
        assert_eq!(writer.finish(), [0x08, 0x01]);
    }

    /// Messages in messages, the innermost of so many bytes, and the same once more: what was guessed is wrong twice.
    fn nested(writer: &mut Writer, levels: usize, bytes: usize) -> Vec<u8> {
        let mut expected = Vec::new();
        for bytes in [bytes, 1, bytes] {
            let open: Vec<_> = (0..levels).map(|_| writer.open(1)).collect();
            writer.bytes(2, &vec![b'x'; bytes]);
            open.into_iter().rev().for_each(|open| writer.close(open));
            let delimited = |number: u8, content: &[u8]| {
                let mut ink = Ink::default();
                ink.field(&[number << 3 | 2], content);
                ink.finish()
            };
            let inner = delimited(2, &vec![b'x'; bytes]);
            expected.extend((0..levels).fold(inner, |content, _| delimited(1, &content)));
        }
        expected
    }

    #[test]
    fn little_is_moved_and_much_is_noted() {
        for levels in [1, 2, 50] {
            for bytes in [3, 127, 128, 200, MOVED - 60, MOVED + 60, 20_000] {
                let mut writer = Writer::default();
                let expected = nested(&mut writer, levels, bytes);
                assert!(writer.moved <= writer.len() + 2 * MOVED, "{} of {}", writer.moved, writer.len());
                assert_eq!(writer.finish(), expected, "{bytes} bytes in {levels} levels");
            }
        }
        let mut writer = Writer::default();
        nested(&mut writer, 1, 300);
        assert!(writer.notes.is_empty() && writer.moved > 0);
    }

    #[test]
    fn filled_bytes_have_a_minimal_length() {
        let mut writer = Writer::default();
        let fill = |out: &mut Ink| -> Result<(), ()> {
            out.extend_from_slice(b"abc");
            Ok(())
        };
        assert_eq!(writer.filled(100_000, fill), Ok(()));
        assert_eq!(writer.finish(), *b"\x03abc");
        assert_eq!([0, 127, 128, u64::MAX].map(varint_len), [1, 1, 2, 10]);
    }
}
