//! What a server offers: gRPC services whose every method declares its access, and beside them health and reflection.
use std::{collections::BTreeSet, convert::Infallible, fmt, sync::Arc};

use http::{Request, Response};
use tonic::{
    body::Body,
    server::NamedService,
    service::{Routes, RoutesBuilder},
};
use tower::Service;

use crate::audit::Refusals;

/// The services of one server. Build it, mount, hand it to [`serve`](super::serve).
#[derive(Clone, Default)]
pub struct Offer {
    routes: RoutesBuilder,
    names: BTreeSet<&'static str>,
    refusals: Option<Arc<dyn Refusals>>,
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
    pub fn mount<S>(&mut self, server: S) -> Result<(), Undeclared>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        check([S::NAME])?;
        self.names.insert(S::NAME);
        self.routes.add_service(server);
        Ok(())
    }

    /// Mounts health (`grpc.health.v1`) or reflection (`grpc.reflection.*`) beside the stack: no token, not counted.
    ///
    /// # Errors
    /// Any other service: it belongs into the contract.
    pub fn mount_beside<S>(&mut self, server: S) -> Result<(), Undeclared>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        if !super::is_beside(&format!("/{}/", S::NAME)) {
            return Err(Undeclared::Service(S::NAME.to_owned()));
        }
        self.routes.add_service(server);
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

    pub(super) fn into_parts(self) -> (Routes, BTreeSet<&'static str>, Option<Arc<dyn Refusals>>) {
        (self.routes.routes(), self.names, self.refusals)
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
