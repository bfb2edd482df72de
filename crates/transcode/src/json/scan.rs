//! A strict RFC 8259 scanner over one complete text, pulled by whoever knows what should come next.
//!
//! UTF-8 is checked once, nesting is bounded, the ends of strings are found many bytes at a time and borrowed
//! where they hold no escape. Every fault carries the byte it was found at; [`Scanner::position`] turns it into line and
//! column.

mod usual;

use std::borrow::Cow;

use super::fault::Fault;
use super::find;
use crate::name;

/// Objects and arrays that may be open at once.
pub(crate) const MAX_DEPTH: usize = 100;

const MALFORMED: &str = "MALFORMED_JSON";

/// The kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// As error messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

/// The scanner; `Clone` is a look-ahead.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    depth_max: usize,
}

impl<'a> Scanner<'a> {
    /// Checks that the bytes are UTF-8. So many objects and arrays may be open, at most [`MAX_DEPTH`].
    pub(crate) fn new(bytes: &'a [u8], depth_max: usize) -> Result<Self, Fault> {
        let text = match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => std::str::from_utf8(bytes)
                .map_err(|error| Fault::new(error.valid_up_to(), MALFORMED, "the text is not UTF-8"))?,
        };
        Ok(Self { text, at: 0, depth: 0, depth_max: depth_max.min(MAX_DEPTH) })
    }

    /// The byte the scanner stands at.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes to a byte that was passed already, or in a look-ahead.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Bytes that are left: more than any string that comes can have.
    pub(crate) fn left(&self) -> usize {
        self.text.len() - self.at
    }

    /// Line and column, both from 1, of a byte; the column counts characters.
    pub(crate) fn position(bytes: &[u8], at: usize) -> (usize, usize) {
        let before = &bytes[..at.min(bytes.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        (line, column)
    }

    /// A fault at the next token.
    #[cold]
    pub(crate) fn fault(&self, reason: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(self.at, reason, message)
    }

    /// Skips white space and tells what comes.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<Kind, Fault> {
        self.white_space();
        Ok(match self.byte() {
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.unexpected("a value")),
        })
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.white_space();
        self.byte().is_none()
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        if self.is_at_end() {
            return Ok(());
        }
        Err(self.unexpected("the end: a body is one JSON value"))
    }

    /// `null`.
    pub(crate) fn null(&mut self) -> Result<(), Fault> {
        self.word("null")
    }

    /// `true` or `false`.
    pub(crate) fn bool(&mut self) -> Result<bool, Fault> {
        let value = self.byte() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// A number, as its literal.
    pub(crate) fn number(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let end = rest.bytes().position(|byte| !is_part(&byte)).unwrap_or(rest.len());
        let literal = &rest[..end];
        if !crate::scalar::is_number(literal) {
            let shown = name::shown(literal);
            return Err(self.fault(MALFORMED, format!("`{shown}` is no number in JSON")));
        }
        self.at += end;
        Ok(literal)
    }

    /// A string, unescaped.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        if let Some(text) = self.plain_string() {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::new();
        self.unescape(|part| text.push_str(part))?;
        Ok(Cow::Owned(text))
    }

    /// A string without escapes; `None` passes nothing.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at + 1..)?;
        let end = find::special(rest);
        if rest.get(end) != Some(&b'"') {
            return None;
        }
        let begin = self.at + 1;
        self.at = begin + end + 1;
        self.text.get(begin..begin + end)
    }

    /// Any string, given piece by piece.
    pub(crate) fn unescape(&mut self, mut push: impl FnMut(&str)) -> Result<(), Fault> {
        let begin = self.at;
        self.at += 1;
        loop {
            let from = self.at;
            self.at += find::special(&self.text.as_bytes()[from..]);
            push(&self.text[from..self.at]);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => push(self.escape()?.encode_utf8(&mut [0; 4])),
                Some(control) => {
                    return Err(self.fault(MALFORMED, format!("write this control character as \\u{control:04x}")));
                }
                None => return Err(Fault::new(begin, MALFORMED, "this string is not closed")),
            }
        }
    }

    /// Enters an object or an array.
    pub(crate) fn open(&mut self) -> Result<(), Fault> {
        if self.depth == self.depth_max {
            let text = format!("more than {} objects and arrays are open; nest less", self.depth_max);
            return Err(self.fault("TOO_DEEP", text));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether the open object has one more member; `false` leaves the object. `first` is set by the caller
    /// before the first member and cleared here.
    #[inline]
    pub(crate) fn member(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.next(b'}', first)
    }

    /// The key of a member with its colon.
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, Fault> {
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        self.white_space();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok(key)
    }

    /// The next key of the open object with its colon; `None` leaves the object.
    pub(crate) fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.member(first)? { self.name().map(Some) } else { Ok(None) }
    }

    /// Whether the open array has one more element; `false` leaves the array.
    pub(crate) fn element(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.next(b']', first)
    }

    /// Passes over one value of any kind, checking its syntax.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        match self.peek()? {
            Kind::Null => self.null(),
            Kind::Bool => self.bool().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::String => self.string().map(drop),
            Kind::Object => {
                self.open()?;
                let mut first = true;
                while self.key(&mut first)?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Array => {
                self.open()?;
                let mut first = true;
                while self.element(&mut first)? {
                    self.skip()?;
                }
                Ok(())
            }
        }
    }

    /// Passes the comma before the next item, or the closing bracket.
    #[inline]
    fn next(&mut self, close: u8, first: &mut bool) -> Result<bool, Fault> {
        match self.text.as_bytes().get(self.at..) {
            Some([byte, ..]) if *byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some([b',', next, ..]) if !*first && *next > b' ' && *next != close => {
                self.at += 1;
                Ok(true)
            }
            _ => self.next_of_any(close, first),
        }
    }

    /// As [`Scanner::next`], with white space, at the first item and for whatever is wrong.
    fn next_of_any(&mut self, close: u8, first: &mut bool) -> Result<bool, Fault> {
        self.white_space();
        match self.byte() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.white_space();
                if self.byte() == Some(close) {
                    return Err(self.unexpected("an item after the comma"));
                }
            }
            Some(_) if *first => {}
            _ => {
                let expected = format!("`,` or `{}`", char::from(close));
                return Err(self.unexpected(&expected));
            }
        }
        *first = false;
        Ok(true)
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        let rest = &self.text[self.at..];
        let whole =
            rest.strip_prefix(word).is_some_and(|after| !after.starts_with(|next: char| next.is_ascii_alphanumeric()));
        if !whole {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// One escape, from its backslash on.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let letter = match bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.fault(MALFORMED, "this escape does not exist in JSON")),
        };
        self.at = start + 2;
        Ok(letter)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let high = self.unit(self.at)?;
        let mut used = 6;
        let code = match high {
            0xd800..=0xdbff => {
                used = 12;
                match self.unit(self.at + 6) {
                    Ok(low @ 0xdc00..=0xdfff) => 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                    _ => high,
                }
            }
            _ => high,
        };
        let letter = char::from_u32(code)
            .ok_or_else(|| self.fault(MALFORMED, "a surrogate stands alone; write both halves of the pair"))?;
        self.at += used;
        Ok(letter)
    }

    /// The four digits of the `\u` at `at`.
    fn unit(&self, at: usize) -> Result<u32, Fault> {
        self.text
            .get(at..at + 6)
            .and_then(|escape| escape.strip_prefix("\\u"))
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.fault(MALFORMED, "`\\u` needs four hexadecimal digits"))
    }

    #[inline]
    fn white_space(&mut self) {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[cold]
    fn unexpected(&self, expected: &str) -> Fault {
        let found = match self.text[self.at..].chars().next() {
            Some(letter) => format!("`{}`", letter.escape_default()),
            None => "the end of the text".to_owned(),
        };
        self.fault(MALFORMED, format!("expected {expected}, found {found}"))
    }
}
