//! How Connect codes messages: each on its own, and an empty one not at all, whatever is said of it. A coding that is not
//! known is `unimplemented`, unlike that of any other body.
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use transcode::frame;

use crate::{
    call::body::flawed,
    coding::{Coding, Flaw, LEAST, READ, decoded, encoded},
    config::Config,
    refusal::Refusal,
};

/// The coding that a header names; `None` is identity.
pub(super) fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Coding>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => named(value.to_str().map_err(|_| unknown())?),
        (Some(_), Some(_)) => Err(unknown()),
    }
}

/// The coding of this name.
pub(super) fn named(name: &str) -> Result<Option<Coding>, Refusal> {
    Coding::named(name).ok_or_else(unknown)
}

/// What the messages of an answer are coded in.
pub(super) fn accepted(config: &Config, headers: &HeaderMap) -> Option<Coding> {
    Coding::accepted(headers, &HeaderName::from_static("connect-accept-encoding")).filter(|_| config.compress)
}

/// A message in its envelope, coded where that makes it shorter.
pub(super) fn envelope(coding: Option<Coding>, message: &[u8]) -> Result<Bytes, Refusal> {
    if let Some(coding) = coding.filter(|_| message.len() as u64 >= LEAST)
        && let Some(coded) = encoded(coding, message).map_err(api::Error::internal)?
        && coded.len() < message.len()
    {
        return Ok(frame::encode_as(&coded, true)?);
    }
    Ok(frame::encode(message)?)
}

/// A message as the codec reads it.
pub(super) fn plain(coding: Option<Coding>, message: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    match coding.filter(|_| !message.is_empty()) {
        None => Ok(message),
        Some(coding) => decoded(coding, &message, limit).map_err(|flaw| match flaw {
            Flaw::TooLarge => {
                let message = format!(
                    "decoded, a message is larger than {limit} bytes (setting gateway.body_max) or a hundredfold of what was sent; \
                     send smaller ones, or uncoded"
                );
                Refusal::new(413, tonic::Code::ResourceExhausted, "MESSAGE_TOO_LARGE", message)
            }
            Flaw::Broken => flawed(flaw, limit as u64),
        }),
    }
}

fn unknown() -> Refusal {
    let message = format!("the coding of the message is not known here; send it as identity, or as one of {READ}");
    let refusal = Refusal::new(501, tonic::Code::Unimplemented, "CODING_UNSUPPORTED", message);
    refusal.header(header::ACCEPT_ENCODING, READ)
}
