//! The output of both directions: bytes that grow by short pieces, and how short pieces are copied and compared.
//!
//! Most of what is written are tags, keys, small numbers and short texts. A vector hands each of them to the C library's copy,
//! which costs more than the copy itself. Here up to 32 bytes are moved as two pieces of a fixed size, the first and the last, which may
//! overlap, or together with what stands behind them, which counts for nothing: registers, no call.

use std::ops::{Deref, DerefMut};

use wide::u8x16;

/// Most bytes of a short text.
pub(crate) const NEAR: usize = 32;

/// Room that is made at once.
const PAGE: usize = 4096;

/// Bytes that are written one after the other.
#[derive(Debug, Default)]
pub(crate) struct Ink {
    /// What is written, and room behind it whose content means nothing.
    bytes: Vec<u8>,
    len: usize,
}

impl Ink {
    /// Room for so many bytes before the first growth.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), len: 0 }
    }

    /// One byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        if let [place, ..] = self.room(1) {
            *place = byte;
        }
        self.len += 1;
    }

    /// A piece of any length.
    #[inline]
    pub(crate) fn extend_from_slice(&mut self, piece: &[u8]) {
        copy(self.room(piece.len()), piece);
        self.len += piece.len();
    }

    /// A piece that is written often.
    #[inline]
    pub(crate) fn stamp(&mut self, stamp: &Stamp) {
        match self.room(stamp.padded.len()).first_chunk_mut() {
            Some(room) if stamp.len() <= stamp.padded.len() => {
                *room = stamp.padded;
                self.len += stamp.len();
            }
            _ => self.extend_from_slice(stamp),
        }
    }

    /// A text behind its tag and its length.
    #[inline]
    pub(crate) fn field(&mut self, tag: &[u8], text: &[u8]) {
        if let ([tag], 0..0x80) = (tag, text.len()) {
            let [first, second, rest @ ..] = self.room(text.len() + 2) else { return };
            (*first, *second) = (*tag, text.len() as u8);
            copy(rest, text);
            self.len += text.len() + 2;
            return;
        }
        self.extend_from_slice(tag);
        self.varint(text.len() as u64);
        self.extend_from_slice(text);
    }

    /// A text between quotes, as it is.
    #[inline]
    pub(crate) fn quoted(&mut self, text: &[u8]) {
        if let [first, middle @ .., last] = self.room(text.len() + 2) {
            (*first, *last) = (b'"', b'"');
            copy(middle, text);
        }
        self.len += text.len() + 2;
    }

    /// A short text between quotes.
    #[inline]
    pub(crate) fn quoted_near(&mut self, near: Near<'_>) {
        let room = self.room_of::<{ NEAR + 2 }>();
        room[0] = b'"';
        room[1..][..NEAR].copy_from_slice(near.bytes);
        room[1 + near.len()] = b'"';
        self.len += near.len() + 2;
    }

    /// A short text behind a tag and its length.
    #[inline]
    pub(crate) fn field_near(&mut self, tag: u8, near: Near<'_>) {
        let room = self.room_of::<{ NEAR + 2 }>();
        (room[0], room[1]) = (tag, near.len);
        room[2..][..NEAR].copy_from_slice(near.bytes);
        self.len += near.len() + 2;
    }

    /// A number as protobuf writes it.
    #[inline]
    pub(crate) fn varint(&mut self, value: u64) {
        if value < 0x80 {
            return self.push(value as u8);
        }
        let mut buffer = [0; 10];
        let used = encode_varint(value, &mut buffer);
        self.extend_from_slice(&buffer[..used]);
    }

    /// A piece of at most `most` bytes that `fill` writes; it says how many there are. Nothing is added if it fails.
    pub(crate) fn filled<E>(&mut self, most: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let used = fill(self.room(most))?;
        self.len += used.min(most);
        Ok(())
    }

    /// Drops what stands behind the first `len` bytes.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// What was written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    /// The next `N` bytes of room.
    #[inline]
    fn room_of<const N: usize>(&mut self) -> &mut [u8; N] {
        if self.bytes.len() - self.len < N {
            self.grow(N);
        }
        match self.bytes[self.len..].first_chunk_mut() {
            Some(room) => room,
            None => unreachable!("room has just been made"),
        }
    }

    /// The next `bytes` bytes of room.
    #[inline]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < bytes {
            self.grow(bytes);
        }
        &mut self.bytes[self.len..][..bytes]
    }

    /// Makes room a page at a time: it is near when it is written.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) {
        let needed = self.len + bytes;
        if needed > self.bytes.capacity() {
            self.bytes.reserve(needed.max(2 * self.len) - self.bytes.len());
        }
        self.bytes.resize(needed.max((self.len + PAGE).min(self.bytes.capacity())), 0);
    }
}

