//! Streams as JSON: which form a caller gets, and the pieces each form is written in.
//!
//! Every piece is a whole flush: the gateway sends it as it is. An error after the first message is
//! visible in every form; a JSON array then lacks its `]`, because a client that only looks for the end
//! of the body must not take the answer for complete, and the connection has to end abnormally.

mod accept;
mod split;

use bytes::Bytes;

pub use accept::{accepts, negotiate};
pub use split::{Splitter, Unit};

/// The form of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON array, element by element.
    JsonArray,
    /// One JSON value a line.
    NdJson,
    /// Server-sent events.
    Sse,
    /// WebSocket text frames; chosen by upgrade, never by `Accept`.
    WebSocket,
}

impl Form {
    /// The media type of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::JsonArray | Self::WebSocket => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Sse => "text/event-stream",
        }
    }

    /// Further headers of the answer.
    #[must_use]
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // nginx and others would hold events back until a buffer is full.
            Self::Sse => &[("cache-control", "no-store"), ("x-accel-buffering", "no")],
            Self::JsonArray | Self::NdJson | Self::WebSocket => &[],
        }
    }

    /// Whether the transport must end abnormally after an error record: its absence of an end is the sign.
    #[must_use]
    pub fn breaks_after_error(self) -> bool {
        self == Self::JsonArray
    }
}

/// Writes the pieces of one stream.
#[derive(Debug)]
pub struct Writer {
    form: Form,
    started: bool,
}

impl Writer {
    /// A writer that has written nothing.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self { form, started: false }
    }

    /// The form it writes.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether a message has been written: before it, an error is an ordinary HTTP error.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// One message, as the JSON text of [`crate::Match::response`], with the `id:` of its event.
    #[must_use]
    pub fn message(&mut self, json: &[u8], id: Option<&str>) -> Bytes {
        self.record(json, None, id)
    }

    /// The error record, from the body of an AIP-193 error: `{"error":{..}}`. Nothing follows it.
    #[must_use]
    pub fn error(&mut self, json: &[u8]) -> Bytes {
        self.record(json, Some("error"), None)
    }

    /// The clean end.
    #[must_use]
    pub fn end(&mut self) -> Bytes {
        let end: &'static [u8] = match (self.form, self.started) {
            (Form::JsonArray, true) => b"]",
            (Form::JsonArray, false) => b"[]",
            // Without it an EventSource connects again and again.
            (Form::Sse, _) => b"event: end\ndata:\n\n",
            (Form::NdJson | Form::WebSocket, _) => b"",
        };
        Bytes::from_static(end)
    }

    /// A sign of life that no client takes for a message; `None` where the form has none.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Bytes> {
        (self.form == Form::Sse).then(|| Bytes::from_static(b":\n\n"))
    }

    fn record(&mut self, json: &[u8], event: Option<&str>, id: Option<&str>) -> Bytes {
        let mut out = Vec::with_capacity(json.len() + 32);
        match self.form {
            Form::JsonArray => {
                out.push(if self.started { b',' } else { b'[' });
                out.extend_from_slice(json);
            }
            Form::NdJson => {
                // A line break in JSON text is white space between tokens, never part of a string.
                out.extend(json.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
                out.push(b'\n');
            }
            Form::Sse => event_record(json, event, id, &mut out),
            Form::WebSocket => out.extend_from_slice(json),
        }
        self.started = true;
        out.into()
    }
}

fn event_record(json: &[u8], event: Option<&str>, id: Option<&str>, out: &mut Vec<u8>) {
    if let Some(event) = event {
        out.extend_from_slice(format!("event: {event}\n").as_bytes());
    }
    // An id with a line break would forge a field, one with NUL is ignored by browsers.
    if let Some(id) = id.filter(|id| !id.contains(['\n', '\r', '\0'])) {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    for line in json.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}
