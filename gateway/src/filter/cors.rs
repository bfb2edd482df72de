//! Cross-origin calls of browsers (Fetch standard): exact origins from the configuration, methods from the routes.
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::body::Body;

use crate::{
    route::{self, Route, Target},
    schema::Schema,
};

const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after, etag, location, \
    tus-resumable, upload-offset, upload-length, tus-version, tus-extension, tus-max-size";
const ACCEPTED: &str = "authorization, content-type, x-request-id, traceparent, if-match, if-none-match, range, last-event-id, idempotency-key, \
    grpc-timeout, x-server-timeout, x-grpc-web, x-user-agent, connect-protocol-version, connect-timeout-ms, \
    connect-content-encoding, connect-accept-encoding, content-encoding, tus-resumable, upload-length, upload-offset, upload-metadata, x-http-method-override";

/// Answers a preflight; `None` when the request is none.
pub(crate) fn preflight<B>(
    origins: &[String],
    request: &Request<B>,
    route: &Route,
    schema: &Schema,
) -> Option<Response<Body>> {
    let headers = request.headers();
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    if request.method() != Method::OPTIONS || !allowed(origins, headers.get(header::ORIGIN)) {
        return None;
    }
    let allow = match &route.target {
        Target::Options(allow) => allow.clone(),
        Target::Resumable(..) => vec![Method::POST, Method::HEAD, Method::PATCH, Method::DELETE, Method::OPTIONS],
        _ => route::methods_at(schema, request.uri().path()),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let known = allow.iter().any(|method| method.as_str().as_bytes() == asked.as_bytes());
    if known && let Ok(list) = HeaderValue::from_str(&route::list(&allow)) {
        let answer = response.headers_mut();
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, list);
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ACCEPTED));
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Some(response)
}

/// Adds what a browser of an allowed origin needs to read the answer, errors included.
pub(crate) fn decorate(origins: &[String], origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if origins.is_empty() {
        return;
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| allowed(origins, Some(origin))) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

fn allowed(origins: &[String], origin: Option<&HeaderValue>) -> bool {
    origin.is_some_and(|origin| origins.iter().any(|known| known.as_bytes() == origin.as_bytes()))
}
