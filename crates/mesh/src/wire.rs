//! Protobuf wire bytes, read field by field: no schema, no copy, no recursion, never a panic.
//!
//! The mesh reads one resource name out of a request before the handler may see it, and `authz` reads tokens before any
//! signature is checked; both must agree with what prost will decode later. So this reader refuses what prost would merge or
//! skip (groups, a singular field sent twice) instead of guessing which of two values counts. Requests may have groups, for
//! contracts whose fields are DELIMITED (protobuf editions): they are read as the messages that they are.
use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// A varint of more than 64 bits, or a tag out of range.
    #[error("a number is out of range")]
    Number,
    /// A group or an unknown wire type.
    #[error("a field has a wire type that is not in use")]
    WireType,
    /// A field that may stand once stands twice.
    #[error("a field that may stand once stands twice")]
    Repeated,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// Groups within groups that are read; prost has the same limit.
const DEPTH: usize = 100;

/// The value of a field as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Integers, booleans and enums.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Strings, bytes, messages and packed lists.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The bytes of a length-delimited field.
    ///
    /// # Errors
    /// [`Malformed::WireType`] for every other kind of field.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::WireType),
        }
    }

    /// The number of a varint field.
    ///
    /// # Errors
    /// [`Malformed::WireType`] for every other kind of field.
    pub fn varint(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Malformed::WireType),
        }
    }
}

/// Iterates over the fields of one message: (field number, value). Ends after the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of this message, which has no groups.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && *byte > 1 {
                return Err(Malformed::Number);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { Malformed::Truncated } else { Malformed::Number })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let (number, kind) = self.key()?;
        Ok((number, self.value(kind)?))
    }

    /// Field number and wire type.
    fn key(&mut self) -> Result<(u32, u32), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed::Number)?;
        if key >> 3 == 0 { Err(Malformed::Number) } else { Ok((key >> 3, key & 7)) }
    }

    fn value(&mut self, kind: u32) -> Result<Value<'a>, Malformed> {
        Ok(match kind {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed::Truncated)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Number)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Malformed::Truncated)?)),
            _ => return Err(Malformed::WireType),
        })
    }

    /// What stands between the start of a group, which was read, and its end.
    fn group(&mut self, number: u32) -> Result<&'a [u8], Malformed> {
        let (start, mut open) = (self.rest, vec![number]);
        loop {
            let inner = &start[..start.len() - self.rest.len()];
            match self.key()? {
                (_, 3) if open.len() == DEPTH => return Err(Malformed::WireType),
                (number, 3) => open.push(number),
                (number, 4) if open.pop() != Some(number) => return Err(Malformed::WireType),
                (_, 4) if open.is_empty() => return Ok(inner),
                (_, 4) => {}
                (_, kind) => drop(self.value(kind)?),
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The text that a path of field numbers leads to; `None` when a field on the way is absent.
///
/// A message on the way may come in parts, as protobuf allows and the edge sends them (path first, body after it): the parts
/// are read as the one message that they merge to.
///
/// # Errors
/// Malformed bytes, and a text that stands twice: the handler would see the last one, and it might not be the one that was
/// authorized.
pub fn text_at<'a>(message: &'a [u8], path: &[u32]) -> Result<Option<&'a str>, Malformed> {
    let Some((leaf, way)) = path.split_last() else { return Err(Malformed::Number) };
    let mut parts = vec![message];
    for wanted in way {
        parts = occurrences(&parts, *wanted, true)?;
    }
    match occurrences(&parts, *leaf, false)?.as_slice() {
        [] => Ok(None),
        [text] => std::str::from_utf8(text).map(Some).map_err(|_| Malformed::Text),
        _ => Err(Malformed::Repeated),
    }
}

/// Every occurrence of a field in the parts of one message: texts, or messages, which may be groups.
fn occurrences<'a>(parts: &[&'a [u8]], wanted: u32, messages: bool) -> Result<Vec<&'a [u8]>, Malformed> {
    let mut found = Vec::with_capacity(1);
    for part in parts {
        let mut fields = Fields::of(part);
        while !fields.rest.is_empty() {
            let (number, kind) = fields.key()?;
            let bytes = match kind {
                3 => fields.group(number).map(|group| messages.then_some(group))?,
                kind => fields.value(kind)?.bytes().ok(),
            };
            if number == wanted {
                found.push(bytes.ok_or(Malformed::WireType)?);
            }
        }
    }
    Ok(found)
}

