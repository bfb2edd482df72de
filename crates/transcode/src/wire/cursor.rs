//! Reads the wire format without believing it: every length is checked against what is there, tags and
//! varints against their limits, and unmatched groups are refused.

use crate::ink::Near;

/// What is wrong with the bytes; the sentence is for the log of whoever sent them. Behind a thin pointer: it is returned, almost never
/// there, through every level, and so in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static &'static str);

const TRUNCATED: Malformed = Malformed(&"it ends in the middle of a field");
const BAD_TAG: Malformed = Malformed(&"it holds a tag that does not exist");
const BAD_GROUP: Malformed = Malformed(&"a group is not closed where it was opened");

/// Groups that may be open at once.
const MAX_GROUPS: usize = 100;

/// A tag: field number and wire type together, as they stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    pub(crate) const VARINT: u32 = 0;
    pub(crate) const FIXED64: u32 = 1;
    pub(crate) const LENGTH: u32 = 2;
    pub(crate) const START_GROUP: u32 = 3;
    pub(crate) const END_GROUP: u32 = 4;
    pub(crate) const FIXED32: u32 = 5;

    pub(crate) fn new(number: u32, wire_type: u32) -> Self {
        Self(number << 3 | wire_type)
    }

    #[inline]
    pub(crate) fn number(self) -> u32 {
        self.0 >> 3
    }

    #[inline]
    pub(crate) fn wire_type(self) -> u32 {
        self.0 & 7
    }
}

/// A place in wire bytes; `Clone` is a look-ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'w> {
    rest: &'w [u8],
}

impl<'w> Cursor<'w> {
    #[inline]
    pub(crate) fn new(wire: &'w [u8]) -> Self {
        Self { rest: wire }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next tag; `None` at the end.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Option<Key>, Malformed> {
        let Some((first, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        let tag = if *first < 0x80 {
            self.rest = rest;
            u32::from(*first)
        } else {
            self.long_tag()?
        };
        if tag < 8 || tag & 7 > Key::FIXED32 {
            return Err(BAD_TAG);
        }
        Ok(Some(Key(tag)))
    }

    /// A tag of two to five bytes: a padded or a wider one is refused as the C++ library refuses it.
    fn long_tag(&mut self) -> Result<u32, Malformed> {
        let mut tag: u32 = 0;
        for (index, byte) in self.rest.iter().take(5).enumerate() {
            if index == 4 && *byte > 0x0f {
                return Err(BAD_TAG);
            }
            tag |= u32::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(tag);
            }
        }
        Err(TRUNCATED)
    }

    /// Passes these very bytes if they come next.
    #[inline]
    pub(crate) fn take_if(&mut self, bytes: &[u8]) -> bool {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value: u64 = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && *byte > 1 {
                return Err(Malformed(&"it holds a number of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(TRUNCATED)
    }

    #[inline]
    pub(crate) fn fixed32(&mut self) -> Result<u32, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'w [u8], Malformed> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| TRUNCATED)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next byte; `None` at the end.
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// Bytes behind their length, if they are short and enough others follow, as they do but at the end of a message. `None` passes
    /// nothing.
    #[inline]
    pub(crate) fn near(&mut self) -> Option<Near<'w>> {
        let (length, text) = self.rest.split_first()?;
        let near = Near::new(text, usize::from(*length))?;
        self.rest = text.get(near.len()..)?;
        Some(near)
    }

    /// Passes the value behind `key`.
    #[inline]
    pub(crate) fn skip(&mut self, key: Key) -> Result<(), Malformed> {
        match key.wire_type() {
            Key::VARINT => self.varint().map(drop),
            Key::FIXED64 => self.fixed64().map(drop),
            Key::LENGTH => self.bytes().map(drop),
            Key::START_GROUP => self.group(key.number()).map(drop),
            Key::FIXED32 => self.fixed32().map(drop),
            _ => Err(BAD_GROUP),
        }
    }

    /// The content of the group whose start tag has been read.
    pub(crate) fn group(&mut self, number: u32) -> Result<&'w [u8], Malformed> {
        let whole = self.rest;
        // A list instead of recursion: nesting is the sender's choice, the stack is ours.
        let mut open = [0; MAX_GROUPS];
        open[0] = number;
        let mut depth = 1;
        loop {
            let before = self.rest.len();
            let key = self.key()?.ok_or(BAD_GROUP)?;
            match key.wire_type() {
                Key::START_GROUP => {
                    *open.get_mut(depth).ok_or(Malformed(&"its groups nest too deep"))? = key.number();
                    depth += 1;
                }
                Key::END_GROUP => {
                    depth -= 1;
                    if open[depth] != key.number() {
                        return Err(BAD_GROUP);
                    }
                    if depth == 0 {
                        return Ok(&whole[..whole.len() - before]);
                    }
                }
                _ => self.skip(key)?,
            }
        }
    }
}

/// The signed number in a zigzag varint.
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::{Cursor, unzigzag};

    #[test]
    fn numbers_and_lengths_are_checked() {
        assert_eq!(Cursor::new(&[0xac, 0x02]).varint(), Ok(300));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).varint(), Ok(u64::MAX));
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint().is_err());
        assert!(Cursor::new(&[0x80]).varint().is_err());
        assert!(Cursor::new(&[5, 1, 2]).bytes().is_err());
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).bytes().is_err());
        assert!(Cursor::new(&[1, 2, 3]).fixed32().is_err());
        assert_eq!((unzigzag(1), unzigzag(2), unzigzag(u64::MAX)), (-1, 1, i64::MIN));
    }

    #[test]
    fn short_texts_are_those_with_others_behind_them() {
        for (length, behind, short) in
            [(0, 32, true), (0, 31, false), (32, 0, true), (31, 0, false), (33, 40, false), (5, 40, true)]
        {
            let bytes = [vec![length as u8], vec![b'a'; length + behind]].concat();
            let mut cursor = Cursor::new(&bytes);
            let near = cursor.near();
            assert_eq!(near.map(|near| near.text().len()), short.then_some(length));
            assert_eq!(cursor.remaining(), if short { behind } else { bytes.len() });
        }
        assert!(Cursor::new(&[]).near().is_none());
    }

    #[test]
    fn tags_that_do_not_exist_are_refused() {
        for bytes in [
            &[0x00][..],
            &[0x07],
            &[0x0e],
            &[0x88, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x88, 0x80, 0x80, 0x80, 0x10],
            &[0x80],
        ] {
            assert!(Cursor::new(bytes).key().is_err(), "{bytes:?}");
        }
        let key = Cursor::new(&[0xf8, 0xff, 0xff, 0xff, 0x0f]).key().expect("well-formed").expect("not the end");
        assert_eq!((key.number(), key.wire_type()), ((1 << 29) - 1, 0));
    }

    #[test]
    fn groups_end_where_they_began() {
        assert_eq!(Cursor::new(&[0x10, 1, 0x13, 0x14, 0x0c, 9]).group(1).expect("well-formed"), [0x10, 1, 0x13, 0x14]);
        for bytes in [&[0x14][..], &[0x13, 0x0c], &[0x10, 1]] {
            assert!(Cursor::new(bytes).group(1).is_err(), "{bytes:?}");
        }
        assert!(Cursor::new(&[0x0b; 1_000]).group(1).is_err());
    }
}
