//! The admin port: pages over HTTP/1.1 and `grpc.health.v1` over HTTP/2, in plain text, on one socket.
//!
//! A kubelet's gRPC probe speaks no TLS, so health stands here and not in the mesh. `/metrics`, `/ready` and health answer
//! everybody; the log level, the configuration and pages of services answer loopback peers only (`kubectl port-forward`
//! comes from there). Everything is bounded: connections, header time, bodies.
mod health;
mod pages;

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::{readiness::Readiness, telemetry::Telemetry};

pub(crate) use health::Health;

/// Connections at once; one more waits. Probes, a scraper and an operator need a handful.
const CONNECTIONS: usize = 64;
/// Longest time for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that running requests have left at the stop.
const GRACE: Duration = Duration::from_secs(2);
/// Wait after `accept` failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A page that a service adds.
pub(crate) type Page = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync>;

/// What the admin port shows.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) readiness: Readiness,
    pub(crate) telemetry: Telemetry,
    /// The configuration as TOML, secrets masked.
    pub(crate) config: Arc<str>,
    /// Pages of services, by path.
    pub(crate) pages: Arc<std::sync::RwLock<BTreeMap<String, Page>>>,
    pub(crate) health: Health,
}

impl Admin {
    /// Serves until the stop.
    pub(crate) async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            let Some((stream, peer, slot)) = accepted else { continue };
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            server
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(30))
                .max_concurrent_streams(32);
            let admin = self.clone();
            let service = service_fn(move |request| admin.clone().answer(peer, request));
            let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service).into_owned());
            connections.spawn(async move {
                // A probe that hangs up early is no event.
                let _ = connection.await;
                drop(slot);
            });
            while connections.try_join_next().is_some() {}
        }
        let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    }

    async fn answer(self, peer: SocketAddr, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if grpc {
            return self.health.service().oneshot(request.map(Body::new)).await;
        }
        let response = pages::answer(&self, peer, request.map(|body| body.boxed_unsync())).await;
        Ok(response.map(|bytes| Body::new(http_body_util::Full::new(bytes).map_err(|never| match never {}))))
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::debug!(error.message = %error, "admin port could not accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
