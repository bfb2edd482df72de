//! What a service offers: RPCs, consumers, tasks, sockets, pages, and what it waits for.
//!
//! Mounting only collects; the host starts all of it after the start function has returned, so that a half-built service never
//! answers.
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use api::{CallContext, OrganizationId};
use bytes::Bytes;
use events::{Consumer, Delivery, Handler, Outcome};
use futures::future::BoxFuture;
use http::{Request, Response};
use mesh::server::Offer;
use proto::auth::v1::OrganizationPurged;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    BootError,
    admin::Page,
    identity::Source,
    readiness::{Awaited, Readiness},
    tasks::{Ending, Stage, Tasks},
};

/// Name of the consumer of organizations that are gone for good.
const ERASURE: &str = "erasure";

/// Starts collected work.
type Start = Box<dyn FnOnce(&Tasks) + Send>;

/// Takes what a service offers.
pub struct Mount {
    service: &'static str,
    readiness: Readiness,
    pub(crate) offer: Offer,
    pub(crate) problem: Option<BootError>,
    pub(crate) consumers: Vec<(Consumer, SharedHandler)>,
    pub(crate) work: Vec<Start>,
    pub(crate) pages: Vec<(String, Page)>,
    pub(crate) identity: Option<Arc<dyn Source>>,
    listeners: Listeners,
}

/// Addresses of bound sockets, by name.
pub(crate) type Listeners = Arc<Mutex<std::collections::BTreeMap<String, SocketAddr>>>;

impl Mount {
    pub(crate) fn new(service: &'static str, readiness: Readiness, listeners: Listeners) -> Mount {
        Mount {
            service,
            readiness,
            offer: Offer::new(),
            problem: None,
            consumers: Vec::new(),
            work: Vec::new(),
            pages: Vec::new(),
            identity: None,
            listeners,
        }
    }

    /// Serves RPCs of the contract; wrap the generated server in `mesh::rpc!` first. A service that is not in the contract, or
    /// a method without access option, stops the start and is named.
    pub fn rpc(&mut self, server: impl mesh::server::Server) {
        if let Err(undeclared) = self.offer.mount(server) {
            self.problem.get_or_insert_with(|| undeclared.into());
        }
    }

    /// Hears events. Instances of the service share the work.
    pub fn consume(&mut self, consumer: Consumer, handler: impl Handler) {
        self.consumers.push((consumer, SharedHandler(Arc::new(handler))));
    }

    /// Erases what the service has of an organization that is gone for good. Called again until it succeeds, also for one of which
    /// nothing is left.
    pub fn erase<W, F, E>(&mut self, work: W)
    where
        W: Fn(OrganizationId, CallContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<api::Error> + 'static,
    {
        self.consume(Consumer::new(ERASURE).on::<OrganizationPurged>(), move |delivery: Delivery| {
            let erased = work(delivery.envelope.organization, delivery.context(ERASURE));
            async move { Outcome::from(erased.await) }
        });
    }

    /// Background work that goes on until the stop; restarted with growing delay when it ends unasked or panics.
    pub fn task<W, F>(&mut self, name: impl Into<String>, work: W)
    where
        W: Fn(CancellationToken) -> F + Send + Sync + 'static,
        F: Future<Output: Ending> + Send + 'static,
    {
        let name = name.into();
        self.work.push(Box::new(move |tasks| tasks.keep(name, work)));
    }

    /// The process is not ready until this is there.
    #[must_use]
    pub fn ready(&mut self, what: &str) -> Awaited {
        self.readiness.awaiting(format!("{}/{what}", self.service))
    }

    /// Binds a socket of the service's own; only the gateway has one. Its address is found under the name in
    /// `Host::addresses`.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn listener(&mut self, name: &str, address: SocketAddr) -> Result<TcpListener, BootError> {
        let listener = bind(name, address).await?;
        let bound = listener.local_addr().context("ask a socket for its address")?;
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bound);
        Ok(listener)
    }

    /// Serves a socket from outside the mesh: told to stop first, before everything that it calls.
    pub fn edge<W, F>(&mut self, name: impl Into<String>, work: W)
    where
        W: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output: Ending> + Send + 'static,
    {
        let name = name.into();
        self.work.push(Box::new(move |tasks| tasks.vital(Stage::Edge, name, work)));
    }

    /// Adds a page to the admin port, for loopback peers.
    pub fn admin_route<H, F>(&mut self, path: &str, handler: H)
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.pages.push((path.to_owned(), Arc::new(move |request| Box::pin(handler(request)))));
    }

    /// Verify keys, revocations and directory come from here instead of over the mesh: for the service that owns them.
    pub fn identity(&mut self, source: Arc<dyn Source>) {
        self.identity = Some(source);
    }
}

/// Binds a socket; says which setting names a taken address.
pub(crate) async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, BootError> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("bind {name} to {address}: choose another address, or stop what listens there"))
}

/// A handler that a restarted consumer task takes up again.
#[derive(Clone)]
pub(crate) struct SharedHandler(Arc<dyn Handler>);

impl Handler for SharedHandler {
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, Outcome> {
        self.0.handle(delivery)
    }
}