impl Deref for Ink {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Ink {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

/// A short text with all the bytes that begin with it, which are looked at and copied at once, whatever of them is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near<'a> {
    bytes: &'a [u8; NEAR],
    /// Never more than [`NEAR`].
    len: u8,
}

impl<'a> Near<'a> {
    /// The first `len` bytes; `None` if that is not short, or fewer than [`NEAR`] bytes stand here.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], len: usize) -> Option<Self> {
        let bytes = bytes.first_chunk()?;
        (len <= NEAR).then_some(Self { bytes, len: len as u8 })
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        usize::from(self.len)
    }

    /// The text and what follows it.
    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8; NEAR] {
        self.bytes
    }

    /// The text.
    #[inline]
    pub(crate) fn text(self) -> &'a [u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }
}

/// A piece that is written and looked for often: up to 32 bytes of it are one copy of a fixed size.
#[derive(Debug)]
pub(crate) struct Stamp {
    bytes: Box<[u8]>,
    padded: [u8; NEAR],
    /// A bit for each byte of `padded` that lies behind the piece.
    behind: u32,
}

impl From<Ink> for Stamp {
    fn from(ink: Ink) -> Self {
        let mut padded = [0; NEAR];
        padded.iter_mut().zip(ink.iter()).for_each(|(to, from)| *to = *from);
        let behind = u32::MAX.checked_shl(ink.len() as u32).unwrap_or(0);
        Self { bytes: ink.finish().into(), padded, behind }
    }
}

impl Deref for Stamp {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a number as protobuf does; says how many bytes it takes.
#[inline]
pub(crate) fn encode_varint(mut value: u64, buffer: &mut [u8; 10]) -> usize {
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

/// Copies between two slices of one length.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0 => {}
        1..=3 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        4..=7 => ends::<4>(to, from),
        8..=15 => ends::<8>(to, from),
        16..=32 => ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// The first and the last `N` bytes, which are all if there are at most twice as many.
#[inline]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return };
    if let Some(to) = to.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = *last;
    }
}

/// Whether `text` begins with what is written often.
#[inline]
pub(crate) fn begins_with(text: &[u8], stamp: &Stamp) -> bool {
    match text.first_chunk() {
        Some(near) if stamp.len() <= NEAR => equal(near, &stamp.padded) | stamp.behind == u32::MAX,
        _ => begins(text, stamp),
    }
}

/// A bit for each byte that is the same.
#[inline]
fn equal(one: &[u8; NEAR], other: &[u8; NEAR]) -> u32 {
    let ([first, second], [other_first, other_second]) = (halves(one), halves(other));
    first.simd_eq(other_first).to_bitmask() | second.simd_eq(other_second).to_bitmask() << 16
}

/// As two vectors.
#[inline]
pub(crate) fn halves(near: &[u8; NEAR]) -> [u8x16; 2] {
    let (Some(first), Some(second)) = (near.first_chunk(), near.last_chunk()) else { unreachable!("of 32 bytes") };
    [u8x16::new(*first), u8x16::new(*second)]
}

