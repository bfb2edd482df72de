//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): becomes the request's `request_id` (AIP-155), by which the
//! service does one thing once.
//!
//! What must hold: a key that would have no effect on a method that needs one is refused, never ignored.
use http::HeaderMap;
use proto::{Idempotency, Method};
use transcode::{MethodPlan, frame::Framed};

use crate::{call::told, refusal::Refusal};

const HEADER: &str = "idempotency-key";
/// As for `request_id` itself.
const LENGTH: usize = 128;

/// The request with its key.
pub(crate) fn keyed(headers: &HeaderMap, plan: &MethodPlan, method: &Method, wire: Framed) -> Result<Framed, Refusal> {
    let Some(key) = key(headers)? else { return Ok(wire) };
    let Some(field) = plan.input.get_field_by_name("request_id").filter(|field| !field.is_list()) else {
        return match method.idempotency {
            Idempotency::NoSideEffects | Idempotency::Idempotent => Ok(wire),
            Idempotency::Unknown => Err(told::refusal(
                "IDEMPOTENCY_KEY_UNSUPPORTED",
                "this method has no request_id, so a key would not keep it from being done twice; leave Idempotency-Key out",
            )),
        };
    };
    told::text(&[field.number()], key, wire)?.ok_or_else(|| {
        told::refusal(
            "IDEMPOTENCY_KEY_CONFLICT",
            "Idempotency-Key and request_id differ; send one of them, or the same in both",
        )
    })
}

/// The key of a request that is a stream: there is no one message to put it into.
///
/// # Errors
/// It has one, and repeating is not harmless.
pub(crate) fn none(headers: &HeaderMap, method: &Method) -> Result<(), Refusal> {
    if method.idempotency == Idempotency::Unknown && headers.contains_key(HEADER) {
        return Err(told::refusal(
            "IDEMPOTENCY_KEY_UNSUPPORTED",
            "this method takes a stream, which has no request_id; leave Idempotency-Key out",
        ));
    }
    Ok(())
}

/// The one key of a request; `None` without one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(HEADER).iter();
    let key = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok().map(unquoted).filter(|key| is_key(key)),
        (Some(_), Some(_)) => None,
    };
    key.map(Some).ok_or_else(|| {
        told::refusal(
            "IDEMPOTENCY_KEY_INVALID",
            "send one Idempotency-Key of 1 to 128 visible ASCII characters, for example a UUID",
        )
    })
}

/// The draft has it as a quoted string; many send it bare.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn is_key(key: &str) -> bool {
    (1..=LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}
