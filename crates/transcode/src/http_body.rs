//! `google.api.HttpBody`: raw bytes with a type of their own, as a whole message or as one field.

use bytes::Bytes;
use prost::Message;

use crate::plan::FieldPlan;
use crate::problem::Problem;
use crate::response::unrenderable;
use crate::wire::{Cursor, Writer};

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

/// Reads one from a message that is one, or that holds one in `field`; data is not copied.
pub(crate) fn read(wire: Bytes, field: Option<&FieldPlan>) -> Result<HttpBody, Problem> {
    let body = match field {
        None => HttpBody::decode(wire).ok(),
        Some(field) => read_field(&wire, field),
    };
    body.ok_or_else(|| unrenderable("The service answered with a malformed body"))
}

fn read_field(wire: &Bytes, field: &FieldPlan) -> Option<HttpBody> {
    let (mut body, mut cursor) = (HttpBody::default(), Cursor::new(wire));
    while let Some(key) = cursor.key().ok()? {
        if key != field.key {
            cursor.skip(key).ok()?;
            continue;
        }
        let part = if field.delimited { cursor.group(field.number) } else { cursor.bytes() };
        body.merge(wire.slice_ref(part.ok()?)).ok()?;
    }
    Some(body)
}