/// Whether `text` begins with a short `piece`.
#[inline]
pub(crate) fn begins(text: &[u8], piece: &[u8]) -> bool {
    let Some(text) = text.get(..piece.len()) else { return false };
    match piece.len() {
        4..=7 => same::<4>(text, piece),
        8..=15 => same::<8>(text, piece),
        16..=32 => same::<16>(text, piece),
        _ => text == piece,
    }
}

#[inline]
fn same<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
}

#[cfg(test)]
mod tests {
    use super::{Ink, NEAR, Near, PAGE, Stamp, begins, begins_with};

    fn stamp(bytes: &[u8]) -> Stamp {
        let mut ink = Ink::default();
        ink.extend_from_slice(bytes);
        Stamp::from(ink)
    }

    #[test]
    fn pieces_of_every_length_stand_one_after_the_other() {
        let text: Vec<u8> = (1..=100).collect();
        for capacity in [0, 1, 50, 10_000] {
            let (mut ink, mut expected) = (Ink::with_capacity(capacity), Vec::new());
            for length in 0..text.len() {
                ink.extend_from_slice(&text[..length]);
                expected.extend_from_slice(&text[..length]);
                ink.push(0);
                expected.push(0);
                assert_eq!(*ink, *expected, "{length}");
            }
            ink.truncate(700);
            ink.truncate(900);
            expected.truncate(700);
            assert_eq!(ink.filled(3, |room| Err::<usize, usize>(room.len())), Err(3));
            let fill = |room: &mut [u8]| {
                room[..2].copy_from_slice(b"ab");
                Ok::<_, ()>(2)
            };
            assert_eq!(ink.filled(3, fill), Ok(()));
            expected.extend_from_slice(b"ab");
            assert_eq!(ink.finish(), expected);
        }
    }

    #[test]
    fn short_texts_leave_nothing_behind_them() {
        let bytes: Vec<u8> = (1..=NEAR as u8).collect();
        for capacity in [0, 1, NEAR + 1, NEAR + 2, NEAR + 3, PAGE + 1] {
            let (mut ink, mut expected) = (Ink::with_capacity(capacity), Vec::new());
            for (length, before) in (0..=NEAR).flat_map(|length| [(length, 0), (length, PAGE - 40)]) {
                let near = Near::new(&bytes, length).expect("it is short");
                (0..before).for_each(|_| ink.push(b'.'));
                ink.quoted_near(near);
                ink.push(b',');
                ink.field_near(10, near);
                expected.resize(expected.len() + before, b'.');
                expected.extend([b"\"", near.text(), b"\",\n", &[length as u8], near.text()].concat());
                assert_eq!(*ink, *expected, "{length}");
            }
            assert_eq!(ink.finish(), expected);
        }
        assert!(Near::new(&bytes, NEAR + 1).is_none() && Near::new(&bytes[1..], 1).is_none());
    }

    #[test]
    fn stamps_leave_what_they_are() {
        for length in 0..70_u8 {
            let mut ink = Ink::default();
            (0..length).for_each(|byte| ink.push(byte));
            let (expected, stamp) = (ink.to_vec(), Stamp::from(ink));
            let mut ink = Ink::with_capacity(1);
            for _ in 0..3 {
                ink.stamp(&stamp);
            }
            assert_eq!(ink.finish(), expected.repeat(3));
        }
    }

    #[test]
    fn a_beginning_is_told_from_what_differs_in_any_byte() {
        let text: Vec<u8> = (1..=100).collect();
        for length in 0..=text.len() {
            assert!(begins(&text, &text[..length]), "{length}");
            assert!(begins_with(&text, &stamp(&text[..length])), "{length}");
            assert!(begins_with(&text[..length], &stamp(&text[..length])), "{length}");
            assert_eq!(begins(&text[..length], &text), length == text.len());
            assert_eq!(begins_with(&text[..length], &stamp(&text)), length == text.len());
            for place in 0..length {
                let mut piece = text[..length].to_vec();
                piece[place] ^= 1;
                assert!(!begins(&text, &piece), "{place} of {length}");
                assert!(!begins_with(&text, &stamp(&piece)), "{place} of {length}");
            }
        }
    }
}
