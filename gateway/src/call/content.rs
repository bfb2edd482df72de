//! What an answer of raw bytes (`google.api.HttpBody`) says in HTTP, streamed or whole: ranges (RFC 9110 section 14) and what has not
//! changed. Services say it in metadata: `content-range`, and `workos-not-modified`, which no caller sees.
use http::{HeaderMap, StatusCode, header};
use transcode::Contract;

use crate::refusal::Refusal;

/// The status that the service's metadata stands for.
pub(super) fn status(metadata: &HeaderMap) -> StatusCode {
    if metadata.contains_key("workos-not-modified") {
        StatusCode::NOT_MODIFIED
    } else if metadata.contains_key(header::CONTENT_RANGE) {
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
