//! The filters of the edge, in the order in which a request meets them.
//!
//! | # | filter | why there |
//! |---|---|---|
//! | 1 | observe, request id, panic guard | everything below is counted, refusals too |
//! | 2 | hygiene | nobody below sees forged headers |
//! | 3 | address limit | protects routing and signature checks |
//! | 4 | route | access, rate class and error form belong to the method; the path is public |
//! | 5 | CORS | a preflight is answered before authentication; errors still carry CORS headers |
//! | 6 | authenticate | before a byte of the body is read |
//! | 7 | principal limit | per caller and rate class |
//! | 8 | deadline, call | the body is read, transcoded and sent |
pub(crate) mod address;
pub(crate) mod auth;
mod cors;
mod deadline;
pub(crate) mod hygiene;
mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod resumable;

use std::{convert::Infallible, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use api::CallContext;
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use proto::Rate;
use tonic::body::Body;
use tracing::Instrument;

use crate::{
    call, docs,
    edge::Edge,
    identity,
    observe::Observed,
    refusal::Refusal,
    route::{self, Route, Target},
    schema::Schema,
};
use auth::Principal;

/// The same list for operators.
pub(crate) const ORDER: [&str; 9] = [
    "observe, request id, panic guard",
    "hygiene",
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
    /// Who calls; `None` on public routes without a credential.
    pub(crate) principal: Option<Principal>,
}

/// Answers one request.
pub(crate) async fn serve(
    edge: Arc<Edge>,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let id = request_id::take(request.headers(), &edge.ids);
    let observed = Observed::begin(&request, &id, address::of(request.headers(), peer, edge.config.trusted_hops));
    let span = observed.span();
    let origin = request.headers().get(header::ORIGIN).cloned();
    hygiene::clean(request.headers_mut());
    let dialect = Dialect::of(&request);
    let schema = edge.schema.current();
    let mut route = None;
    let passed = AssertUnwindSafe(pass(&edge, &schema, &observed, request, &mut route).instrument(span.clone()))
        .catch_unwind()
        .await;
    let answer = passed.unwrap_or_else(|_| {
        tracing::error!(parent: &span, "a request handler panicked");
        Err(api::Error::fault("a fault on our side; it is logged under the request id").into())
    });
    let matched = route.as_ref().and_then(Route::matched);
    let mut response = answer.unwrap_or_else(|refusal| match dialect {
        Dialect::Grpc => refusal.to_grpc(),
        Dialect::Http => refusal.to_json(&schema.contract, matched, &id),
    });
    let headers = response.headers_mut();
    cors::decorate(&edge.config.cors_origins, origin.as_ref(), headers);
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    Ok(observed.finish(response, route.as_ref()))
}

/// The protocol in which errors are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Grpc,
    Http,
}

impl Dialect {
    fn of<B>(request: &Request<B>) -> Self {
        if route::is_grpc(request.headers()) { Self::Grpc } else { Self::Http }
    }
}

/// Filters 3 to 8. `found` keeps the route, for the form of errors and for the metrics.
async fn pass(
    edge: &Edge,
    schema: &Arc<Schema>,
    observed: &Observed,
    request: Request<Incoming>,
    found: &mut Option<Route>,
) -> Result<Response<Body>, Refusal> {
    let _place = edge
        .places
        .clone()
        .try_acquire_owned()
        .map_err(|_| Refusal::from(api::Error::unavailable("a place for one more request")))?;
    rate_limit::address(edge, observed.address()).await?;
    let route = found.insert(route::find(schema, &request)?).clone();
    if let Some(answer) = cors::preflight(&edge.config.cors_origins, &request, &route, &schema.contract) {
        return Ok(answer);
    }
    let mut context = CallContext {
        request_id: observed.request_id().to_owned(),
        traceparent: observed.traceparent().to_owned(),
        method: route.label().to_owned(),
        ..CallContext::default()
    };
    let principal = match route.method() {
        Some(method) => {
            let principal = auth::authenticate(edge, request.headers(), method, &context).await?;
            rate_limit::principal(edge, observed.address(), principal.as_ref(), method).await?;
            principal
        }
        None => None,
    };
    context.deadline = deadline::of(&edge.config, request.headers(), route.method())?;
    let (head, body) = request.into_parts();
    let passage = Passage { head, context, schema: schema.clone(), principal };
    match route.target {
        Target::Rest(matched, method) => call::rest::drive(edge, passage, body, &matched, method).await,
        Target::Rpc(method) => call::grpc::drive(edge, passage, body, method).await,
        Target::Resumable(upload, _) => Ok(resumable::drive(edge, passage, body, &upload).await),
        Target::Identity(endpoint) => {
            rate_limit::class(edge, observed.address(), Rate::Credential).await?;
            identity::drive(edge, passage, body, endpoint).await
        }
        Target::Reflection => call::grpc::reflect(schema, passage.head, body).await,
        Target::Page(page) => Ok(docs::serve(&schema.docs, page, &passage.head.headers)),
        Target::Options(allow) => Ok(route::options(&allow)),
    }
}
