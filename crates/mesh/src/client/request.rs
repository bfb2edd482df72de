//! A request made ready for the way: context, deadline, narrowed token, and a body that can be sent again.
use std::sync::Arc;

use api::{CallContext, Error, Ids, Trace};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use proto::{Idempotency, Method, Rate};
use tokio::time::Instant;
use tonic::{
    body::Body,
    metadata::{BinaryMetadataValue, MetadataMap},
};
use tracing::Span;

use super::{Credentials, Inner, http2::Payload};
use crate::{
    call::{FORWARDED_CERTIFICATE_KEY, NETWORK_KEY, REQUEST_ID_KEY, TOKEN_KEY, TRACEPARENT_KEY, USER_AGENT_KEY},
    deadline,
    frame::{self, First},
    wire,
};

static REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_KEY);
static NETWORK: HeaderName = HeaderName::from_static(NETWORK_KEY);
static USER_AGENT: HeaderName = HeaderName::from_static(USER_AGENT_KEY);
static TRACEPARENT: HeaderName = HeaderName::from_static(TRACEPARENT_KEY);

/// A request that is ready to be sent, once or several times.
pub(super) struct Ready {
    uri: Uri,
    headers: HeaderMap,
    /// `None` once a stream was taken.
    payload: Option<Payload>,
}

impl Ready {
    /// The body can be sent again.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.payload, Some(Payload::Whole(_)))
    }

    /// The request for one try, with what is left of the time; `None` when a stream was taken already. The `last` one takes
    /// what there is instead of copying it.
    pub(super) fn request(&mut self, deadline: Instant, last: bool) -> Option<(Request<()>, Payload)> {
        let payload = match &self.payload {
            Some(Payload::Whole(bytes)) => Payload::Whole(bytes.clone()),
            _ => self.payload.take()?,
        };
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = if last { std::mem::take(&mut self.headers) } else { self.headers.clone() };
        deadline::write(request.headers_mut(), deadline.saturating_duration_since(Instant::now()));
        Some((request, payload))
    }
}

/// When the call must be over: what the request asks for, but not longer than what its own call has left.
pub(super) fn deadline_of(
    inner: &Inner,
    method: Option<&Method>,
    headers: &HeaderMap,
    context: &CallContext,
) -> Instant {
    let own = Instant::now() + deadline::allowed(&inner.settings.deadlines, method, deadline::read(headers));
    context.deadline.map_or(own, |left| left.min(own))
}

/// Makes a request of the contract ready.
pub(super) async fn ready(
    inner: &Inner,
    method: &'static Method,
    request: Request<Body>,
    credentials: &Credentials,
    context: &CallContext,
) -> Result<Ready, Error> {
    let (parts, body) = request.into_parts();
    let (message, payload);
    if method.client_streaming {
        (message, payload) = (None, Payload::Once(body));
    } else {
        let First { message: first, whole, .. } = frame::first(body, inner.settings.message_bytes_max, true).await?;
        let first = first.ok_or_else(|| Error::invalid_field("request", "is missing; send one message"))?;
        let filled = with_request_id(method, &first, &inner.ids);
        let framed = match (&filled, whole) {
            // What needs no change goes as it came, compressed or not.
            (None, Some(whole)) => whole,
            _ => frame::framed(filled.as_ref().unwrap_or(&first)),
        };
        (message, payload) = (Some(filled.unwrap_or(first)), Payload::Whole(framed));
    }
    let mut ready = assemble(parts, payload, &inner.authority, context)?;
    if method.access.as_ref().is_some_and(|access| access.rate == Rate::Credential)
        && let Some(agent) = HeaderValue::from_str(&context.user_agent).ok().filter(|agent| !agent.is_empty())
    {
        ready.headers.insert(&USER_AGENT, once(agent));
    }
    if let Credentials::Token(token) = credentials {
        let resource =
            message.as_ref().and_then(|message| wire::text_at(message, &method.resource_path).ok().flatten());
        let resource = resource.filter(|name| !name.is_empty() && !method.resource_path.is_empty());
        let narrowed = inner.narrower.narrow(token, method, resource)?;
        ready.headers = with_token(std::mem::take(&mut ready.headers), &narrowed);
    }
    Ok(ready)
}

