//! Native gRPC: frames pass through unread; headers and trailers are cleaned on the way in and out.
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
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
    filter::{
        Passage,
        auth::{self, Principal},
    },
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
        return sent(edge, passage, passage.principal.as_ref(), frames(incoming), method).await;
    }
    let whole = body::whole(edge, passage, &HeaderMap::new(), incoming).await.map_err(body::exhausted)?;
    one(edge, passage, whole, method).await
}

/// The caller's frames as they are. gRPC knows no trailers of a request: nobody below would look for what stands there.
pub(crate) fn frames(incoming: Incoming) -> Body {
    let data = incoming.map_frame(|frame| Frame::data(frame.into_data().unwrap_or_default()));
    Body::new(data.map_err(|error| tonic::Status::from(api::Error::internal(error))))
}

/// Sends the frame of a request that is one message, once more with a new internal token when the first one is stale. The mesh keeps it
/// whole as well, to send it again: in the same memory.
pub(crate) async fn one(
    edge: &Edge,
    passage: &Passage,
    Whole { bytes, share: _share }: Whole,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    let frame = || Body::new(Full::new(bytes.clone()));
    let principal = passage.principal.as_ref();
    let response = sent(edge, passage, principal, frame(), method).await?;
    if principal.is_none() || !upstream::is_stale(response.headers()) {
        return Ok(response);
    }
    let fresh = Box::pin(auth::authenticate(edge, &passage.head.headers, method, &passage.context)).await?;
    Box::pin(sent(edge, passage, fresh.as_ref(), frame(), method)).await
}

/// Sends frames on and gives back what comes. A stream of messages is told when it must end.
pub(crate) async fn sent(
    edge: &Edge,
    passage: &Passage,
    principal: Option<&Principal>,
    body: Body,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    let mut metadata = upstream::metadata(&passage.head.headers);
    for name in ["grpc-encoding", "grpc-accept-encoding"] {
        if let Some(value) = passage.head.headers.get(name) {
            metadata.insert(name, value.clone());
        }
    }
    let call = Call { principal, ..Call::of(passage, method)? };
    let call = upstream::prepare(edge, &passage.context, call, metadata, body);
    if !method.server_streaming {
        return Ok(cleaned(call.await));
    }
    let patience = Patience::of(&edge.config, &passage.connection);
    let response = patience.wait(Instant::now(), call).await?;
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
