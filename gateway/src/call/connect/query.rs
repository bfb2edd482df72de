//! The message of a unary GET: `?connect=v1&encoding=json&message=..`, with `base64=1` and `compression=gzip` where it is not
//! plain text.
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::coded::{named, plain};
use crate::{form, refusal::Refusal};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The message, as the codec reads it; `limit` is what it may have, decoded.
pub(crate) fn message(query: &str, limit: usize) -> Result<Bytes, Refusal> {
    let value = |name: &str| form::value(query, name);
    if value("connect").is_some_and(|version| version != "v1") {
        return Err(malformed("connect", "send connect=v1"));
    }
    if !matches!(value("encoding"), Some("proto" | "json")) {
        return Err(malformed("encoding", "send encoding=json or encoding=proto"));
    }
    let text = value("message").ok_or_else(|| malformed("message", "it is missing"))?;
    let mut message = form::decoded(text).ok_or_else(|| malformed("message", "it has malformed escapes"))?;
    match value("base64") {
        Some("1") => message = ENGINE.decode(&message).map_err(|_| malformed("message", "it is no base64url"))?,
        None | Some("" | "0") => {}
        Some(_) => return Err(malformed("base64", "send base64=1, or leave it out")),
    }
    plain(named(value("compression").unwrap_or_default())?, message.into(), limit)
}

fn malformed(parameter: &str, what: &str) -> Refusal {
    let message = format!("the query parameter {parameter} of this Connect call is refused: {what}");
    Refusal::new(400, tonic::Code::InvalidArgument, "CONNECT_QUERY_INVALID", message)
}
