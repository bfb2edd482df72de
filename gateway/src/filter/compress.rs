//! Answers in the coding that the caller prefers, error bodies included.
//!
//! Left alone: what is coded already, what does not shrink (pictures, archives), what is tiny, ranges, and RPC protocols,
//! which have codings of their own. A stream is flushed message by message, so that compression delays none.
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use tonic::{Status, body::Body};

use crate::coding::{Coding, Encoder, LEAST};

/// Codes the answer, if that is worth it.
pub(crate) fn answer(accepted: Option<Coding>, method: &Method, response: Response<Body>) -> Response<Body> {
    if !may_vary(&response) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let size = body.size_hint().exact();
    let coding = accepted.filter(|_| method != Method::HEAD && size.is_none_or(|size| size >= LEAST));
    let Some((coding, encoder)) = coding.and_then(|coding| Some((coding, Encoder::new(coding)?))) else {
        return Response::from_parts(head, body);
    };
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::ACCEPT_RANGES);
    let coded = Coded { inner: body, encoder: Some(encoder), flush: size.is_none(), trailers: None };
    Response::from_parts(head, Body::new(coded))
}

fn may_vary(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let bodiless = matches!(
        response.status(),
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::NOT_MODIFIED
            | StatusCode::PARTIAL_CONTENT
    );
    let fixed = headers.contains_key(header::CONTENT_ENCODING)
        || headers.contains_key(header::CONTENT_RANGE)
        || headers.contains_key("repr-digest")
        || text(headers, header::CACHE_CONTROL).contains("no-transform");
    !bodiless && !fixed && shrinks(text(headers, header::CONTENT_TYPE))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Text does; RPC protocols code their own messages.
fn shrinks(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "application/x-ndjson", "application/proto", "application/x-protobuf"];
    let family = ["text/", "application/javascript", "application/yaml", "application/xml", "image/svg+xml"];
    known.contains(&essence)
        || family.iter().any(|family| essence.starts_with(family))
        || (essence.ends_with("+json") && !essence.starts_with("application/connect"))
            && !essence.starts_with("application/grpc")
}

struct Coded {
    inner: Body,
    /// `None` once the end was written.
    encoder: Option<Encoder>,
    flush: bool,
    trailers: Option<Frame<Bytes>>,
}

impl HttpBody for Coded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(this.trailers.take().map(Ok)) };
            let coded = match ready!(Pin::new(&mut this.inner).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => encoder.piece(&data, this.flush && !data.is_empty()),
                other => {
                    this.trailers = other.and_then(Result::err);
                    this.encoder.take().map_or_else(|| Ok(Bytes::new()), Encoder::finish)
                }
            };
            let coded = coded.map_err(|error| Status::from(api::Error::internal(error)))?;
            if !coded.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(coded))));
            }
        }
    }
}
