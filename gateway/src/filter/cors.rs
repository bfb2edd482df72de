//! Cross-origin calls of browsers (Fetch standard): exact origins from the configuration, methods from the routes.
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::body::Body;

use crate::{
    config::Config,
    route::{self, Route, Target},
    schema::Schema,
};

const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after, etag, location, \
    content-disposition, content-range, accept-ranges, repr-digest, www-authenticate, tus-resumable, upload-offset, upload-length, \
    tus-version, tus-extension, tus-max-size";
const ACCEPTED: &str = "authorization, content-type, x-request-id, traceparent, if-match, if-none-match, range, last-event-id, idempotency-key, \
    grpc-timeout, x-server-timeout, x-grpc-web, x-user-agent, connect-protocol-version, connect-timeout-ms, \
    connect-content-encoding, connect-accept-encoding, content-encoding, tus-resumable, upload-length, upload-offset, upload-metadata, \
    x-http-method-override, target-service";

/// Answers a preflight; `None` when the request is none.
pub(crate) fn preflight<B>(
    config: &Config,
    request: &Request<B>,
    route: &Route,
    schema: &Schema,
) -> Option<Response<Body>> {
    let headers = request.headers();
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    if request.method() != Method::OPTIONS || !allowed(&config.cors_origins, headers.get(header::ORIGIN)) {
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
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, with(ACCEPTED, &config.cors_headers));
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Some(response)
}

/// Adds what a browser of an allowed origin needs to read the answer, errors included.
pub(crate) fn decorate(config: &Config, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let origins = &config.cors_origins;
    if origins.is_empty() {
        return;
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| allowed(origins, Some(origin))) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, with(EXPOSED, &config.cors_exposed));
    }
}

/// What the edge knows, and what the settings add.
fn with(known: &'static str, more: &[String]) -> HeaderValue {
    if more.is_empty() {
        return HeaderValue::from_static(known);
    }
    let list = format!("{known}, {}", more.join(", "));
    HeaderValue::from_str(&list).unwrap_or(HeaderValue::from_static(known))
}

fn allowed(origins: &[String], origin: Option<&HeaderValue>) -> bool {
    origin.is_some_and(|origin| origins.iter().any(|known| known.as_bytes() == origin.as_bytes()))
}
