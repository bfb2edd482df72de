//! Calls to services below any codec: request and response are gRPC frames in HTTP/2 bodies.
use std::{future::Future, sync::Arc};

use api::CallContext;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use proto::Method;
use tokio::time::Instant;
use tonic::body::Body;
use transcode::{
    Contract,
    error::{code_of_http, http_status},
    frame,
};

use crate::{
    coding::{self, Coding, Flaw},
    edge::Edge,
    filter::{
        Passage,
        auth::{self, Credentials, Principal},
        hygiene,
    },
    refusal::Refusal,
    schema::Schema,
};

/// Answer metadata that JSON callers get.
pub(crate) const SHOWN: [&str; 10] = [
    "etag",
    "location",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-range",
    "accept-ranges",
    "repr-digest",
    "content-security-policy",
    "retry-after",
];

/// Package whose methods each service of the platform serves for itself.
const EVERYWHERE: &str = "workos.events.";

/// What is called, and for whom.
pub(crate) struct Call<'a> {
    /// The service that answers.
    pub(crate) service: &'a str,
    /// The method.
    pub(crate) method: &'static Method,
    /// Whose call it is.
    pub(crate) principal: Option<&'a Principal>,
}

impl<'a> Call<'a> {
    /// A call of the passage's principal to the service that answers the method.
    pub(crate) fn of(passage: &'a Passage, method: &'static Method) -> Result<Self, Refusal> {
        let service = serving(&passage.schema, &passage.head.headers, method)?;
        Ok(Self { service, method, principal: passage.principal.as_ref() })
    }
}

/// The service that answers. A method that every service serves for itself (`workos.events.v1`) belongs to none: the header
/// `target-service` names which is meant.
fn serving<'a>(schema: &Schema, headers: &'a HeaderMap, method: &'static Method) -> Result<&'a str, Refusal> {
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

/// A call as a future that stands on its own and gives the response once its headers are there.
pub(crate) fn prepare(
    edge: &Edge,
    context: &CallContext,
    call: Call<'_>,
    metadata: HeaderMap,
    body: Body,
) -> impl Future<Output = Response<Body>> + Send + 'static + use<> {
    let Call { service, method, principal } = call;
    let channel = match principal {
        Some(principal) => edge.mesh.with_token(service, principal.token.clone(), context),
        None => edge.mesh.as_workload(service, context),
    };
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = http::Uri::from_static(method.path);
    request.extensions_mut().insert(method);
    *request.headers_mut() = metadata;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    // The mesh gives a call that names no time its own default, though the caller asked for more and the edge allows it.
    if let Some(end) = context.deadline
        && let Ok(left) = HeaderValue::from_str(&grpc_timeout(end))
    {
        request.headers_mut().insert("grpc-timeout", left);
    }
    let stale = principal.map(|principal| (edge.credentials.clone(), principal.clone()));
    async move {
        let response = channel.send(request).await;
        forget(stale, response.headers()).await;
        response
    }
}

/// What is left until then, in milliseconds of at most eight digits (gRPC over HTTP/2).
fn grpc_timeout(end: Instant) -> String {
    format!("{}m", end.saturating_duration_since(Instant::now()).as_millis().min(99_999_999))
}

/// An internal token that is refused before the handler is stale: the next call exchanges the credential again.
async fn forget(exchange: Option<(Arc<Credentials>, Principal)>, headers: &HeaderMap) {
    if let Some((credentials, principal)) = exchange
        && headers.get("grpc-status").is_some_and(|status| status == "16")
    {
        credentials.forget(&principal).await;
    }
}

/// The call was refused before its handler because its internal token is stale: it may be sent again with a new one. The mesh alone says
/// so: a handler that hands on what a service behind it has told may have done something before.
fn is_stale(headers: &HeaderMap) -> bool {
    headers.contains_key(mesh::STALE_KEY) && headers.get("grpc-status").is_some_and(|status| status == "16")
}

/// Sends one message with these headers as metadata, once more with a new internal token when the first one is stale.
pub(crate) async fn renewed(
    edge: &Edge,
    passage: &Passage,
    method: &'static Method,
    metadata: impl Fn() -> HeaderMap,
    message: &Bytes,
) -> Result<Response<Body>, Refusal> {
    let body = || Body::new(Full::new(message.clone()));
    let call = Call::of(passage, method)?;
    let (service, has_principal) = (call.service, call.principal.is_some());
    let response = prepare(edge, &passage.context, call, metadata(), body()).await;
    if !has_principal || !is_stale(response.headers()) {
        return Ok(response);
    }
    // Boxed: it is rare, and each call would keep the room for it.
    let fresh = Box::pin(auth::authenticate(edge, &passage.head.headers, method, &passage.context)).await?;
    let call = Call { service, method, principal: fresh.as_ref() };
    Ok(Box::pin(prepare(edge, &passage.context, call, metadata(), body())).await)
}

