//! The client stack: what every call passes on its way out, in one order, over every transport.
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use api::{CallContext, Caller, Code, CommonReason, Error, Ids};
use bytes::Bytes;
use http::{Request, Response, uri::Authority};
use proto::Method;
use tonic::{Status, body::Body};
use tower::Service;
use tracing::Instrument;

use crate::{
    body::{Held, Watched},
    call::Narrower,
    deadline,
    identity::Trust,
    observe::{Measure, Registry, Side},
    panics, pipe,
    settings::Settings,
    tls,
};

mod attempt;
mod balance;
mod circuit;
mod clusters;
mod connection;
mod discovery;
mod endpoint;
mod fault;
mod flight;
mod health;
mod http2;
mod latency;
mod outlier;
mod request;
mod retry;
mod upstream;

pub use clusters::{Cluster, ClusterEndpoint, Limit, RetryBudget};

use circuit::Permit;
use connection::Address;
use request::Ready;
use upstream::{Supervision, Upstream, Way};

/// How this process reaches others.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Pipes of this process; what none of its services is has an address, and is reached without TLS.
    Process(pipe::Network),
    /// Mutual TLS to the configured addresses, but for `plaintext` ones.
    Direct(tls::Reloading),
    /// Plain HTTP/2 to the configured addresses; a sidecar encrypts, balances and retries.
    Sidecar,
}

/// In whose name a call is made.
#[derive(Clone)]
pub enum Credentials {
    /// In the name of this workload alone: `peer_only` and public methods.
    Workload,
    /// In the name of a token's subject. The token is narrowed before it leaves.
    Token(Bytes),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Workload => "Workload",
            Self::Token(_) => "Token(..)",
        })
    }
}

/// The way to all services, under the name of one workload. Cheap to clone.
#[derive(Clone)]
pub struct Mesh(Arc<Inner>);

struct Inner {
    me: String,
    transport: Transport,
    narrower: Arc<dyn Narrower>,
    settings: Arc<Settings>,
    trust: Trust,
    registry: Registry,
    ids: Ids,
    authority: Authority,
    upstreams: Mutex<HashMap<String, Arc<Upstream>>>,
}

impl Mesh {
    /// The way from the workload `me`. Nothing is connected yet.
    #[must_use]
    pub fn new(me: &str, transport: Transport, narrower: Arc<dyn Narrower>, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            me: me.to_owned(),
            transport,
            narrower,
            trust: Trust::new(&settings.trust_domain, &settings.namespace),
            registry: Registry::new(Side::Client, proto::methods().iter()),
            ids: Ids::default(),
            authority: Authority::from_static("mesh"),
            upstreams: Mutex::default(),
            settings: Arc::new(settings),
        }))
    }

    /// Every service that was called: its endpoints, how they do, and how the limits are used. Sorted by name.
    #[must_use]
    pub fn clusters(&self) -> Vec<Cluster> {
        let upstreams: Vec<_> =
            self.0.upstreams.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut clusters: Vec<_> = upstreams.iter().map(|upstream| clusters::of(upstream)).collect();
        clusters.sort_unstable_by(|one, other| one.service.cmp(&other.service));
        clusters
    }

    /// The certificates that this process shows its peers; none where a sidecar does it, or nobody.
    #[must_use]
    pub fn certificates(&self) -> Vec<tls::Certificate> {
        match &self.0.transport {
            Transport::Direct(identity) => identity.shown(),
            Transport::Process(_) | Transport::Sidecar => Vec::new(),
        }
    }

    /// A channel to a service for one call or several calls of one context.
    #[must_use]
    pub fn channel(&self, service: &str, credentials: Credentials, context: &CallContext) -> Channel {
        Channel {
            inner: Arc::clone(&self.0),
            upstream: self.0.upstream(service),
            credentials,
            context: Arc::new(context.clone()),
        }
    }

    /// A channel that calls on in the name of a caller, within his deadline and under his request id.
    #[must_use]
    pub fn for_caller(&self, service: &str, caller: &Caller) -> Channel {
        let credentials = caller.token().map_or(Credentials::Workload, |token| Credentials::Token(token.clone()));
        self.channel(service, credentials, caller.context())
    }

    /// A channel in the name of this workload alone.
    #[must_use]
    pub fn as_workload(&self, service: &str, context: &CallContext) -> Channel {
        self.channel(service, Credentials::Workload, context)
    }

    /// A channel in the name of a token's subject: the gateway's, or a worker's with an exchanged delegation.
    #[must_use]
    pub fn with_token(&self, service: &str, token: Bytes, context: &CallContext) -> Channel {
        self.channel(service, Credentials::Token(token), context)
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mesh")
            .field("me", &self.0.me)
            .field("transport", &self.0.transport)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn upstream(&self, service: &str) -> Arc<Upstream> {
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = upstreams.get(service) {
            return Arc::clone(upstream);
        }
        // One endpoint, or a sidecar that watches over them: nothing to choose from.
        let unwatched = Supervision { ejects: false, checks: false };
        let fixed = |addresses| Upstream::fixed(service, &self.settings, unwatched, addresses);
        let named = |way| Upstream::named(service, &self.settings, Arc::new(discovery::System), way);
        let upstream = match &self.transport {
            Transport::Process(_) if self.settings.is_foreign(service) => named(Way::Plain),
            Transport::Process(network) => fixed(vec![Address::Pipe(network.connector(service, &self.me))]),
            Transport::Direct(_) if self.settings.plaintext.iter().any(|plain| plain == service) => named(Way::Plain),
            Transport::Direct(identity) => named(Way::Tls(identity.clone(), self.trust.clone())),
            Transport::Sidecar => fixed(self.settings.addresses_of(service).into_iter().map(Address::Name).collect()),
        };
        upstreams.insert(service.to_owned(), Arc::clone(&upstream));
        upstream
    }

    /// Tries that one call may have: one in `sidecar` mode, where the sidecar retries.
    fn tries(&self) -> u32 {
        if matches!(self.transport, Transport::Sidecar) { 1 } else { self.settings.retries.tries }
    }
}

