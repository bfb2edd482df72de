//! The filters of the edge, in the order in which a request meets them.
//!
//! | # | filter | why there |
//! |---|---|---|
//! | 1 | observe, request id, panic guard | everything below is counted, refusals too |
//! | 2 | compress the answer | covers error bodies |
//! | 3 | hygiene, framing | nobody below sees forged headers, or a body whose end two readers see differently |
//! | 4 | address limit | protects routing and signature checks |
//! | 5 | route | access, rate class and error form belong to the method; the path is public |
//! | 6 | CORS | a preflight is answered before authentication; errors still carry CORS headers |
//! | 7 | authenticate | before a byte of the body is read |
//! | 8 | principal limit | per caller and rate class |
//! | 9 | deadline | the least of what the caller asks for and what the edge allows |
//! | 10 | call | the body is read, decoded, transcoded and sent |
pub(crate) mod address;
pub(crate) mod auth;
mod compress;
mod cors;
mod deadline;
pub(crate) mod hygiene;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod resumable;

use std::{convert::Infallible, net::IpAddr, panic::AssertUnwindSafe, sync::Arc};

use api::CallContext;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use proto::{Method, Rate};
use tokio::time::Instant;
use tonic::body::Body;
use tracing::Instrument;

use crate::{
    answer, call,
    coding::Coding,
    docs,
    edge::Edge,
    identity,
    listener::Connection,
    observe::Observed,
    refusal::{Dialect, Refusal},
    route::{self, Target},
    schema::Schema,
};
use auth::Principal;

/// The same list for operators.
pub(crate) const ORDER: [&str; 10] = [
    "observe, request id, panic guard",
    "compress the answer",
    "hygiene, framing",
    "address limit",
    "route",
    "CORS",
    "authenticate",
    "principal limit",
    "deadline",
    "call",
];

/// A request on its way, with what the filters have found out. Its body is still unread and travels beside it.
pub(crate) struct Passage {
    /// Method, address, headers.
    pub(crate) head: http::request::Parts,
    /// Context for calls to services.
    pub(crate) context: CallContext,
    /// The schema by which the request was routed: it keeps it to its end, whatever is loaded meanwhile.
    pub(crate) schema: Arc<Schema>,
    /// The connection it came by.
    pub(crate) connection: Connection,
    /// Who calls; `None` on public routes without a credential.
    pub(crate) principal: Option<Principal>,
    /// From where.
    pub(crate) address: IpAddr,
}

