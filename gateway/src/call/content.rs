//! What an answer of raw bytes (`google.api.HttpBody`) says in HTTP, streamed or whole: ranges (RFC 9110 section 14) and what has not
//! changed. Services say it in metadata: `content-range`, and `workos-not-modified`, which no caller sees.
use http::{HeaderMap, Method as Verb, StatusCode, header, request::Parts};
use transcode::Contract;

use crate::refusal::Refusal;

/// A range is asked for by GET alone (section 14.2): of any other request it is ignored.
pub(super) fn without_range(head: &mut Parts) {
    if head.method != Verb::GET {
        head.headers.remove(header::RANGE);
        head.headers.remove(header::IF_RANGE);
    }
}

/// The status that the service's leading metadata stands for, beside what is shown of all of it.
pub(super) fn status(shown: &HeaderMap, metadata: &HeaderMap) -> StatusCode {
    if metadata.contains_key("workos-not-modified") {
        StatusCode::NOT_MODIFIED
    } else if shown.contains_key(header::CONTENT_RANGE) {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    }
}

/// A range outside the content has a status of its own, and tells the size (RFC 9110 section 15.5.17).
pub(super) fn refusal(mut refusal: Refusal, contract: &Contract) -> Refusal {
    if refusal.parts.code == tonic::Code::OutOfRange as i32
        && refusal.reason(contract).as_deref() == Some("RANGE_UNSATISFIABLE")
    {
        refusal.parts.http = Some(416);
        if let Some(size) = refusal.metadata(contract, "size") {
            refusal = refusal.header(header::CONTENT_RANGE, &format!("bytes */{size}"));
        }
    }
    refusal
}
