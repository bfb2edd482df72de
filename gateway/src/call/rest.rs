//! One REST call: path, query and JSON to wire bytes, the answer back to JSON.
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method as Verb, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use proto::Method;
use tonic::body::Body;
use transcode::{Alt, Match, ResponseOptions, frame::Framed};

use crate::{
    call::{
        accept,
        body::{self, Whole},
        condition, content, feed, idempotency,
        inlet::{Fault, Inlet},
        stream,
    },
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
    upstream::{self, Call, Messages},
};

/// The answer of a call with one.
pub(crate) struct Answer {
    /// Leading metadata.
    pub(crate) headers: HeaderMap,
    /// Trailing metadata.
    pub(crate) trailers: HeaderMap,
    /// The message.
    pub(crate) wire: Bytes,
}

/// Drives the call.
pub(crate) async fn drive(
    edge: &Arc<Edge>,
    mut passage: Passage,
    incoming: Incoming,
    matched: &Match,
    method: &'static Method,
) -> Result<Response<Body>, Refusal> {
    content::without_range(&mut passage.head);
    let query = passage.head.uri.query();
    let options = matched.response_options(query)?;
    if !method.server_streaming {
        accept::json(&passage.head.headers, matched, &options)?;
    }
    if method.client_streaming {
        idempotency::none(&passage.head.headers, method)?;
        condition::none((&passage.head.method, &passage.head.headers), method)?;
        let inlet = Box::pin(feed::open(edge, &passage, incoming, matched, method)).await?;
        let Inlet { body, fault } = inlet;
        let metadata = upstream::metadata(&passage.head.headers);
        let call = upstream::prepare(edge, &passage.context, Call::of(&passage, method)?, metadata, body);
        if method.server_streaming {
            return Box::pin(stream::drive(edge, passage, matched, method, options, (call, fault))).await;
        }
        let answer = Box::pin(fault.or(async { single(edge, call.await).await })).await?;
        return render(&passage.head, matched, &options, answer);
    }
    let head = &passage.head;
    // The share is kept to the end of the call: the message is about as long as the body.
    let Whole { bytes: body, share: _share } = body::whole(edge, &passage, &head.headers, incoming).await?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reading = matched.reading();
    let wire = if matched.is_http_body_in() {
        matched.http_body_request(query, content_type, &body, &reading, true)?
    } else {
        matched.request(query, content_type, &body, &reading)?
    };
    drop(body);
    let wire = idempotency::keyed(&head.headers, matched.method(), method, wire)?;
    let (wire, has_precondition) = condition::if_match((&head.method, &head.headers), matched.method(), method, wire)?;
    if method.server_streaming {
        let call = upstream::renewable(edge, &passage, method, wire)?;
        return Box::pin(stream::drive(edge, passage, matched, method, options, (call, Fault::default()))).await;
    }
    match unary(edge, &passage, method, wire).await {
        Ok(answer) => render(head, matched, &options, answer),
        Err(refusal) if has_precondition => Err(upstream::as_precondition(refusal, &passage.schema.contract)),
        Err(refusal) if matched.is_http_body_out() => Err(content::refusal(refusal, &passage.schema.contract)),
        Err(refusal) => Err(refusal),
    }
}

/// Sends one message and reads one.
pub(crate) async fn unary(
    edge: &Edge,
    passage: &Passage,
    method: &'static Method,
    message: Framed,
) -> Result<Answer, Refusal> {
    let metadata = || upstream::metadata(&passage.head.headers);
    let response = upstream::renewed(edge, passage, method, metadata, &message.into_frame()).await?;
    single(edge, response).await
}

/// Reads the one message of an answer.
async fn single(edge: &Edge, response: Response<Body>) -> Result<Answer, Refusal> {
    let (headers, mut messages) = Messages::new(response, edge.config.message_max());
    let wire = messages.next().await?;
    if messages.next().await?.is_some() {
        return Err(api::Error::fault("the service sent two answers to one call").into());
    }
    let wire = wire.ok_or_else(|| api::Error::fault("the service ended the call without an answer"))?;
    Ok(Answer { headers, trailers: messages.into_trailers(), wire })
}

fn render(
    head: &http::request::Parts,
    matched: &Match,
    options: &ResponseOptions,
    answer: Answer,
) -> Result<Response<Body>, Refusal> {
    let Answer { headers, trailers, wire: answer } = answer;
    let etag = condition::etag_of(matched.method(), &answer);
    let mut response = Response::new(Body::empty());
    upstream::show(&headers, response.headers_mut());
    upstream::show(&trailers, response.headers_mut());
    if let Some(value) = etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
        response.headers_mut().insert(header::ETAG, value);
    }
    let reads = matches!(head.method, Verb::GET | Verb::HEAD);
    if reads && condition::is_other(&head.headers, etag.as_deref()) {
        let message = "it is in another state than If-Match asks for; read it again";
        let refusal = Refusal::new(412, tonic::Code::FailedPrecondition, "ETAG_MISMATCH", message);
        return Err(etag.iter().fold(refusal, |refusal, etag| refusal.header(header::ETAG, etag)));
    }
    if reads && condition::is_unchanged(&head.headers, etag.as_deref()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let (content_type, body) = if matched.is_http_body_out() {
        *response.status_mut() = content::status(response.headers(), &headers);
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
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
