//! `Accept` (RFC 9110 section 12.5.1): what a caller takes. What he asks for by `$alt` in the query stands above it, and raw bytes
//! have the type that they have. Asked before the service is: nothing is done for an answer that nobody takes.
use std::borrow::Cow;

use http::{HeaderMap, header};
use transcode::{
    Alt, Match, ResponseOptions,
    stream::{Form, accepts, negotiate},
};

use crate::refusal::Refusal;

/// The form of a stream; `None` for raw bytes.
pub(super) fn form(headers: &HeaderMap, matched: &Match, options: &ResponseOptions) -> Result<Option<Form>, Refusal> {
    if matched.is_http_body_out() {
        return Ok(None);
    }
    Ok(Some(negotiate(accept(headers).as_deref(), options.alt)?))
}

/// The answer of a call with one is JSON.
pub(super) fn json(headers: &HeaderMap, matched: &Match, options: &ResponseOptions) -> Result<(), Refusal> {
    if matched.is_http_body_out() || matches!(options.alt, Some(Alt::Json | Alt::Proto)) {
        return Ok(());
    }
    Ok(accepts(accept(headers).as_deref(), "application/json")?)
}

/// The header in all its lines; `None` when it is absent or no text.
fn accept(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let first = Cow::Borrowed(lines.next()?);
    Some(lines.fold(first, |accept, line| Cow::Owned(format!("{accept}, {line}"))))
}
