//! What a header says of a field of the request: `If-Match` of its etag, `Idempotency-Key` of its request_id.
use prost::encoding::{WireType, encode_key, encode_varint};
use transcode::frame::Framed;

use crate::refusal::Refusal;

/// The request with this text at the path; `None` when another one stands there.
pub(super) fn text(path: &[u32], text: &str, request: Framed) -> Result<Option<Framed>, Refusal> {
    match mesh::wire::text_at(&request, path) {
        Ok(Some(known)) if !known.is_empty() => Ok((known == text).then_some(request)),
        _ => Ok(Some(with(path, text, &request)?)),
    }
}

/// By protobuf's rules a field that occurs twice takes its last value, and messages are merged.
fn with(path: &[u32], text: &str, request: &[u8]) -> Result<Framed, Refusal> {
    let mut wire = Vec::new();
    for (depth, number) in path.iter().rev().enumerate() {
        let inner = if depth == 0 { text.as_bytes().to_vec() } else { std::mem::take(&mut wire) };
        encode_key(*number, WireType::LengthDelimited, &mut wire);
        encode_varint(inner.len() as u64, &mut wire);
        wire.extend_from_slice(&inner);
    }
    Ok(Framed::new(&transcode::joined(&[request, &wire].concat(), &[path]))?)
}

/// A header that is wrong, or would have no effect.
pub(super) fn refusal(reason: &'static str, message: &str) -> Refusal {
    Refusal::new(400, tonic::Code::InvalidArgument, reason, message)
}
