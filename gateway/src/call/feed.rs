//! A request body as a stream of messages: a JSON array, lines of JSON, raw bytes, or a form with a file.
//!
//! Each message goes up when it is complete. The first one is read before the upstream is called, so that a request that is
//! wrong from its beginning reaches nobody; a caller of a bidirectional method may wait for the other side to begin.
mod multipart;

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use hyper::body::Incoming;
use proto::Method;
use transcode::{
    Match,
    frame::Framed,
    stream::{Splitter, Unit},
};

use crate::{
    call::{
        body::{Idle, Source},
        budget::Share,
        inlet::Inlet,
    },
    edge::Edge,
    filter::Passage,
    refusal::{Refusal, essence},
};

/// Bytes in one message of a raw body.
const CHUNK: usize = 64 * 1024;
/// Longest wait for the first message of a caller who may be waiting too.
const FIRST: Duration = Duration::from_secs(1);

/// What is known of the request.
struct Form {
    matched: Match,
    query: Option<String>,
    content_type: Option<String>,
}

/// The caller's messages.
pub(crate) async fn open(
    edge: &Edge,
    passage: &Passage,
    incoming: Incoming,
    matched: &Match,
    method: &Method,
) -> Result<Inlet, Refusal> {
    let config = &edge.config;
    let headers = &passage.head.headers;
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let form = Form {
        matched: matched.clone(),
        query: passage.head.uri.query().map(str::to_owned),
        content_type: headers.get(http::header::CONTENT_TYPE).and_then(text),
    };
    let mut source = Source::stream(config, headers, incoming)?;
    let kind = essence(headers);
    if !matched.is_http_body_in() {
        if method.server_streaming {
            // A conversation may pause.
            source.idle = Idle::stream(config);
        }
        let unit = unit(&kind)?;
        let splitter = Splitter::new(unit, config.message_max());
        let share = edge.bodies.share(passage.address);
        let reading = Reading { form, source, splitter, share, first: true, ended: false };
        return begun(json(reading), method).await;
    }
    source.idle = Idle::upload(config);
    if kind == "multipart/form-data" {
        return begun(multipart::messages(form, source)?, method).await;
    }
    begun(raw(form, source), method).await
}

fn unit(kind: &str) -> Result<Unit, Refusal> {
    match kind {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Unit::Lines),
        "" | "application/json" => Ok(Unit::Array),
        kind if kind.starts_with("application/") && kind.ends_with("+json") => Ok(Unit::Array),
        _ => Err(Refusal::new(
            415,
            tonic::Code::InvalidArgument,
            "UNSUPPORTED_MEDIA_TYPE",
            "this method reads a stream of messages; send them as application/x-ndjson, or as one array of application/json",
        )),
    }
}

/// Reads the first message, then gives all of them.
async fn begun(
    messages: impl Stream<Item = Result<Framed, Refusal>> + Send + 'static,
    method: &Method,
) -> Result<Inlet, Refusal> {
    let mut messages = Box::pin(messages);
    let first = if method.server_streaming {
        tokio::time::timeout(FIRST, messages.next()).await.ok()
    } else {
        Some(messages.next().await)
    };
    match first {
        None => Ok(Inlet::messages(messages)),
        Some(None) => Ok(Inlet::messages(stream::empty())),
        Some(Some(first)) => {
            let first = first?;
            Ok(Inlet::messages(stream::iter([Ok(first)]).chain(messages)))
        }
    }
}

struct Reading {
    form: Form,
    source: Source,
    splitter: Splitter,
    /// Of what the splitter holds.
    share: Share,
    first: bool,
    ended: bool,
}

fn json(reading: Reading) -> impl Stream<Item = Result<Framed, Refusal>> + Send + 'static {
    stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(message) => Some((Ok(message?), Some(reading))),
            Err(refusal) => Some((Err(refusal), None)),
        }
    })
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Framed>, Refusal> {
        while !self.ended {
            if let Some(text) = self.splitter.next_message()? {
                return self.wire(&text).map(Some);
            }
            match self.source.next().await? {
                Some(piece) => {
                    self.share.fit(self.splitter.with(&piece)).await?;
                    self.splitter.push(&piece);
                }
                None => {
                    self.ended = true;
                    return self.splitter.finish()?.map(|text| self.wire(&text)).transpose();
                }
            }
        }
        Ok(None)
    }

    /// Path and query belong to the first message.
    fn wire(&mut self, text: &[u8]) -> Result<Framed, Refusal> {
        let (matched, options) = (&self.form.matched, self.form.matched.reading());
        let wire = match std::mem::replace(&mut self.first, false) {
            true => matched.request(self.form.query.as_deref(), None, text, &options)?,
            false => matched.next_request(text, &options)?,
        };
        Ok(wire)
    }
}

impl Form {
    /// One message of bytes.
    fn bytes(&self, data: &[u8], first: bool) -> Result<Framed, Refusal> {
        let (query, kind) = (self.query.as_deref(), self.content_type.as_deref());
        Ok(self.matched.http_body_request(query, kind, data, &self.matched.reading(), first)?)
    }
}

/// Bytes as they come, the type with the first of them; an empty body is one message too.
fn raw(form: Form, source: Source) -> impl Stream<Item = Result<Framed, Refusal>> + Send + 'static {
    stream::unfold(Some((form, source, Bytes::new(), true)), |state| async move {
        let (form, mut source, mut rest, first) = state?;
        if rest.is_empty() {
            match source.next().await {
                Ok(Some(piece)) => rest = piece,
                Ok(None) if first => {}
                Ok(None) => return None,
                Err(refusal) => return Some((Err(refusal), None)),
            }
        }
        let chunk = rest.split_to(rest.len().min(CHUNK));
        let message = form.bytes(&chunk, first);
        let next = message.is_ok().then_some((form, source, rest, false));
        Some((message, next))
    })
}
