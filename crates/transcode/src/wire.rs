//! The protobuf wire format: tags, varints and length-delimited messages, written in one pass.
//!
//! A message's length stands before it and is not known until it ends. Each opened message reserves the
//! widest length; the surplus is taken out in one compaction at the end, never by moving bytes per level,
//! so deep nesting stays linear. Lengths are therefore minimal in what leaves.

/// A value as it stands on the wire after its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(Vec<u8>),
}

impl Payload {
    /// Whether this is the value an absent field has; -0.0 is not.
    pub(crate) fn is_default(&self) -> bool {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => *value == 0,
            Self::Fixed32(value) => *value == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    fn wire_type(&self) -> u32 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => LENGTH_DELIMITED,
            Self::Fixed32(_) => 5,
        }
    }
}

const LENGTH_DELIMITED: u32 = 2;
/// Bytes reserved for a length: enough for 2^35.
const SLOT: usize = 5;
/// Nested messages a decoder is sure to accept (prost and the C++ and Java libraries stop at 100).
pub(crate) const MAX_DEPTH: usize = 100;

/// A length still to be compacted: where its slot is and how many of its bytes are used.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: usize,
    used: usize,
}

/// An open message, to be given back to [`Writer::close`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Open {
    slot: usize,
    saved: usize,
}

/// A state to return to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    len: usize,
    slots: usize,
    saved: usize,
    depth: usize,
}

/// Writes wire bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    slots: Vec<Slot>,
    /// Bytes that compaction will take out of what is written so far.
    saved: usize,
    depth: usize,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Whether one more message may be opened.
    pub(crate) fn may_open(&self) -> bool {
        self.depth < MAX_DEPTH
    }

    /// A field with its tag.
    pub(crate) fn field(&mut self, number: u32, payload: &Payload) {
        self.tag(number, payload.wire_type());
        self.payload(payload);
    }

    /// A length-delimited field whose bytes are at hand.
    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// A value without a tag: an element of a packed field.
    pub(crate) fn payload(&mut self, payload: &Payload) {
        match payload {
            Payload::Varint(value) => self.varint(*value),
            Payload::Fixed32(value) => self.out.extend_from_slice(&value.to_le_bytes()),
            Payload::Fixed64(value) => self.out.extend_from_slice(&value.to_le_bytes()),
            Payload::Bytes(bytes) => {
                self.varint(bytes.len() as u64);
                self.out.extend_from_slice(bytes);
            }
        }
    }

    /// Bytes that are wire format already: the fields of the message that is open.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Begins a length-delimited field: a message or a packed list.
    pub(crate) fn open(&mut self, number: u32) -> Open {
        self.tag(number, LENGTH_DELIMITED);
        let slot = self.slots.len();
        self.slots.push(Slot { at: self.out.len(), used: SLOT });
        self.out.extend_from_slice(&[0; SLOT]);
        self.depth += 1;
        Open { slot, saved: self.saved }
    }

    /// Whether nothing has been written since the opening.
    pub(crate) fn is_empty(&self, open: &Open) -> bool {
        self.out.len() == self.slots[open.slot].at + SLOT
    }

    /// Ends the field begun by [`Writer::open`]; fields are closed in the reverse order of opening.
    pub(crate) fn close(&mut self, open: Open) {
        let at = self.slots[open.slot].at;
        let length = self.out.len() - at - SLOT - (self.saved - open.saved);
        let mut buffer = [0; 10];
        let used = encode_varint(length as u64, &mut buffer);
        assert!(used <= SLOT, "a body limit keeps messages far below 2^35 bytes");
        self.out[at..at + used].copy_from_slice(&buffer[..used]);
        self.slots[open.slot].used = used;
        self.saved += SLOT - used;
        self.depth -= 1;
    }

    /// Where we are, for [`Writer::rewind`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.out.len(), slots: self.slots.len(), saved: self.saved, depth: self.depth }
    }

    /// Drops everything written since `mark`, open messages included.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        self.slots.truncate(mark.slots);
        self.saved = mark.saved;
        self.depth = mark.depth;
    }

    /// The finished bytes, every length in its shortest form.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let mut to = 0;
        let mut from = 0;
        for slot in &self.slots {
            let end = slot.at + slot.used;
            self.out.copy_within(from..end, to);
            to += end - from;
            from = slot.at + SLOT;
        }
        let length = self.out.len();
        self.out.copy_within(from..length, to);
        self.out.truncate(to + length - from);
        self.out
    }

    fn tag(&mut self, number: u32, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    fn varint(&mut self, value: u64) {
        let mut buffer = [0; 10];
        let used = encode_varint(value, &mut buffer);
        self.out.extend_from_slice(&buffer[..used]);
    }
}

fn encode_varint(mut value: u64, buffer: &mut [u8; 10]) -> usize {
    let mut used = 0;
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            buffer[used] = low;
            return used + 1;
        }
        buffer[used] = low | 0x80;
        used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_minimal_however_deep_the_nesting() {
        let mut writer = Writer::default();
        let outer = writer.open(1);
        writer.field(2, &Payload::Varint(300));
        let inner = writer.open(3);
        writer.bytes(1, &[b'x'; 200]);
        writer.close(inner);
        writer.close(outer);
        writer.field(4, &Payload::Fixed32(7));
        let wire = writer.finish();
        assert_eq!(wire[..2], [0x0a, 0xd1]);
        assert_eq!(wire[2], 0x01);
        assert_eq!(wire[3..6], [0x10, 0xac, 0x02]);
        assert_eq!(wire[6..9], [0x1a, 0xcb, 0x01]);
        assert_eq!(wire[wire.len() - 5..], [0x25, 7, 0, 0, 0]);
        assert_eq!(wire.len(), 3 + 209 + 5);
    }

    #[test]
    fn rewinding_forgets_open_messages() {
        let mut writer = Writer::default();
        writer.field(1, &Payload::Varint(1));
        let mark = writer.mark();
        let _dropped = writer.open(2);
        writer.bytes(1, b"gone");
        writer.rewind(mark);
        assert_eq!(writer.finish(), [0x08, 0x01]);
    }
}
