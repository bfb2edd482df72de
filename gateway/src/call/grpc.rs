//! Native gRPC: frames pass through unread; headers are cleaned on the way in and out.
use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proto::Method;
use tonic::body::Body;
use tower::ServiceExt;

use crate::{edge::Edge, filter::Passage, refusal::Refusal, upstream};

/// Drives the call.
pub(crate) async fn drive(edge: &Edge, passage: Passage, incoming: Incoming, method: &'static Method) -> Result<Response<Body>, Refusal> {
    let mut metadata = upstream::metadata(&passage.head.headers);
    for name in ["grpc-encoding", "grpc-accept-encoding"] {
        if let Some(value) = passage.head.headers.get(name) {
            metadata.insert(name, value.clone());
        }
    }
    let body = Body::new(incoming.map_err(|error| tonic::Status::from(api::Error::internal(error))));
    let mut response = upstream::call(edge, &passage, method, metadata, body).await?;
    let reserved: Vec<_> = response.headers().keys().filter(|name| name.as_str().starts_with("x-workos-") || name.as_str().starts_with("workos-")).cloned().collect();
    for name in reserved {
        response.headers_mut().remove(name);
    }
    if let (Some(status), Some(principal)) = (response.headers().get("grpc-status"), &passage.principal)
        && status == "16"
    {
        // Refused before the handler: the next call exchanges the credential again.
        edge.credentials.forget(principal).await;
    }
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// Answers reflection from the contract itself.
pub(crate) async fn reflect(edge: &Edge, head: http::request::Parts, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    let Some(reflection) = &edge.reflection else { return Err(Refusal::not_found(head.uri.path())) };
    let body = Body::new(incoming.map_err(|error| tonic::Status::from(api::Error::internal(error))));
    let request = Request::from_parts(head, body);
    match reflection.routes().oneshot(request).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(never) => match never {},
    }
}
