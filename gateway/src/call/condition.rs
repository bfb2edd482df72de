//! Conditional requests (RFC 9110 section 13). Of a change `If-Match` becomes the request's etag field, and the service keeps
//! it; of a read the edge compares it, and `If-None-Match`, with the etag that was read.
use bytes::Bytes;
use http::{HeaderMap, header};
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::{Idempotency, Method};
use tonic::Code;
use transcode::MethodPlan;

use crate::refusal::Refusal;

/// The request with its precondition, and whether it has one.
///
/// # Errors
/// A condition that would have no effect on a change, or that one etag cannot say: refused, never ignored.
pub(crate) fn if_match(
    headers: &HeaderMap,
    plan: &MethodPlan,
    method: &Method,
    wire: Bytes,
) -> Result<(Bytes, bool), Refusal> {
    if method.idempotency == Idempotency::NoSideEffects {
        // Of a read it is looked at when the answer with its etag is there.
        return Ok((wire, false));
    }
    let Some(etag) = asked(headers)? else { return Ok((wire, false)) };
    let Some(path) = etag_path(plan) else {
        return Err(refusal(
            "IF_MATCH_UNSUPPORTED",
            "this method has no etag, so If-Match would not keep it from changing another state; leave If-Match out",
        ));
    };
    match mesh::wire::text_at(&wire, &path) {
        Ok(Some(known)) if !known.is_empty() && known != etag => Err(refusal(
            "IF_MATCH_CONFLICT",
            "If-Match and the etag of the request differ; send one of them, or the same in both",
        )),
        Ok(Some(known)) if !known.is_empty() => Ok((wire, true)),
        _ => Ok((with(&path, &etag, &wire), true)),
    }
}

/// What was read is not in the state that the caller asks for (RFC 9110 section 13.1.1).
pub(crate) fn is_other(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let known = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    match (etag, known) {
        (Some(etag), Some(known)) => !known.split(',').any(|tag| tag.trim() == etag || tag.trim() == "*"),
        _ => false,
    }
}

/// The one etag of `If-Match`; `None` without one, and for `*`, which every state matches.
fn asked(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let etag = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => {
            value.to_str().ok().map(str::trim).filter(|etag| !etag.is_empty() && !etag.contains(','))
        }
        (Some(_), Some(_)) => None,
    };
    match etag {
        Some("*") => Ok(None),
        Some(etag) => Ok(Some(etag.to_owned())),
        None => Err(refusal("IF_MATCH_INVALID", "send one etag in If-Match, as the answer's ETag has it, or *")),
    }
}

/// By protobuf's rules a field that occurs twice takes its last value, and messages are merged.
fn with(path: &[u32], etag: &str, request: &[u8]) -> Bytes {
    let mut wire = Vec::new();
    for (depth, number) in path.iter().rev().enumerate() {
        let inner = if depth == 0 { etag.as_bytes().to_vec() } else { std::mem::take(&mut wire) };
        encode_key(*number, WireType::LengthDelimited, &mut wire);
        encode_varint(inner.len() as u64, &mut wire);
        wire.extend_from_slice(&inner);
    }
    transcode::joined(&[request, &wire].concat(), &[path]).into_owned().into()
}

fn refusal(reason: &'static str, message: &str) -> Refusal {
    Refusal::new(400, Code::InvalidArgument, reason, message)
}

/// The caller has this very state already.
pub(crate) fn is_unchanged(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let (Some(etag), Some(known)) = (etag, headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()))
    else {
        return false;
    };
    // Weak comparison (section 13.1.2).
    known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
}

/// The etag of a response message.
pub(crate) fn etag_of(method: &MethodPlan, wire: &[u8]) -> Option<String> {
    let field = method.output.get_field_by_name("etag")?;
    let text = mesh::wire::text_at(wire, &[field.number()]).ok()??;
    (!text.is_empty()).then(|| text.to_owned())
}

/// `etag`, or the etag of the one resource in the request.
fn etag_path(method: &MethodPlan) -> Option<Vec<u32>> {
    if let Some(field) = method.input.get_field_by_name("etag") {
        return Some(vec![field.number()]);
    }
    method.input.fields().filter(|field| !field.is_list() && !field.is_map()).find_map(|field| {
        let resource = field.kind().as_message().cloned()?;
        Some(vec![field.number(), resource.get_field_by_name("etag")?.number()])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_compared_weakly_for_reads_and_strongly_for_if_match() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, "\"1\", W/\"2\"".parse().expect("a header"));
        assert!(is_unchanged(&headers, Some("\"2\"")));
        assert!(!is_unchanged(&headers, Some("\"3\"")));
        assert!(!is_unchanged(&headers, None));
        headers.insert(header::IF_MATCH, "\"1\", W/\"2\"".parse().expect("a header"));
        assert!(is_other(&headers, Some("\"2\"")) && !is_other(&headers, Some("\"1\"")) && !is_other(&headers, None));
    }
}
