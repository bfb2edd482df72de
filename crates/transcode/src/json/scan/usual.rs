//! What most writers write, read without a detour: compact keys, short strings, small numbers. Each of these stands at the very next byte, or
//! nothing is passed and the scanner's general ways decide.

use super::super::find;
use super::Scanner;
use crate::ink::{self, Near, Stamp};
use crate::scalar::Small;

impl<'a> Scanner<'a> {
    /// A number of few digits, the usual one; `None` passes nothing.
    #[inline]
    pub(crate) fn small_number(&mut self) -> Option<Small> {
        let rest = &self.text.as_bytes()[self.at..];
        let small = Small::read(rest)?;
        if !ends_word(rest.get(small.len)) {
            return None;
        }
        self.at += small.len;
        Some(small)
    }

    /// As [`Scanner::small_number`], in quotes, as 64 bits have it.
    #[inline]
    pub(crate) fn quoted_small_number(&mut self) -> Option<Small> {
        let [b'"', rest @ ..] = &self.text.as_bytes()[self.at..] else { return None };
        let small = Small::read(rest)?;
        if rest.get(small.len) != Some(&b'"') {
            return None;
        }
        self.at += small.len + 2;
        Some(small)
    }

    /// `true` or `false`, if it stands at the very next byte; `None` passes nothing.
    #[inline]
    pub(crate) fn small_bool(&mut self) -> Option<bool> {
        let rest = &self.text.as_bytes()[self.at..];
        let value = rest.first() == Some(&b't');
        let after = rest.strip_prefix(if value { &b"true"[..] } else { b"false" })?;
        if !ends_word(after.first()) {
            return None;
        }
        self.at += rest.len() - after.len();
        Some(value)
    }

    /// A string of at most 31 bytes without escapes that stands at the very next byte, if enough follows it, as it does but at the end of
    /// a body. `None` passes nothing.
    #[inline]
    pub(crate) fn near_string(&mut self) -> Option<Near<'a>> {
        let [b'"', rest @ ..] = self.text.as_bytes().get(self.at..)? else { return None };
        let length = find::special_of(rest.first_chunk()?);
        let near = Near::new(rest, length)?;
        if near.bytes().get(length) != Some(&b'"') {
            return None;
        }
        self.at += length + 2;
        Some(near)
    }

    /// As [`Scanner::plain_string`], if a string stands at the very next byte.
    #[inline]
    pub(crate) fn next_plain_string(&mut self) -> Option<&'a str> {
        if self.byte() == Some(b'"') { self.plain_string() } else { None }
    }

    /// Passes `,"name":` if it stands here just so.
    #[inline]
    pub(crate) fn take_stamp(&mut self, key: &Stamp) -> bool {
        let taken = ink::begins_with(&self.text.as_bytes()[self.at..], key);
        if taken {
            self.at += key.len();
        }
        taken
    }

    /// Passes these very bytes, `"name":` or a colon, if they stand here.
    #[inline]
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let taken = ink::begins(&self.text.as_bytes()[self.at..], bytes);
        if taken {
            self.at += bytes.len();
        }
        taken
    }
}

/// Whether a number or a word ends before this byte.
#[inline]
fn ends_word(after: Option<&u8>) -> bool {
    matches!(after, Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') | None)
}
