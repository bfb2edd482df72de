//! `google.api.HttpBody`: raw bytes with a type of their own, as a whole message or as one field.

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::problem::Problem;
use crate::response::unrenderable;
use crate::wire::Writer;

/// Raw bytes with their type (googleapis `google/api/httpbody.proto`); its extensions are not read.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HttpBody {
    /// The media type; empty means `application/octet-stream`, and in later messages of a stream nothing.
    #[prost(string, tag = "1")]
    pub content_type: String,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

impl HttpBody {
    /// The type to send: never empty.
    #[must_use]
    pub fn media_type(&self) -> &str {
        match self.content_type.as_str() {
            "" => "application/octet-stream",
            content_type => content_type,
        }
    }
}

/// Writes the fields of an HttpBody.
pub(crate) fn write(content_type: Option<&str>, data: &[u8], out: &mut Writer) {
    if let Some(content_type) = content_type {
        out.bytes(1, content_type.as_bytes());
    }
    if !data.is_empty() {
        out.bytes(2, data);
    }
}

/// Reads one from a message that is one, or that holds one in the field `number`; data is not copied.
pub(crate) fn read(wire: Bytes, number: Option<u32>) -> Result<HttpBody, Problem> {
    match number {
        None => HttpBody::decode(wire),
        Some(number) => read_field(wire, number),
    }
    .map_err(|_| unrenderable("The service answered with a malformed body"))
}

fn read_field(mut wire: Bytes, number: u32) -> Result<HttpBody, prost::DecodeError> {
    let mut body = HttpBody::default();
    while wire.has_remaining() {
        let (tag, wire_type) = decode_key(&mut wire)?;
        if tag != number || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, &mut wire, DecodeContext::default())?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut wire)?).unwrap_or(usize::MAX);
        if length > wire.len() {
            // The same error a decoder gives for a length beyond the end.
            return HttpBody::decode(&[0x0a, 0x7f][..]);
        }
        body.merge(wire.split_to(length))?;
    }
    Ok(body)
}