/// The same as a future that stands on its own.
pub(crate) fn renewable(
    edge: &Arc<Edge>,
    passage: &Passage,
    method: &'static Method,
    message: frame::Framed,
) -> Result<impl Future<Output = Response<Body>> + Send + 'static + use<>, Refusal> {
    let metadata = metadata(&passage.head.headers);
    let call = Call::of(passage, method)?;
    let (service, has_principal) = (call.service.to_owned(), call.principal.is_some());
    let first = prepare(edge, &passage.context, call, metadata.clone(), one_message(message.clone()));
    let (edge, context, headers) = (Arc::clone(edge), passage.context.clone(), passage.head.headers.clone());
    Ok(async move {
        let response = first.await;
        if !has_principal || !is_stale(response.headers()) {
            return response;
        }
        // Boxed: it is rare, and each call would keep the room for it.
        let Ok(fresh) = Box::pin(auth::authenticate(&edge, &headers, method, &context)).await else { return response };
        let call = Call { service: &service, method, principal: fresh.as_ref() };
        Box::pin(prepare(&edge, &context, call, metadata, one_message(message))).await
    })
}

/// The caller's headers as metadata.
pub(crate) fn metadata(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| hygiene::is_passed_on(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The platform's own metadata, which no caller sees.
pub(crate) fn is_own(name: &str) -> bool {
    name.starts_with("x-workos-") || name.starts_with("workos-")
}

/// What RPC callers get of the answer's metadata: all but the platform's own and what belongs to one hop.
pub(crate) fn passed_back(metadata: &HeaderMap) -> HeaderMap {
    let of_hop =
        ["content-type", "content-length", "date", "server", "te", "trailer", "connection", "transfer-encoding"];
    let kept = |name: &str| {
        let told_otherwise = ["grpc-", "access-control-"].iter().any(|prefix| name.starts_with(prefix));
        !of_hop.contains(&name) && !told_otherwise && !is_own(name)
    };
    let kept = metadata.iter().filter(|(name, _)| kept(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Copies what JSON callers may see of the answer's metadata.
pub(crate) fn show(metadata: &HeaderMap, headers: &mut HeaderMap) {
    // There are fewer of them than there are names to look for.
    for name in metadata.keys().filter(|name| SHOWN.contains(&name.as_str())) {
        if let Some(value) = metadata.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// What callers that read trailers get after a clean end: the status, and metadata by the same list.
pub(crate) fn shown_trailers(trailers: &HeaderMap) -> HeaderMap {
    let mut shown = HeaderMap::new();
    shown.insert("grpc-status", trailers.get("grpc-status").cloned().unwrap_or(HeaderValue::from_static("0")));
    if let Some(message) = trailers.get("grpc-message") {
        shown.insert("grpc-message", message.clone());
    }
    show(trailers, &mut shown);
    shown
}

/// The names of them, for the header `Trailer`.
pub(crate) fn trailer_names() -> HeaderValue {
    let names = ["grpc-status", "grpc-message"].iter().chain(&SHOWN).copied().collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static("grpc-status, grpc-message"))
}

/// The status of a finished call; `None` when it is OK. The header is authoritative, of the details only the list is read.
/// Who answers without one speaks no gRPC: then the status of HTTP says what happened.
pub(crate) fn status(http: StatusCode, trailers: &HeaderMap) -> Option<Refusal> {
    if trailers.get("grpc-status").is_some_and(|code| code == "0") {
        return None;
    }
    match tonic::Status::from_header_map(trailers) {
        None if http != StatusCode::OK => {
            let code = code_of_http(http.as_u16());
            let message =
                format!("the service answered HTTP {} and no gRPC; try again, or tell its operator", http.as_u16());
            let (http, code) = (http_status(code), tonic::Code::from(code));
            Some(Refusal::new(http, code, "UPSTREAM_NOT_GRPC", message))
        }
        Some(status) if status.code() == tonic::Code::Ok => None,
        Some(status) => Some(status.into()),
        None => Some(without_status()),
    }
}

/// The call ended without a status: nobody knows what was done, so nobody is told to try again (docs/adr/0023).
pub(crate) fn without_status() -> Refusal {
    api::Error::fault("the service ended the call without a status; what it has done is unknown").into()
}

/// The messages of a response, one after the other.
pub(crate) struct Messages {
    body: Body,
    frames: frame::Reader,
    http: StatusCode,
    trailers: HeaderMap,
    ended: bool,
    /// What the service codes its messages in.
    coding: Option<Coding>,
    limit: usize,
}

impl Messages {
    /// Reads messages of at most `limit` bytes. `headers` carries the status of a call that ended before its first message.
    pub(crate) fn new(response: Response<Body>, limit: usize) -> (HeaderMap, Self) {
        let (parts, body) = response.into_parts();
        let told = parts.headers.contains_key("grpc-status");
        let trailers = if told { parts.headers.clone() } else { HeaderMap::new() };
        // What follows another status of HTTP is a page for people, not frames.
        let ended = told || parts.status != StatusCode::OK;
        let coding = parts.headers.get("grpc-encoding").and_then(|name| Coding::named(name.to_str().ok()?)?);
        let frames = frame::Reader::new(limit);
        (parts.headers, Self { body, frames, http: parts.status, trailers, ended, coding, limit })
    }

    /// The next message; `None` at a clean end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Some(frame) = self.frames.next_frame()? {
                return if frame.compressed { self.decoded(&frame.data).map(Some) } else { Ok(Some(frame.data)) };
            }
            if self.ended {
                return match status(self.http, &self.trailers) {
                    Some(refusal) => Err(refusal),
                    None if self.frames.is_partial() => {
                        Err(api::Error::fault("the service's last message is cut").into())
                    }
                    None => Ok(None),
                };
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.frames.push(data),
                    Err(frame) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
                },
                Some(Err(status)) => return Err(status.into()),
            }
        }
    }

    fn decoded(&self, data: &[u8]) -> Result<Bytes, Refusal> {
        let coding = self
            .coding
            .ok_or_else(|| api::Error::fault("the service compressed a message in a way that is not known here"))?;
        coding::decoded(coding, data, self.limit).map_err(|flaw| match flaw {
            Flaw::Broken => api::Error::fault("the service sent a message that cannot be decompressed").into(),
            Flaw::TooLarge => {
                let message =
                    format!("a message of the service is larger than {} bytes; ask for less at a time", self.limit);
                Refusal::new(500, tonic::Code::ResourceExhausted, "MESSAGE_TOO_LARGE", message)
            }
        })
    }

    /// Trailing metadata, once the stream has ended.
    pub(crate) fn into_trailers(self) -> HeaderMap {
        self.trailers
    }

    /// Trailing metadata, once the stream has ended.
    pub(crate) fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }
}

/// One message as a request body.
pub(crate) fn one_message(message: frame::Framed) -> Body {
    Body::new(Full::new(message.into_frame()))
}

/// The caller asked by `If-Match`, so a stale etag is his failed precondition (412) and not a conflict (409).
pub(crate) fn as_precondition(mut refusal: Refusal, contract: &Contract) -> Refusal {
    if refusal.parts.code == tonic::Code::Aborted as i32 && refusal.reason(contract).as_deref() == Some("ETAG_MISMATCH")
    {
        refusal.parts.http = Some(412);
    }
    refusal
}

#[cfg(test)]
mod tests {
    use api::Clock;
    use authz::{Keys, Revocations, Verifier};
    use mesh::client::{Mesh, Transport};

    use super::*;
    use crate::schema::{Recipe, compiled_in, merge};

    #[tokio::test]
    async fn an_exchange_is_forgotten_when_its_token_is_refused_before_the_handler() {
        let clock = Clock::default();
        let verifier = Verifier::new("gateway", Keys::default(), Revocations::new(clock.clone()), clock.clone());
        let mesh = Mesh::new("gateway", Transport::Sidecar, Arc::new(verifier), mesh::Settings::default());
        let credentials = Arc::new(Credentials::new(mesh, String::new(), clock));
        let principal = Principal::of_a_test();
        for (status, kept) in [(None, true), (Some("0"), true), (Some("7"), true), (Some("16"), false)] {
            credentials.remember(&principal).await;
            let mut headers = HeaderMap::new();
            headers.extend(
                status.map(|status| (http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))),
            );
            forget(Some((credentials.clone(), principal.clone())), &headers).await;
            assert_eq!(credentials.knows(&principal), kept, "{status:?}");
        }
    }

    #[test]
    fn who_answers_a_method_of_every_service_is_named_by_the_caller() {
        let recipe =
            Recipe { public_url: String::new(), reflection: false, reading: transcode::RequestOptions::default() };
        let schema = Schema::compile(&merge(&[compiled_in()]).expect("it fits"), &recipe).expect("it is whole");
        let method = |path: &str| schema.methods.get(path).expect("a method");
        let status = method("/workos.events.v1.EventAdminService/GetRelayStatus");
        let mut headers = HeaderMap::new();
        assert!(serving(&schema, &headers, status).is_err(), "nobody is named");
        for (named, found) in [("search", Some("search")), ("nobody", None)] {
            headers.insert("target-service", HeaderValue::from_static(named));
            assert_eq!(serving(&schema, &headers, status).ok(), found);
            let own = method("/workos.document.v1.DocumentService/GetDocument");
            assert_eq!(serving(&schema, &headers, own).ok(), Some("document"), "its own service answers");
        }
    }
}