/// Makes a request ready that the contract does not know: health, reflection.
pub(super) fn beside(inner: &Inner, request: Request<Body>, context: &CallContext) -> Result<Ready, Error> {
    let (parts, body) = request.into_parts();
    assemble(parts, Payload::Once(body), &inner.authority, context)
}

fn assemble(
    parts: Parts,
    payload: Payload,
    authority: &http::uri::Authority,
    context: &CallContext,
) -> Result<Ready, Error> {
    let mut uri = parts.uri.into_parts();
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    (uri.scheme, uri.authority) = (Some(Scheme::HTTP), Some(authority.clone()));
    let uri = Uri::from_parts(uri).map_err(Error::internal)?;
    let mut headers = parts.headers;
    // What only the mesh may say is never taken from the request.
    const OWN: [&str; 6] =
        [TOKEN_KEY, FORWARDED_CERTIFICATE_KEY, TRACEPARENT_KEY, REQUEST_ID_KEY, NETWORK_KEY, USER_AGENT_KEY];
    let forged: Vec<_> = headers.keys().filter(|name| OWN.contains(&name.as_str())).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    if let Ok(id) = HeaderValue::from_str(&context.request_id)
        && !context.request_id.is_empty()
    {
        headers.insert(&REQUEST_ID, once(id));
    }
    if let Ok(network) = HeaderValue::from_str(&context.network)
        && !context.network.is_empty()
    {
        headers.insert(&NETWORK, network);
    }
    let trace = Trace::of(&Span::current()).or_else(|| Trace::parse(&context.traceparent)).unwrap_or_else(Trace::fresh);
    let trace = HeaderValue::from_str(&trace.render()).expect("hexadecimal digits are a header value");
    headers.insert(&TRACEPARENT, once(trace));
    Ok(Ready { uri, headers, payload: Some(payload) })
}

/// A value that never comes again: HTTP/2 shall not keep it in its table, where it would take the place of one that does (RFC 7541
/// section 6.2.3).
pub(super) fn once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn with_token(headers: HeaderMap, token: &[u8]) -> HeaderMap {
    let mut metadata = MetadataMap::from_headers(headers);
    metadata.insert_bin(TOKEN_KEY, BinaryMetadataValue::from_bytes(token));
    metadata.into_headers()
}

/// The message with a request id, when the method takes one and the caller gave none: a retry then gets the first answer.
fn with_request_id(method: &Method, message: &Bytes, ids: &Ids) -> Option<Bytes> {
    let field = method.request_id_field.filter(|_| method.idempotency == Idempotency::Idempotent)?;
    // What cannot be read goes as it came: its service refuses it.
    let missing = wire::text_at(message, &[field]).is_ok_and(|given| given.is_none_or(str::is_empty));
    missing.then(|| wire::with_text(message, field, &ids.next().uuid().to_string()))
}

/// Span of an outgoing call: a child of the span in force, if that belongs to the context's trace, else of the context's trace. A
/// worker that calls later, for a request whose event it holds, runs in a span of its own; the request's trace goes on then.
pub(super) fn span(method: Option<&'static Method>, service: &str, context: &Arc<CallContext>) -> Span {
    let span = tracing::info_span!(
        target: "call",
        "call out",
        otel.name = method.map_or("beside", |method| method.rpc),
        otel.kind = "client",
        rpc.system = "grpc",
        rpc.service = method.map_or("beside", |method| method.full_service),
        rpc.method = method.map_or("beside", |method| method.name),
        rpc.grpc.status_code = tracing::field::Empty,
        to = service,
    );
    let here = Trace::of(&Span::current());
    if let Some(cause) = Trace::parse(&context.traceparent)
        && here.is_none_or(|here| here.id() != cause.id())
    {
        cause.adopt(&span);
    }
    span
}
