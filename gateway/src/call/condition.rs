//! Conditional requests (RFC 9110 section 13). Of a change `If-Match` becomes the request's etag field, and the service keeps
//! it; of a read the edge compares it, and `If-None-Match`, with the etag that was read.
use http::{HeaderMap, HeaderName, Method as Verb, header};
use proto::{Idempotency, Method};
use transcode::{MethodPlan, frame::Framed};

use crate::{call::told, refusal::Refusal};

/// The request with its precondition, and whether it has one.
///
/// # Errors
/// A condition that would have no effect on a change, or that one etag cannot say: refused, never ignored.
pub(crate) fn if_match(
    (verb, headers): (&Verb, &HeaderMap),
    plan: &MethodPlan,
    method: &Method,
    wire: Framed,
) -> Result<(Framed, bool), Refusal> {
    if is_read(verb, method) {
        // Of a read it is looked at when the answer with its etag is there.
        return Ok((wire, false));
    }
    not_new(headers)?;
    let Some(etag) = asked(headers)? else { return Ok((wire, false)) };
    let Some(path) = etag_path(plan) else {
        return Err(told::refusal(
            "IF_MATCH_UNSUPPORTED",
            "this method has no etag, so If-Match would not keep it from changing another state; leave If-Match out",
        ));
    };
    let told = told::text(&path, &etag, wire)?.ok_or_else(|| {
        told::refusal(
            "IF_MATCH_CONFLICT",
            "If-Match and the etag of the request differ; send one of them, or the same in both",
        )
    })?;
    Ok((told, true))
}

/// Many contracts say nothing of side effects; GET and HEAD have none (RFC 9110 section 9.2.1).
fn is_read(verb: &Verb, method: &Method) -> bool {
    method.idempotency == Idempotency::NoSideEffects || matches!(*verb, Verb::GET | Verb::HEAD)
}

/// Conditions of a request that is a stream: there is no one message to put them into.
///
/// # Errors
/// It has one.
pub(crate) fn none((verb, headers): (&Verb, &HeaderMap), method: &Method) -> Result<(), Refusal> {
    if is_read(verb, method) {
        return Ok(());
    }
    not_new(headers)?;
    match asked(headers)? {
        Some(_) => Err(told::refusal(
            "IF_MATCH_UNSUPPORTED",
            "this method takes a stream, which has no etag to compare with; leave If-Match out",
        )),
        None => Ok(()),
    }
}

/// That nothing is there yet, or only in another state, is nothing that a service can be told with a change.
fn not_new(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return Err(told::refusal(
            "IF_NONE_MATCH_UNSUPPORTED",
            "If-None-Match is for reads; a change is kept from another state by If-Match, and from being done twice by Idempotency-Key",
        ));
    }
    Ok(())
}

/// What was read is not in the state that the caller asks for (RFC 9110 section 13.1.1, strong comparison).
pub(crate) fn is_other(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let Some(etag) = etag.filter(|_| headers.contains_key(header::IF_MATCH)) else { return false };
    let strong = |tag: &str| tag == "*" || (tag == etag && !tag.starts_with("W/"));
    !listed(headers, &header::IF_MATCH).any(strong)
}

/// The caller has this very state already (section 13.1.2, weak comparison).
pub(crate) fn is_unchanged(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let Some(etag) = etag.map(opaque) else { return false };
    listed(headers, &header::IF_NONE_MATCH).any(|tag| tag == "*" || opaque(tag) == etag)
}

/// The entity tags of a header, in all its lines. A comma within quotes belongs to the tag (section 8.8.3).
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| {
        let mut quoted = false;
        let apart = move |each: char| {
            quoted ^= each == '"';
            each == ',' && !quoted
        };
        value.split(apart).map(str::trim).filter(|tag| !tag.is_empty())
    })
}

/// The one etag of `If-Match`; `None` without one, and for `*`, which every state matches.
fn asked(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let mut tags = listed(headers, &header::IF_MATCH);
    match (tags.next(), tags.next()) {
        (Some("*"), None) => Ok(None),
        (Some(etag), None) => Ok(Some(etag.to_owned())),
        _ => Err(told::refusal("IF_MATCH_INVALID", "send one etag in If-Match, as the answer's ETag has it, or *")),
    }
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
    fn a_get_is_a_read_whatever_the_contract_says_of_side_effects() {
        let method = |path: &str| proto::methods().get(path).expect("a method");
        let (reads, changes) = (
            method("/workos.document.v1.DocumentService/GetDocument"),
            method("/workos.document.v1.DocumentService/UpdateDocument"),
        );
        assert!(is_read(&Verb::POST, reads) && is_read(&Verb::GET, changes) && !is_read(&Verb::PATCH, changes));
    }

    #[test]
    fn etags_are_compared_weakly_for_reads_and_strongly_for_if_match() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, "\"1\", W/\"2\"".parse().expect("a header"));
        assert!(is_unchanged(&headers, Some("\"2\"")));
        assert!(!is_unchanged(&headers, Some("\"3\"")));
        assert!(!is_unchanged(&headers, None));
        assert!(is_unchanged(&headers, Some("W/\"2\"")) && is_unchanged(&headers, Some("W/\"1\"")));
        headers.append(header::IF_NONE_MATCH, "\"a,b\"".parse().expect("a header"));
        assert!(is_unchanged(&headers, Some("\"a,b\"")) && !is_unchanged(&headers, Some("\"a")));
        headers.insert(header::IF_MATCH, "\"1\", W/\"2\"".parse().expect("a header"));
        assert!(is_other(&headers, Some("\"2\"")) && !is_other(&headers, Some("\"1\"")) && !is_other(&headers, None));
    }
}
