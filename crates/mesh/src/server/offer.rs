//! What a server offers: gRPC services whose every method declares its access, and beside them health and reflection.
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt,
    sync::Arc,
};

use api::{Code, CommonReason, Error};
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};
use tower::{Service, ServiceExt};

use crate::audit::Refusals;

/// The services of one server. Build it, mount, hand it to [`serve`](super::serve).
#[derive(Clone, Default)]
pub struct Offer {
    services: Services,
    names: BTreeSet<&'static str>,
    refusals: Option<Arc<dyn Refusals>>,
}

/// A generated server, as it is or wrapped.
pub trait Server:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Server for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Services by their full names. A path names one of them, so nothing is matched (gRPC over HTTP/2, `Path`).
#[derive(Clone, Default)]
pub(crate) struct Services(BTreeMap<&'static str, Arc<dyn Serve>>);

trait Serve: Send + Sync {
    fn serve(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

struct Mounted<S>(S);

impl<S: Server> Serve for Mounted<S> {
    fn serve(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let answer = self.0.clone().oneshot(request);
        Box::pin(async move { answer.await.unwrap_or_else(|never| match never {}) })
    }
}

impl Services {
    /// Hands a request to the service in its path.
    pub(crate) async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let name = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        match name.and_then(|name| self.0.get(name)) {
            Some(service) => service.serve(request).await,
            None => Status::from(unknown_method()).into_http(),
        }
    }

    fn add<S: Server>(&mut self, server: S) {
        self.0.insert(S::NAME, Arc::new(Mounted(server)));
    }
}

/// What a path is answered with that this server does not have.
pub(super) fn unknown_method() -> Error {
    let message = "this server has no such method; compare the path with the contract (`workos contract descriptors`)";
    Error::new(Code::Unimplemented, CommonReason::MethodUnknown, message)
}

impl Offer {
    /// An empty offer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Mounts a service of the contract behind the stack. Wrap the generated server in [`crate::rpc!`] first: it sets the
    /// message limits and lets clients compress.
    ///
    /// # Errors
    /// The service is not in the contract, or one of its methods has no access option.
    pub fn mount<S: Server>(&mut self, server: S) -> Result<(), Undeclared> {
        check([S::NAME])?;
        self.names.insert(S::NAME);
        self.services.add(server);
        Ok(())
    }

    /// Mounts health (`grpc.health.v1`) or reflection (`grpc.reflection.*`) beside the stack: no token, not counted.
    ///
    /// # Errors
    /// Any other service: it belongs into the contract.
    pub fn mount_beside<S: Server>(&mut self, server: S) -> Result<(), Undeclared> {
        if !super::is_beside(&format!("/{}/", S::NAME)) {
            return Err(Undeclared::Service(S::NAME.to_owned()));
        }
        self.services.add(server);
        Ok(())
    }

    /// Keeps refused calls, beside the log.
    pub fn keep_refusals(&mut self, refusals: Arc<dyn Refusals>) {
        self.refusals = Some(refusals);
    }

    /// Full names of the mounted services of the contract.
    pub fn services(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    pub(super) fn into_parts(self) -> (Services, BTreeSet<&'static str>, Option<Arc<dyn Refusals>>) {
        (self.services, self.names, self.refusals)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Offer").field(&self.names).finish()
    }
}

/// Something would be served that the contract does not permit to anybody.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undeclared {
    /// A method without access option.
    #[error("method {0} has no option workos.api.v1.access: say in its .proto who may call it")]
    Method(String),
    /// A service that the contract does not have.
    #[error("service {0} is not in the contract: declare it under proto/workos")]
    Service(String),
}

/// Checks that every method of these services says who may call it. The host refuses to start otherwise.
///
/// # Errors
/// The first method without access option, or the first unknown service.
pub fn check<'a>(services: impl IntoIterator<Item = &'a str>) -> Result<(), Undeclared> {
    for service in services {
        let mut methods = proto::methods().iter().filter(|method| method.full_service == service).peekable();
        if methods.peek().is_none() {
            return Err(Undeclared::Service(service.to_owned()));
        }
        if let Some(method) = methods.find(|method| method.access.is_none()) {
            return Err(Undeclared::Method(method.rpc.to_owned()));
        }
    }
    Ok(())
}
