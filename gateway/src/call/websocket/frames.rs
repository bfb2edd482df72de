//! Frames as messages of the call and back, in either subprotocol.
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proto::Method;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use transcode::{Match, ResponseOptions, frame::Framed};

use crate::{filter::hygiene, refusal::Refusal};

/// How the messages of one session travel.
pub(super) struct Form {
    pub(super) matched: Match,
    pub(super) method: &'static Method,
    pub(super) query: Option<String>,
    pub(super) options: ResponseOptions,
    /// Binary frames of protobuf.
    pub(super) proto: bool,
}

/// What a data frame of the caller is.
pub(super) enum Said {
    /// A message.
    Message(Framed),
    /// None follows.
    HalfClose,
}

impl Form {
    /// The caller sends messages at all: a server stream without a body begins at once.
    pub(super) fn listens(&self) -> bool {
        self.method.client_streaming || self.matched.takes_body()
    }

    /// A data frame as wire bytes. The first one carries what path and query bind.
    pub(super) fn read(&self, frame: Message, first: bool) -> Result<Said, Refusal> {
        let raw = self.matched.is_http_body_in();
        match frame {
            Message::Text(text) if text.is_empty() => Ok(Said::HalfClose),
            Message::Text(text) if !self.proto && !raw => self.json(text.as_bytes(), first).map(Said::Message),
            Message::Binary(data) if self.proto => self.merged(&data, first).map(Said::Message),
            Message::Binary(data) if raw => {
                let options = self.matched.reading();
                let query = self.query.as_deref();
                Ok(Said::Message(self.matched.http_body_request(query, None, &data, &options, first)?))
            }
            _ => {
                let kind = if self.proto || raw { "binary" } else { "text" };
                let message = format!("messages of this socket travel in {kind} frames; an empty text frame ends them");
                Err(Refusal::new(400, tonic::Code::InvalidArgument, "FRAME_KIND", message))
            }
        }
    }

    /// The only message of a caller who sends none.
    pub(super) fn alone(&self) -> Result<Framed, Refusal> {
        Ok(self.matched.request(self.query.as_deref(), None, b"", &self.matched.reading())?)
    }

    fn json(&self, text: &[u8], first: bool) -> Result<Framed, Refusal> {
        let options = self.matched.reading();
        Ok(match first {
            true => self.matched.request(self.query.as_deref(), None, text, &options)?,
            false => self.matched.next_request(text, &options)?,
        })
    }

    /// What is bound stands last: by protobuf's rules it cannot be overridden.
    fn merged(&self, data: &[u8], first: bool) -> Result<Framed, Refusal> {
        let bound = if first { Some(self.alone()?) } else { None };
        let bound = bound.as_deref().unwrap_or_default();
        Ok(if bound.is_empty() { Framed::new(data)? } else { Framed::new(&[data, bound].concat())? })
    }

    /// A message of the service as frame.
    pub(super) fn write(&self, wire: Bytes) -> Result<Message, Refusal> {
        if self.matched.is_http_body_out() {
            return Ok(Message::Binary(self.matched.http_body(wire)?.data));
        }
        if self.proto {
            return Ok(Message::Binary(wire));
        }
        let json = self.matched.response(&wire, &self.options)?;
        let text = Utf8Bytes::try_from(json).map_err(|_| api::Error::fault("an answer that is no text"))?;
        Ok(Message::Text(text))
    }
}

/// `{"@headers":{..}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Late {
    #[serde(rename = "@headers")]
    headers: std::collections::BTreeMap<String, String>,
}

/// The headers that a first frame stands for; `None` when it is a message.
pub(super) fn late_headers(frame: &Message) -> Result<Option<HeaderMap>, Refusal> {
    let Message::Text(text) = frame else { return Ok(None) };
    let inside = text.trim_start().strip_prefix('{').map(str::trim_start);
    if !inside.is_some_and(|inside| inside.starts_with("\"@headers\"")) {
        return Ok(None);
    }
    let malformed = |_| {
        let message =
            "the frame with @headers is malformed; send {\"@headers\":{\"authorization\":\"Bearer ..\"}} alone";
        Refusal::new(400, tonic::Code::InvalidArgument, "HEADER_INVALID", message)
    };
    let late: Late = serde_json::from_str(text).map_err(|error: serde_json::Error| malformed(error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in late.headers {
        let name = HeaderName::try_from(name).map_err(|error| malformed(error.to_string()))?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|error| malformed(error.to_string()))?);
    }
    hygiene::clean(&mut headers);
    Ok(Some(headers))
}
