//! Server streams as JSON array, NDJSON or server-sent events, and raw bodies.
//!
//! Before the first message an error is an ordinary HTTP error; after it, it is visible in every form. A client that leaves
//! drops the body, and with it the upstream call. Nothing is buffered beyond one message.
mod patience;
mod source;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use proto::Method;
use tonic::{Status, body::Body};
use transcode::{
    Match, ResponseOptions,
    stream::{Form, Writer},
};

use crate::{
    call::{accept, content, inlet::Fault},
    edge::Edge,
    filter::Passage,
    listener::Flushed,
    refusal::Refusal,
    schema::Schema,
    upstream,
};

pub(crate) use patience::Patience;
pub(crate) use source::Source;

/// Browsers see `open` of an EventSource only when the headers came.
const HEADER_WAIT: Duration = Duration::from_secs(1);
/// Longest time for the transport to take the error record before the stream breaks: a body that fails at once loses it
/// (h2#896). After it was taken, HTTP/2 may still have it in the queue of its connection for a moment.
const RECORD_WAIT: Duration = Duration::from_secs(1);
const RECORD_REST: Duration = Duration::from_millis(20);

/// Drives the call.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    matched: &Match,
    method: &'static Method,
    options: ResponseOptions,
    (call, fault): (impl Future<Output = Response<Body>> + Send + 'static, Fault),
) -> Result<Response<Body>, Refusal> {
    let form = accept::form(&passage.head.headers, matched, &options)?;
    let limit = edge.config.message_max();
    let patience = Patience::of(&edge.config, &passage.connection);
    let patience = match form {
        // A body of bytes has no place for a record: it runs on when its connection grows old.
        None => patience.beyond_the_end(),
        // Events may be rare: their signs of life tell the caller that somebody is there.
        Some(Form::Sse) => patience.through_silence(),
        Some(_) => patience,
    };
    let mut source = Source::new(call, limit, fault, patience);
    // A browser waits for `open`, and a caller of a bidirectional method perhaps for the headers.
    let waits = form == Some(Form::Sse) || method.client_streaming;
    let first = match waits {
        true => tokio::time::timeout(HEADER_WAIT, source.next()).await.ok(),
        false => Some(source.next().await),
    };
    let first = first.transpose().map_err(|refusal| match form {
        None => content::refusal(refusal, &passage.schema.contract),
        Some(_) => refusal,
    })?;
    let metadata = source.headers.clone();
    let running = Running {
        schema: passage.schema.clone(),
        matched: matched.clone(),
        options,
        request_id: passage.context.request_id.clone(),
        flushed: passage.connection.flushed.clone(),
        source,
        writer: form.map(Writer::new),
        step: first.map_or(Step::Next, |first| first.map_or(Step::End, Step::Message)),
        heartbeat: (edge.config.keep_alive / 2).min(edge.config.stream_idle),
        trailers: wants_trailers(&passage.head.headers),
    };
    open(running, &metadata, form, passage.head.method == Verb::HEAD)
}

/// The caller can read trailers (RFC 9110 section 6.5.1).
fn wants_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case("trailers"))
}

/// The answer with its headers; the body runs on by itself.
fn open(
    mut running: Running,
    metadata: &HeaderMap,
    form: Option<Form>,
    head_only: bool,
) -> Result<Response<Body>, Refusal> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    upstream::show(metadata, headers);
    match form {
        Some(form) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
            for (name, value) in form.headers() {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        None => {
            let media_type = running.media_type()?;
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_str(&media_type).unwrap_or(HeaderValue::from_static("application/octet-stream")),
            );
            if let Some(length) = metadata.get("workos-content-length") {
                headers.insert(header::CONTENT_LENGTH, length.clone());
            }
            *response.status_mut() = content::status(metadata, metadata);
            if response.status() == StatusCode::NOT_MODIFIED {
                response.headers_mut().remove(header::CONTENT_TYPE);
                return Ok(response);
            }
        }
    }
    if running.trailers {
        response.headers_mut().insert(header::TRAILER, upstream::trailer_names());
    }
    if !head_only {
        let pieces = stream::unfold(running, |mut running| async move {
            let piece = running.piece().await?;
            Some((piece, running))
        });
        *response.body_mut() = Body::new(StreamBody::new(pieces));
    }
    Ok(response)
}

