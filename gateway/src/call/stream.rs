//! Server streams as JSON array, NDJSON or server-sent events, and raw bodies.
//!
//! Before the first message an error is an ordinary HTTP error; after it, it is visible in every form. A client that leaves
//! drops the body, and with it the upstream call. Nothing is buffered beyond one message.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use proto::Method;
use tonic::{Status, body::Body};
use transcode::{
    Contract, Match, ResponseOptions,
    stream::{Form, Writer, negotiate},
};

use crate::{
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
    schema::Schema,
    upstream::{self, Call, Messages},
};

/// Sign of life on a silent stream of events.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Browsers see `open` of an EventSource only when the headers came.
const HEADER_WAIT: Duration = Duration::from_secs(1);
/// Time for the transport to take the error record before the stream breaks: a body that fails at once loses it (h2#896).
const RECORD_WAIT: Duration = Duration::from_millis(100);

/// Drives the call.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    matched: &Match,
    method: &'static Method,
    options: ResponseOptions,
    wire: &[u8],
) -> Result<Response<Body>, Refusal> {
    let form = if matched.is_http_body_out() { None } else { Some(form(&passage.head.headers, &options)?) };
    let request = upstream::one_message(wire)?;
    let metadata = upstream::metadata(&passage.head.headers);
    let response = upstream::send(edge, &passage.context, Call::of(&passage, method), metadata, request).await?;
    let limit = usize::try_from(edge.config.body_max.bytes()).unwrap_or(usize::MAX);
    let (metadata, mut messages) = Messages::new(response, limit);
    let first = match form {
        Some(Form::Sse) => match tokio::time::timeout(HEADER_WAIT, messages.next()).await {
            Ok(first) => Some(first?),
            Err(_) => None,
        },
        Some(_) => Some(messages.next().await?),
        None => Some(messages.next().await.map_err(|refusal| range_refusal(refusal, &passage.schema.contract))?),
    };
    let running = Running {
        schema: passage.schema.clone(),
        matched: matched.clone(),
        options,
        request_id: passage.context.request_id.clone(),
        messages,
        writer: form.map(Writer::new),
        step: first.map_or(Step::Next, |first| first.map_or(Step::End, Step::Message)),
        trailers: takes_trailers(&passage.head.headers),
    };
    open(running, &metadata, form, passage.head.method == Verb::HEAD)
}

fn form(headers: &HeaderMap, options: &ResponseOptions) -> Result<Form, Refusal> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    Ok(negotiate(accept, options.alt)?)
}

/// A range outside the content has a status of its own, and tells the size (RFC 9110 section 15.5.17).
fn range_refusal(mut refusal: Refusal, contract: &Contract) -> Refusal {
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
            if metadata.contains_key(header::CONTENT_RANGE) {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            }
            if metadata.contains_key("workos-not-modified") {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().remove(header::CONTENT_TYPE);
                return Ok(response);
            }
        }
    }
    if running.trailers {
        // HTTP/1.1 sends only those that were announced.
        let names =
            upstream::SHOWN.iter().fold("grpc-status, grpc-message".to_owned(), |list, name| list + ", " + name);
        response.headers_mut().extend(HeaderValue::from_str(&names).ok().map(|names| (header::TRAILER, names)));
    }
    if !head_only {
        let pieces = stream::unfold(running, |mut running| async move {
            let piece = running.frame().await?;
            Some((piece, running))
        });
        *response.body_mut() = Body::new(StreamBody::new(pieces));
    }
    Ok(response)
}

/// The caller wants to be told the status of a clean end (RFC 9110 section 10.1.4).
fn takes_trailers(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

struct Running {
    schema: Arc<Schema>,
    matched: Match,
    options: ResponseOptions,
    request_id: String,
    messages: Messages,
    /// `None` for raw bodies.
    writer: Option<Writer>,
    step: Step,
    /// The status of a clean end is still to be told.
    trailers: bool,
}

enum Step {
    /// A message was read and is to be written.
    Message(Bytes),
    /// The next message is to be read.
    Next,
    /// The clean end is to be written.
    End,
    /// The error record was written; the transport must break.
    Break,
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

    /// The next piece to be sent, and the status after a clean end.
    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        if let Some(piece) = self.piece().await {
            return Some(piece.map(Frame::data));
        }
        let clean = std::mem::take(&mut self.trailers) && self.messages.is_over();
        clean.then(|| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            upstream::show(self.messages.trailers(), &mut trailers);
            Ok(Frame::trailers(trailers))
        })
    }

    /// The next piece to be sent.
    async fn piece(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            match std::mem::replace(&mut self.step, Step::Next) {
                Step::Message(wire) => match self.written(wire) {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Some(Ok(piece)),
                    Err(refusal) => return self.failed(&refusal),
                },
                Step::Next => match self.read().await {
                    Ok(None) => return self.heartbeat(),
                    Ok(Some(step)) => self.step = step,
                    Err(refusal) => return self.failed(&refusal),
                },
                Step::End => {
                    self.step = Step::Over;
                    let end = self.writer.as_mut().map(Writer::end).unwrap_or_default();
                    return (!end.is_empty()).then_some(Ok(end));
                }
                Step::Break => {
                    self.step = Step::Over;
                    tokio::time::sleep(RECORD_WAIT).await;
                    return Some(Err(api::Error::fault("the stream broke after its error record").into()));
                }
                Step::Over => return None,
            }
        }
    }

    /// Reads on; `None` when nothing came for a while.
    async fn read(&mut self) -> Result<Option<Step>, Refusal> {
        match tokio::time::timeout(HEARTBEAT, self.messages.next()).await {
            Ok(message) => Ok(Some(message?.map_or(Step::End, Step::Message))),
            Err(_) => Ok(None),
        }
    }

    fn heartbeat(&mut self) -> Option<Result<Bytes, Status>> {
        // A form without a sign of life waits silently: an empty piece is no data on the wire.
        Some(Ok(self.writer.as_ref().and_then(Writer::heartbeat).unwrap_or_default()))
    }

    fn written(&mut self, wire: Bytes) -> Result<Bytes, Refusal> {
        let Some(writer) = &mut self.writer else { return Ok(self.matched.http_body(wire)?.data) };
        let id = if writer.form() == Form::Sse { self.matched.event_id(&wire)? } else { None };
        let json = self.matched.response(&wire, &self.options)?;
        Ok(writer.message(&json, id.as_deref()))
    }

    /// Writes the error record. A raw body has no place for one: it breaks, and the missing bytes show.
    fn failed(&mut self, refusal: &Refusal) -> Option<Result<Bytes, Status>> {
        self.trailers = false;
        let Some(writer) = &mut self.writer else {
            self.step = Step::Over;
            return Some(Err(api::Error::fault("the stream broke").into()));
        };
        self.step = if writer.form().breaks_after_error() { Step::Break } else { Step::Over };
        let body = refusal.body(&self.schema.contract, Some(&self.matched), &self.request_id);
        Some(Ok(writer.error(&body)))
    }
}
