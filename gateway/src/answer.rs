//! What is done to an answer's body whatever made it: what is held to its end, and that HEAD has none.
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

/// The same answer; what is held goes back when its body has ended or is dropped.
pub(crate) fn holding<T: Send + Unpin + 'static>(response: Response<Body>, held: T) -> Response<Body> {
    response.map(|inner| Body::new(Holding { inner, held: Some(held) }))
}

/// The answer to HEAD: what GET would get, without its body (RFC 9110 section 9.3.2). Over HTTP/1 hyper leaves it out.
pub(crate) fn without_body(mut response: Response<Body>) -> Response<Body> {
    let size = response.body().size_hint().exact().filter(|size| *size > 0);
    if let Some(size) = size {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(size));
    }
    response.map(|_| Body::empty())
}

struct Holding<T> {
    inner: Body,
    held: Option<T>,
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if frame.is_none() {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