/// Answers one request.
pub(crate) async fn serve(
    edge: Arc<Edge>,
    connection: Connection,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let id = request_id::take(request.headers(), &edge.ids);
    let address = address::of(request.headers(), connection.peer, edge.config.trusted_hops);
    let observed = Observed::begin(&edge, &request, &id, address);
    let coding = Coding::accepted(request.headers(), &header::ACCEPT_ENCODING).filter(|_| edge.config.compress);
    let (origin, verb) = (request.headers().get(header::ORIGIN).cloned(), request.method().clone());
    let (place, version) = (request.uri().clone(), request.version());
    let by_cookie = edge.jar.is_some_and(|jar| jar.is_shown(request.headers()));
    let framed = hygiene::framing(&request, &edge.config);
    let local = address::is_local(request.headers(), connection.peer);
    hygiene::clean(request.headers_mut());
    let schema = edge.schema.current();
    let dialect = Dialect::of(&request, &schema, edge.config.connect);
    let begun = Begun { edge: &edge, schema: &schema, observed: &observed, connection, local, by_cookie, dialect };
    let passed = AssertUnwindSafe(begun.pass(request, framed).instrument(observed.span().clone())).catch_unwind().await;
    let answer = passed.unwrap_or_else(|_| {
        tracing::error!(parent: observed.span(), "a request handler panicked");
        Err(api::Error::fault("a fault on our side; it is logged under the request id").into())
    });
    let mut response = answer.unwrap_or_else(|refusal| {
        let matched = observed.route().and_then(|route| route.matched());
        let told = dialect.refuse(&refusal, &schema.contract, matched, &id);
        if dialect.is_rpc() { told } else { identity::refuse(&schema, (&verb, &place), &refusal, told, &id) }
    });
    let headers = response.headers_mut();
    if !identity::decorate(place.path(), headers) {
        cors::decorate(&edge.config, origin.as_ref(), headers);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    if by_cookie {
        // Whoever comes back to the browser after its sign-out finds nothing in it. What a service says of its own answer stands.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if edge.public_url.starts_with("https://") {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    let response = compress::answer(coding, &verb, response);
    let is_head = verb == http::Method::HEAD && version == http::Version::HTTP_2;
    Ok(observed.finish(if is_head { answer::without_body(response) } else { response }))
}

/// The caller, as the method's access rule demands it, within his rate.
pub(crate) async fn admit(
    edge: &Edge,
    headers: &HeaderMap,
    method: &'static Method,
    context: &CallContext,
    address: IpAddr,
) -> Result<Option<Principal>, Refusal> {
    let principal = auth::authenticate(edge, headers, method, context).await?;
    rate_limit::principal(edge, address, principal.as_ref(), method).await?;
    Ok(principal)
}

/// When a call of this method ends at the latest.
pub(crate) fn deadline(edge: &Edge, headers: &HeaderMap, method: Option<&Method>) -> Result<Option<Instant>, Refusal> {
    deadline::of(&edge.config, headers, method)
}

/// A request that is under observation.
struct Begun<'a> {
    edge: &'a Arc<Edge>,
    schema: &'a Arc<Schema>,
    observed: &'a Observed<'a>,
    connection: Connection,
    local: bool,
    by_cookie: bool,
    dialect: Dialect,
}

impl Begun<'_> {
    /// Filters 3 to 10.
    async fn pass(self, request: Request<Incoming>, framed: Result<(), Refusal>) -> Result<Response<Body>, Refusal> {
        let Self { edge, schema, observed, connection, local, by_cookie, dialect } = self;
        framed?;
        let _place = rate_limit::place(edge, observed.address())?;
        rate_limit::address(edge, observed.address()).await?;
        let route = Arc::new(route::find(schema, &request, dialect, edge.config.connect)?);
        observed.routed(Arc::clone(&route));
        if let Some(answer) = identity::preflight(&request, schema) {
            return Ok(answer);
        }
        if let Some(answer) = cors::preflight(&edge.config, &request, &route, schema) {
            return Ok(answer);
        }
        if route.method().is_some_and(|method| !local && method.access.as_ref().is_some_and(|access| access.loopback)) {
            return Err(api::Error::new(api::Code::PermissionDenied, api::CommonReason::AccessDenied, ELSEWHERE).into());
        }
        let mut context = CallContext {
            request_id: observed.request_id().to_owned(),
            traceparent: observed.traceparent().to_owned(),
            method: route.label().to_owned(),
            network: address::text(observed.address()),
            ..CallContext::default()
        };
        if route.method().is_none_or(proves) {
            context.user_agent = user_agent(request.headers());
        }
        let principal = match route.method() {
            // The credential comes in the first frame.
            Some(method) if route.awaits_credential(by_cookie, request.headers()) => {
                rate_limit::principal(edge, observed.address(), None, method).await?;
                None
            }
            Some(method) => admit(edge, request.headers(), method, &context, observed.address()).await?,
            None => None,
        };
        context.deadline = deadline::of(&edge.config, request.headers(), route.method())?;
        let (head, body) = request.into_parts();
        let address = observed.address();
        let passage = Passage { head, context, schema: schema.clone(), connection, principal, address };
        let stream = route.streams().then(|| rate_limit::stream(edge, address)).transpose()?;
        let answer = call(edge, passage, body, &route.target, dialect).await?;
        Ok(match stream {
            Some(place) => answer::holding(answer, place),
            None => answer,
        })
    }
}

const ELSEWHERE: &str = "this method is for connections from the machine of the edge itself that no proxy has passed on; call it there, or \
     through `kubectl port-forward` or `ssh -L`";

/// A credential is tested, so that a session may begin.
fn proves(method: &Method) -> bool {
    method.access.as_ref().is_some_and(|access| access.rate == Rate::Credential)
}

/// What the caller's program calls itself; printable ASCII alone, which is all that browsers send.
fn user_agent(headers: &HeaderMap) -> String {
    let sent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let printable = sent.iter().filter(|byte| (b' '..=b'~').contains(byte)).take(mesh::USER_AGENT_MAX);
    printable.map(|byte| char::from(*byte)).collect()
}

/// The last filter: whatever the route leads to. Boxed is what is larger than a plain call: each request would keep the room.
async fn call(
    edge: &Arc<Edge>,
    passage: Passage,
    body: Incoming,
    target: &Target,
    dialect: Dialect,
) -> Result<Response<Body>, Refusal> {
    match target {
        Target::Rest(matched, method) => call::rest::drive(edge, passage, body, matched, method).await,
        Target::Rpc(method) => match dialect {
            Dialect::GrpcWeb(web) => Box::pin(call::grpc_web::drive(edge, passage, body, method, web)).await,
            Dialect::Connect(codec) => Box::pin(call::connect::unary(edge, passage, body, method, codec)).await,
            Dialect::ConnectStream(codec) => {
                Box::pin(call::connect::streaming(edge, passage, body, method, codec)).await
            }
            Dialect::Grpc | Dialect::Http => call::grpc::drive(edge, &passage, body, method).await,
        },
        Target::Socket(matched, method) => call::websocket::open(edge, passage, matched.clone(), method),
        Target::Resumable(upload, _) => Ok(Box::pin(resumable::drive(edge, passage, body, upload)).await),
        Target::Identity(endpoint) => {
            if let Some(class) = endpoint.class(&passage.head.method) {
                rate_limit::class(edge, passage.address, class).await?;
            }
            Box::pin(identity::drive(edge, passage, body, *endpoint)).await
        }
        Target::Reflection => Box::pin(call::reflection::drive(edge, passage, body, dialect)).await,
        Target::Page(page) => docs::serve(&passage.schema, *page, &passage.head),
        Target::Options(allow) => Ok(route::options(allow)),
    }
}

#[cfg(test)]
mod tests;