struct Running {
    schema: Arc<Schema>,
    matched: Match,
    options: ResponseOptions,
    request_id: String,
    flushed: Flushed,
    source: Source,
    /// `None` for raw bodies.
    writer: Option<Writer>,
    step: Step,
    /// After so much silence comes a sign of life, where there is one.
    heartbeat: Duration,
    /// The caller reads trailers.
    trailers: bool,
}

enum Step {
    /// A message was read and is to be written.
    Message(Bytes),
    /// The next message is to be read.
    Next,
    /// The clean end is to be written.
    End,
    /// The status follows the end.
    Trailers(HeaderMap),
    /// The error record was written at this moment; the transport must break once it took the record.
    Break(u64),
    /// Nothing more comes.
    Over,
}

impl Running {
    /// The type of a raw body, from its first message.
    fn media_type(&mut self) -> Result<String, Refusal> {
        match &self.step {
            Step::Message(wire) => Ok(self.matched.http_body(wire.clone())?.media_type().to_owned()),
            _ => Ok("application/octet-stream".to_owned()),
        }
    }

    /// The next piece to be sent.
    async fn piece(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        loop {
            match std::mem::replace(&mut self.step, Step::Next) {
                Step::Message(wire) => match self.written(wire) {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Some(Ok(Frame::data(piece))),
                    Err(refusal) => return self.failed(&refusal),
                },
                Step::Next => match self.read().await {
                    Ok(Some(step)) => self.step = step,
                    Ok(None) => {
                        if let Some(sign) = self.writer.as_ref().and_then(Writer::heartbeat) {
                            return Some(Ok(Frame::data(sign)));
                        }
                    }
                    Err(refusal) => return self.failed(&refusal),
                },
                Step::End => {
                    self.step = self.told(self.source.trailers());
                    let end = self.writer.as_mut().map(Writer::end).unwrap_or_default();
                    if !end.is_empty() {
                        return Some(Ok(Frame::data(end)));
                    }
                }
                Step::Trailers(trailers) => {
                    self.step = Step::Over;
                    return Some(Ok(Frame::trailers(trailers)));
                }
                Step::Break(mark) => {
                    self.step = Step::Over;
                    let _ = tokio::time::timeout(RECORD_WAIT, self.flushed.passed(mark)).await;
                    tokio::time::sleep(RECORD_REST).await;
                    return Some(Err(api::Error::fault("the stream broke after its error record").into()));
                }
                Step::Over => return None,
            }
        }
    }

    /// Reads on; `None` when nothing came for a while.
    async fn read(&mut self) -> Result<Option<Step>, Refusal> {
        match tokio::time::timeout(self.heartbeat, self.source.next()).await {
            Ok(message) => Ok(Some(message?.map_or(Step::End, Step::Message))),
            Err(_) => Ok(None),
        }
    }

    fn written(&mut self, wire: Bytes) -> Result<Bytes, Refusal> {
        let Some(writer) = &mut self.writer else { return Ok(self.matched.http_body(wire)?.data) };
        let id = if writer.form() == Form::Sse { self.matched.event_id(&wire)? } else { None };
        let json = self.matched.response(&wire, &self.options)?;
        Ok(writer.message(&json, id.as_deref()))
    }

    /// Writes the error record. A raw body has no place for one: it breaks, and the missing bytes show.
    fn failed(&mut self, refusal: &Refusal) -> Option<Result<Frame<Bytes>, Status>> {
        self.step = Step::Over;
        self.source.leave();
        let Some(writer) = &mut self.writer else {
            return Some(Err(api::Error::fault("the stream broke").into()));
        };
        let breaks = writer.form().breaks_after_error();
        let body = refusal.body(&self.schema.contract, Some(&self.matched), &self.request_id);
        let record = writer.error(&body);
        self.step = if breaks { Step::Break(self.flushed.mark()) } else { self.told(&refusal.trailers()) };
        Some(Ok(Frame::data(record)))
    }

    /// What comes after the last piece: the status, for those who were promised trailers.
    fn told(&self, trailers: &HeaderMap) -> Step {
        if self.trailers { Step::Trailers(upstream::shown_trailers(trailers)) } else { Step::Over }
    }
}