/// The message with a text field added at its end (protobuf messages concatenate).
pub(crate) fn with_text(message: &[u8], field: u32, text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + text.len() + 12);
    out.put_slice(message);
    put_varint(&mut out, u64::from(field) << 3 | 2);
    put_varint(&mut out, text.len() as u64);
    out.put_slice(text.as_bytes());
    out.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn update(name: &str, title: &str) -> Vec<u8> {
        let document = proto::document::v1::Document { name: name.to_owned(), ..Default::default() };
        let request = proto::document::v1::UpdateDocumentRequest {
            document: Some(document),
            request_id: title.to_owned(),
            ..Default::default()
        };
        request.encode_to_vec()
    }

    #[test]
    fn a_nested_name_is_found_and_an_absent_one_is_none() {
        assert_eq!(text_at(&update("a/b", "x"), &[1, 1]), Ok(Some("a/b")));
        assert_eq!(text_at(&[], &[1, 1]), Ok(None));
        assert_eq!(text_at(&update("", "x"), &[1, 1]), Ok(None));
    }

    #[test]
    fn a_name_sent_twice_is_refused() {
        let twice = [update("a/b", ""), update("c/d", "")].concat();
        assert_eq!(text_at(&twice, &[1, 1]), Err(Malformed::Repeated));
        let document = proto::document::v1::Document { etag: "e".to_owned(), ..Default::default() };
        let rest = proto::document::v1::UpdateDocumentRequest { document: Some(document), ..Default::default() };
        let parts = [update("a/b", ""), rest.encode_to_vec()].concat();
        assert_eq!(text_at(&parts, &[1, 1]), Ok(Some("a/b")), "a message in parts is one message");
    }

    #[test]
    fn groups_and_oversized_numbers_are_refused() {
        assert_eq!(Fields::of(&[0x0b]).next(), Some(Err(Malformed::WireType)));
        assert_eq!(Fields::of(&[0xff; 11]).next(), Some(Err(Malformed::Number)));
        assert_eq!(Fields::of(&[0x0a, 5, 1]).next(), Some(Err(Malformed::Truncated)));
    }

    #[test]
    fn a_request_with_groups_is_read_on_its_way_and_beside_it() {
        // Group 7 with a varint and a group 1 of its own, then group 1 with the text.
        let message = [&b"\x3b\x08\x05\x0b\x08\x01\x0c\x3c"[..], b"\x0b\x0a\x03a/b\x0c"].concat();
        assert_eq!(text_at(&message, &[1, 1]), Ok(Some("a/b")));
        assert_eq!(text_at(&message, &[7, 2]), Ok(None), "what stands in a group within is not of the group");
        assert_eq!(text_at(&message, &[7]), Err(Malformed::WireType), "a group is no text");
        assert_eq!(text_at(&[&message[..], b"\x0b\x0a\x01c\x0c"].concat(), &[1, 1]), Err(Malformed::Repeated));
        for cut in (1..message.len()).filter(|cut| *cut != 8) {
            assert!(text_at(&message[..cut], &[1, 1]).is_err(), "a group is cut at {cut}");
        }
        assert_eq!(text_at(b"\x0b\x14", &[2]), Err(Malformed::WireType), "another group ends");
        assert_eq!(text_at(&[0x0b; 200], &[2]), Err(Malformed::WireType), "groups within groups have a bound");
    }

    #[test]
    fn an_added_text_is_what_prost_reads() {
        let bytes = with_text(&update("a/b", ""), 3, "id");
        let read = proto::document::v1::UpdateDocumentRequest::decode(bytes).expect("it is a message");
        assert_eq!((read.request_id.as_str(), read.document.expect("kept").name.as_str()), ("id", "a/b"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, path in proptest::collection::vec(1u32..5, 0..3)) {
            let _ = text_at(&bytes, &path);
        }

        #[test]
        fn the_reader_agrees_with_prost(name in "[a-z/]{1,40}", title in "\\PC{0,20}") {
            let message = update(&name, &title);
            prop_assert_eq!(text_at(&message, &[1, 1]), Ok(Some(name.as_str())));
        }
    }
}
