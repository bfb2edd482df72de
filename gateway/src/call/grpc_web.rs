//! gRPC-Web (grpc `PROTOCOL-WEB.md`): gRPC's frames in a body of HTTP/1.1 or HTTP/2, in base64 for callers that can read
//! text only, and the trailers as last frame, because browsers hide real ones.
//!
//! Frames pass through unread. What must hold: each piece of text is padded on its own, on the way in and out, so that no
//! message waits for the next; the trailers frame is the last thing in the body, also when the call failed.
mod text;

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use proto::Method;
use tonic::{Status, body::Body};

use crate::{
    call::{
        body::{self, Source, Whole},
        grpc,
        inlet::{Fault, Inlet},
    },
    edge::Edge,
    filter::Passage,
    refusal::{Dialect, Refusal, Web, trailers_frame},
    upstream,
};

/// Headers of a call that ended before its first message; in the trailers frame they reach every client.
const STATUS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// Drives the call.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    method: &'static Method,
    web: Web,
) -> Result<Response<Body>, Refusal> {
    if method.client_streaming {
        let Inlet { body, fault } = inlet(edge, incoming, web)?;
        let answer = grpc::sent(edge, &passage, body, method);
        return framed(fault.or(answer).await?, web);
    }
    let limit = edge.config.message_max();
    // Each piece of text has padding of its own, and may have white space.
    let longest = if web == Web::Text { limit.saturating_mul(2) } else { limit };
    let whole = body::within(edge, &passage, &HeaderMap::new(), incoming, longest).await.map_err(body::exhausted)?;
    let whole = if web == Web::Text { Whole { bytes: text::whole(&whole.bytes)?, ..whole } } else { whole };
    if whole.bytes.len() > limit {
        return Err(body::exhausted(body::too_large(limit as u64)));
    }
    framed(grpc::one(edge, &passage, whole, method).await?, web)
}

/// The caller's frames.
pub(super) fn inlet(edge: &Edge, incoming: Incoming, web: Web) -> Result<Inlet, Refusal> {
    Ok(match web {
        Web::Binary => Inlet { body: grpc::frames(incoming), fault: Fault::default() },
        Web::Text => Inlet::frames(read(Source::stream(&edge.config, &HeaderMap::new(), incoming)?)),
    })
}

/// An answer of gRPC in this form.
pub(super) fn framed(response: Response<Body>, web: Web) -> Result<Response<Body>, Refusal> {
    let (mut head, body) = response.into_parts();
    if head.status != StatusCode::OK
        && let Some(refusal) = upstream::status(head.status, &head.headers)
    {
        return Err(refusal);
    }
    head.status = StatusCode::OK;
    // The trailers frame makes it longer, and text longer still.
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, Dialect::GrpcWeb(web).content_type());
    let mut early = HeaderMap::new();
    for name in STATUS {
        if let Some(value) = head.headers.remove(name) {
            early.insert(HeaderName::from_static(name), value);
        }
    }
    let framed = Framed { inner: body, web, early, ended: false };
    Ok(Response::from_parts(head, Body::new(framed)))
}

/// Text to frames, piece by piece; padding may stand wherever a piece ended.
fn read(source: Source) -> impl futures::Stream<Item = Result<Bytes, Refusal>> + Send + 'static {
    let pieces = source.pieces().map(Some).chain(stream::iter([None]));
    pieces.scan(BytesMut::new(), |rest, piece| {
        let decoded = match piece {
            Some(Ok(piece)) => text::decode(rest, &piece),
            Some(Err(refusal)) => Err(refusal),
            None if rest.is_empty() => Ok(Bytes::new()),
            None => Err(text::malformed()),
        };
        std::future::ready(Some(decoded))
    })
}

/// The answer's frames, and the trailers as one more.
struct Framed {
    inner: Body,
    web: Web,
    /// The status that came with the headers.
    early: HeaderMap,
    ended: bool,
}

impl Framed {
    fn last(&mut self, trailers: &HeaderMap) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        Poll::Ready(Some(Ok(Frame::data(self.web.written(&trailers_frame(trailers))))))
    }
}

impl HttpBody for Framed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(this.web.written(&data))))),
                    Err(frame) => return this.last(&frame.into_trailers().unwrap_or_default()),
                },
                Some(Err(status)) => return this.last(&Refusal::from(status).trailers()),
                None if this.early.is_empty() => {
                    return this.last(&upstream::without_status().trailers());
                }
                None => {
                    let early = std::mem::take(&mut this.early);
                    return this.last(&early);
                }
            }
        }
    }
}
