//! Native gRPC: frames pass through unread; headers are cleaned on the way in and out.
use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proto::Method;
use tonic::body::Body;
use tower::ServiceExt;

use crate::{
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
    schema::Schema,
    upstream::{self, Call},
};

/// Package whose methods each service of the platform serves for itself.
const EVERYWHERE: &str = "workos.events.";

/// Drives the call.
pub(crate) async fn drive(
    edge: &Edge,
    passage: &Passage,
    incoming: Incoming,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    let body = Body::new(incoming.map_err(|error| tonic::Status::from(api::Error::internal(error))));
    pass(edge, passage, body, method).await
}

/// Sends frames on and gives back what comes.
pub(crate) async fn pass(
    edge: &Edge,
    passage: &Passage,
    body: Body,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    let mut metadata = upstream::metadata(&passage.head.headers);
    for name in ["grpc-encoding", "grpc-accept-encoding"] {
        if let Some(value) = passage.head.headers.get(name) {
            metadata.insert(name, value.clone());
        }
    }
    let service = serving(&passage.schema, &passage.head.headers, method)?;
    let mut response =
        upstream::send(edge, &passage.context, Call { service, ..Call::of(passage, method) }, metadata, body).await?;
    let reserved: Vec<_> = response
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("x-workos-") || name.as_str().starts_with("workos-"))
        .cloned()
        .collect();
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

/// The service that answers. A method that every service serves for itself (`workos.events.v1`) belongs to none: the header
/// `target-service` names which is meant.
pub(crate) fn serving<'a>(
    schema: &Schema,
    headers: &'a http::HeaderMap,
    method: &'static Method,
) -> Result<&'a str, Refusal> {
    let owned = |service: &str| schema.methods.of_service(service).any(|known| known.has_http);
    if method.has_http || !method.full_service.starts_with(EVERYWHERE) || owned(method.service) {
        return Ok(method.service);
    }
    let named = headers.get("target-service").and_then(|value| value.to_str().ok());
    named.filter(|service| owned(service)).ok_or_else(|| {
        let message =
            "every service answers this method for itself; name one in the header target-service, for example document";
        Refusal::new(400, tonic::Code::InvalidArgument, "TARGET_SERVICE_MISSING", message)
    })
}

/// Answers reflection from the schema itself.
pub(crate) async fn reflect(
    schema: &Schema,
    head: http::request::Parts,
    incoming: Incoming,
) -> Result<Response<Body>, Refusal> {
    let Some(reflection) = &schema.reflection else { return Err(Refusal::not_found(head.uri.path())) };
    let body = Body::new(incoming.map_err(|error| tonic::Status::from(api::Error::internal(error))));
    let request = Request::from_parts(head, body);
    match reflection.routes().oneshot(request).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(never) => match never {},
    }
}
