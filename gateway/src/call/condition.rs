//! Conditional requests (RFC 9110 section 13): `If-Match` becomes the request's etag field, `If-None-Match` gives 304.
use bytes::Bytes;
use http::{HeaderMap, header};
use prost::encoding::{WireType, encode_key, encode_varint};
use transcode::{Match, MethodPlan};

/// A change with its precondition; `None` when there is none.
pub(crate) fn if_match(headers: &HeaderMap, matched: &Match, request: &[u8]) -> Option<Bytes> {
    let etag = headers.get(header::IF_MATCH)?.to_str().ok()?;
    let path = etag_path(matched.method())?;
    let mut wire = Vec::new();
    for (depth, number) in path.iter().rev().enumerate() {
        let inner = if depth == 0 { etag.as_bytes().to_vec() } else { std::mem::take(&mut wire) };
        encode_key(*number, WireType::LengthDelimited, &mut wire);
        encode_varint(inner.len() as u64, &mut wire);
        wire.extend_from_slice(&inner);
    }
    // By protobuf's rules a field that occurs twice takes its last value.
    Some(transcode::joined(&[request, &wire].concat(), &[&path]).into_owned().into())
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
    fn etags_are_compared_weakly() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, "\"1\", W/\"2\"".parse().expect("a header"));
        assert!(is_unchanged(&headers, Some("\"2\"")));
        assert!(!is_unchanged(&headers, Some("\"3\"")));
        assert!(!is_unchanged(&headers, None));
    }
}
