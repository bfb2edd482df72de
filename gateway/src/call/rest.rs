//! One REST call: path, query and JSON to wire bytes, the answer back to JSON.
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method as Verb, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use proto::Method;
use tonic::body::Body;
use transcode::{Alt, Match, RequestOptions, ResponseOptions};

use crate::{
    call::{body, condition, stream},
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
    upstream::{self, Call, Messages},
};

/// Drives the call.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    matched: &Match,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    if method.client_streaming {
        let message = "this method takes a stream of messages; call it by gRPC";
        return Err(Refusal::new(501, tonic::Code::Unimplemented, "STREAM_NEEDS_GRPC", message));
    }
    let body = body::whole(&edge.config, &passage.head.headers, incoming).await?;
    let head = &passage.head;
    let query = head.uri.query();
    let options = matched.response_options(query)?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reading = RequestOptions::default();
    let mut wire = if matched.is_http_body_in() {
        matched.http_body_request(query, content_type, &body, &reading, true)?
    } else {
        matched.request(query, content_type, &body, &reading)?
    };
    let precondition = condition::if_match(&head.headers, matched);
    if let Some(etag) = &precondition {
        wire = [&wire[..], etag].concat().into();
    }
    if method.server_streaming {
        return stream::drive(edge, passage, matched, method, options, &wire).await;
    }
    match unary(edge, &passage, method, &wire).await {
        Ok((metadata, answer)) => render(head, matched, &options, &metadata, answer),
        Err(refusal) if precondition.is_some() => Err(upstream::as_precondition(refusal, &passage.schema.contract)),
        Err(refusal) => Err(refusal),
    }
}

/// Sends one message and reads one. A stale internal token is exchanged again, once: the refusal precedes the handler.
async fn unary(
    edge: &Edge,
    passage: &Passage,
    method: &'static Method,
    wire: &[u8],
) -> Result<(HeaderMap, Bytes), Refusal> {
    let refusal = match attempt(edge, passage, passage.principal.as_ref(), method, wire).await {
        Err(refusal) if refusal.parts.code == tonic::Code::Unauthenticated as i32 => refusal,
        other => return other,
    };
    let Some(stale) = &passage.principal else { return Err(refusal) };
    edge.credentials.forget(stale).await;
    if refusal.reason(&passage.schema.contract).as_deref() != Some("TOKEN_STALE") {
        return Err(refusal);
    }
    let fresh = crate::filter::auth::authenticate(edge, &passage.head.headers, method, &passage.context).await?;
    attempt(edge, passage, fresh.as_ref(), method, wire).await
}

async fn attempt(
    edge: &Edge,
    passage: &Passage,
    principal: Option<&crate::filter::auth::Principal>,
    method: &'static Method,
    wire: &[u8],
) -> Result<(HeaderMap, Bytes), Refusal> {
    let request = upstream::one_message(wire)?;
    let metadata = upstream::metadata(&passage.head.headers);
    let response =
        upstream::send(edge, &passage.context, Call { principal, ..Call::of(passage, method) }, metadata, request)
            .await?;
    let limit = usize::try_from(edge.config.body_max.bytes()).unwrap_or(usize::MAX);
    let (mut metadata, mut messages) = Messages::new(response, limit);
    let answer = messages.next().await?;
    if messages.next().await?.is_some() {
        return Err(api::Error::fault("the service sent two answers to one call").into());
    }
    metadata.extend(messages.trailers().clone());
    let answer = answer.ok_or_else(|| api::Error::fault("the service ended the call without an answer"))?;
    Ok((metadata, answer))
}

fn render(
    head: &http::request::Parts,
    matched: &Match,
    options: &ResponseOptions,
    metadata: &HeaderMap,
    answer: Bytes,
) -> Result<Response<Body>, Refusal> {
    let etag = condition::etag_of(matched.method(), &answer);
    let mut response = Response::new(Body::empty());
    upstream::show(metadata, response.headers_mut());
    if let Some(value) = etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
        response.headers_mut().insert(header::ETAG, value);
    }
    if matches!(head.method, Verb::GET | Verb::HEAD) && condition::is_unchanged(&head.headers, etag.as_deref()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let (content_type, body) = if matched.is_http_body_out() {
        let body = matched.http_body(answer)?;
        (
            HeaderValue::from_str(body.media_type()).unwrap_or(HeaderValue::from_static("application/octet-stream")),
            body.data,
        )
    } else if options.alt == Some(Alt::Proto) {
        (HeaderValue::from_static("application/x-protobuf"), answer)
    } else {
        (HeaderValue::from_static("application/json"), matched.response(&answer, options)?)
    };
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if head.method != Verb::HEAD {
        *response.body_mut() = Body::new(Full::new(body));
    }
    Ok(response)
}
