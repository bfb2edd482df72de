//! Native gRPC: frames pass through unread; headers and trailers are cleaned on the way in and out.
use std::future::Future;

use bytes::Bytes;
use futures::{FutureExt, stream};
use http::{HeaderMap, HeaderName, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use proto::Method;
use tokio::time::Instant;
use tonic::body::Body;

use crate::{
    call::{
        body::{self, Whole},
        stream::Patience,
    },
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
    upstream::{self, Call},
};

/// Drives the call.
pub(crate) async fn drive(
    edge: &Edge,
    passage: &Passage,
    incoming: Incoming,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    if method.client_streaming {
        return sent(edge, passage, frames(incoming), method).await;
    }
    let whole = body::whole(edge, passage, &HeaderMap::new(), incoming).await.map_err(body::exhausted)?;
    one(edge, passage, whole, method).await
}

/// The caller's frames as they are. gRPC knows no trailers of a request: nobody below would look for what stands there.
pub(crate) fn frames(incoming: Incoming) -> Body {
    let data = incoming.map_frame(|frame| Frame::data(frame.into_data().unwrap_or_default()));
    Body::new(data.map_err(|error| tonic::Status::from(api::Error::internal(error))))
}

/// Sends the frame of a request that is one message. The mesh keeps it whole as well, to send it again: in the same memory.
pub(crate) async fn one(
    edge: &Edge,
    passage: &Passage,
    Whole { bytes, share: _share }: Whole,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    let metadata = || metadata(passage);
    if method.server_streaming {
        let call = Box::pin(upstream::renewed(edge, passage, method, metadata, &bytes));
        return streamed(edge, passage, call).await;
    }
    upstream::renewed(edge, passage, method, metadata, &bytes).await.map(cleaned)
}

/// Sends frames on and gives back what comes.
pub(crate) async fn sent(
    edge: &Edge,
    passage: &Passage,
    body: Body,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    let call = upstream::prepare(edge, &passage.context, Call::of(passage, method)?, metadata(passage), body);
    if method.server_streaming {
        return streamed(edge, passage, Box::pin(call.map(Ok))).await;
    }
    Ok(cleaned(call.await))
}

/// The caller's headers, and how he codes messages: they pass through as they are.
fn metadata(passage: &Passage) -> HeaderMap {
    let mut metadata = upstream::metadata(&passage.head.headers);
    for name in ["grpc-encoding", "grpc-accept-encoding"] {
        if let Some(value) = passage.head.headers.get(name) {
            metadata.insert(name, value.clone());
        }
    }
    metadata
}

/// A stream of messages is told when it must end.
async fn streamed(
    edge: &Edge,
    passage: &Passage,
    call: impl Future<Output = Result<Response<Body>, Refusal>> + Unpin,
) -> Result<Response<Body>, Refusal> {
    let patience = Patience::of(&edge.config, &passage.connection);
    let response = patience.wait(Instant::now(), call).await??;
    Ok(cleaned(response).map(|body| told(body, patience)))
}

/// Without what belongs to the platform.
fn cleaned(mut response: Response<Body>) -> Response<Body> {
    without_own(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/grpc"));
    response.map(|body| {
        Body::new(body.map_frame(|frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                without_own(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }))
    })
}

fn without_own(headers: &mut HeaderMap) {
    let own: Vec<HeaderName> = headers.keys().filter(|name| upstream::is_own(name.as_str())).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

/// The same messages, and where they must end the status that says why.
pub(super) fn told(body: Body, patience: Patience) -> Body {
    let frames = stream::unfold(Some(body), move |body| {
        let patience = patience.clone();
        async move {
            let mut body = body?;
            match patience.wait(Instant::now(), body.frame()).await {
                Ok(frame) => Some((frame?, Some(body))),
                Err(refusal) => Some((Ok(Frame::<Bytes>::trailers(refusal.trailers())), None)),
            }
        }
    });
    Body::new(StreamBody::new(frames))
}