/// A way to one service in one name and context. It fails only by answering: errors are statuses with details.
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
    upstream: Arc<Upstream>,
    credentials: Credentials,
    context: Arc<CallContext>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").field("service", &self.upstream.service()).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move { Ok(channel.send(request).await) })
    }
}

impl Channel {
    /// One call through the whole stack. The order is the meaning; the order test holds it.
    pub async fn send(self, request: Request<Body>) -> Response<Body> {
        // The edge serves contracts that were loaded at run time: it says itself which method it means.
        let told = request.extensions().get::<&'static Method>().copied();
        let method = told.or_else(|| proto::methods().get(request.uri().path()));
        let deadline = request::deadline_of(&self.inner, method, request.headers(), &self.context);
        let span = request::span(method, self.upstream.service(), &self.context);
        // 1. Observe is outermost: a call that never left is a failed call too.
        let mut measure = Measure::begin(self.inner.registry.of(method), span.clone());
        let mut permit = None;
        let layers = panics::caught(
            // 2. The deadline spans all tries and waits; what is left of it goes along with each try.
            deadline::kept(
                deadline,
                // Boxed: each layer above holds its inner future twice.
                Box::pin(async {
                    // 3. Credentials before retry: a token is narrowed once per call, and never leaves as it is.
                    match self.ready(method, request).await {
                        // 4. Retry above balance: each try may go to another endpoint.
                        Ok(ready) => self.tried(method, ready, deadline, &mut permit).await,
                        Err(error) => answer(error),
                    }
                }),
            ),
        );
        let response = layers.instrument(span).await;
        match status(&response) {
            Some(status) => {
                measure.finish(status.code(), Some(&status).filter(|status| status.code() != tonic::Code::Ok));
                response
            }
            None => {
                let held = permit.map(|permit| Box::new(permit) as Held);
                response.map(|body| Body::new(Watched::new(body, measure).until(deadline).holding(held)))
            }
        }
    }

    async fn ready(&self, method: Option<&'static Method>, request: Request<Body>) -> Result<Ready, Error> {
        match method {
            Some(method) => {
                // What goes in clear text to somebody else's server carries nobody's rights.
                let credentials = if self.upstream.is_plain() { &Credentials::Workload } else { &self.credentials };
                request::ready(&self.inner, method, request, credentials, &self.context).await
            }
            None if crate::server::is_beside(request.uri().path()) => {
                request::beside(&self.inner, request, &self.context)
            }
            None => {
                Err(Error::new(Code::Unimplemented, CommonReason::MethodUnknown, "the contract has no such method"))
            }
        }
    }
}

/// The status of a call that is over before its body.
fn status(response: &Response<Body>) -> Option<Status> {
    let told = response.headers().contains_key("grpc-status").then(|| Status::from_header_map(response.headers()));
    response.extensions().get::<Status>().cloned().or(told.flatten())
}

fn answer(error: Error) -> Response<Body> {
    Status::from(error).into_http()
}

#[cfg(test)]
mod tests;
