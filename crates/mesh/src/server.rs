//! The server stack: what every call passes before its handler, in one order, over every transport.
//!
//! Health and reflection stand beside the stack: a probe has no token, and its calls are no traffic.
use std::{collections::BTreeSet, io, net::IpAddr, sync::Arc, time::Duration};

use api::Ids;
use futures::FutureExt;
use http::{Request, Response};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tracing::Instrument;

use crate::{
    audit,
    body::Watched,
    call::{Authorizer, Peer},
    deadline,
    identity::Trust,
    limit::Limit,
    observe::{Measure, Registry, Side},
    panics, pipe,
    settings::Settings,
    tls,
};

mod authorize;
pub(crate) mod call;
mod connection;
mod offer;
mod straight;

pub use offer::{Offer, Server, Undeclared, check};

use call::Call;
use connection::Source;
use offer::Services;
use straight::Calls;

/// Time a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Wait after `accept` failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where calls come from.
#[derive(Debug)]
pub enum Listener {
    /// Pipes of the same process; the connector's name is the peer.
    Pipe(pipe::Listener),
    /// Plain HTTP/2 behind a sidecar: the peer is taken from `x-forwarded-client-cert`, and only over loopback.
    Sidecar(TcpListener),
    /// Mutual TLS: the peer is the SPIFFE URI of its certificate.
    Tls(TcpListener, tls::Reloading),
}

/// What all calls of one server share.
pub(crate) struct Shared {
    pub(crate) services: Services,
    pub(crate) mounted: BTreeSet<&'static str>,
    pub(crate) settings: Settings,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    refusals: Option<Arc<dyn audit::Refusals>>,
    trust: Trust,
    registry: Registry,
    /// Of calls, and of streams: those who watch for hours leave the calls their places.
    limits: [Limit; 2],
    ids: Ids,
}

/// Serves until `shutdown` is cancelled, then drains: no new connection, GOAWAY, running calls finish within
/// `settings.drain`. Returns when the last connection has ended.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    offer: Offer,
    listener: Listener,
    settings: Settings,
    authorizer: Arc<dyn Authorizer>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (services, mounted, refusals) = offer.into_parts();
    let methods = proto::methods().iter().filter(|method| mounted.contains(method.full_service));
    let shared = Arc::new(Shared {
        registry: Registry::new(Side::Server, methods),
        services,
        mounted: mounted.clone(),
        authorizer,
        refusals,
        trust: Trust::new(&settings.trust_domain, &settings.namespace),
        limits: [Limit::new("concurrency", settings.concurrency), Limit::new("streams", settings.streams)],
        ids: Ids::default(),
        settings,
    });
    let slots = Arc::new(Semaphore::new(shared.settings.connections));
    let mut connections = JoinSet::new();
    let calls = Calls::new(&shared);
    let accepted = accept((listener, &calls), &shared, &slots, &mut connections, &shutdown).await;
    let running = connections.len();
    if running > 0 {
        tracing::info!(target: "mesh", connections = running, "draining");
    }
    let connections = async { while connections.join_next().await.is_some() {} };
    futures::future::join(calls.drained(), connections).await;
    accepted
}

async fn accept(
    (mut listener, calls): (Listener, &Calls),
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(slots).acquire_owned() => slot.map_err(io::Error::other)?,
            () = shutdown.cancelled() => break,
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            next = next(&mut listener, calls) => match next {
                Ok(Some(next)) => begin(next, Some(slot), shared, connections, shutdown),
                Ok(None) => return Ok(()),
                Err(error) if connection::is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(target: "mesh", error = %error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        while connections.try_join_next().is_some() {}
    }
    // Who was waiting at the door when the server stopped is let in and told to go: calls already on the way are answered.
    while let Some(Ok(Some(next))) = next(&mut listener, calls).now_or_never() {
        begin(next, None, shared, connections, shutdown);
    }
    Ok(())
}

/// Serves one connection beside the others; the slot is free again when it ends.
fn begin(
    next: Next,
    slot: Option<OwnedSemaphorePermit>,
    shared: &Arc<Shared>,
    connections: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let (shared, shutdown) = (Arc::clone(shared), shutdown.clone());
    connections.spawn(async move {
        match next {
            Next::Pipe(stream, peer) => connection::serve(stream, Source::Channel(peer), shared, shutdown).await,
            Next::Socket(stream, from, tls) => socket(stream, from, tls, shared, shutdown).await,
        }
        drop(slot);
    });
}

enum Next {
    Pipe(DuplexStream, Peer),
    Socket(TcpStream, IpAddr, Option<tls::Reloading>),
}

async fn next(listener: &mut Listener, calls: &Calls) -> io::Result<Option<Next>> {
    Ok(match listener {
        Listener::Pipe(pipe) => {
            pipe.accept(|peer| Some(calls.door(peer))).await.map(|(stream, peer)| Next::Pipe(stream, peer))
        }
        Listener::Sidecar(tcp) => {
            let (stream, from) = tcp.accept().await?;
            Some(Next::Socket(stream, from.ip(), None))
        }
        Listener::Tls(tcp, tls) => {
            let (stream, from) = tcp.accept().await?;
            Some(Next::Socket(stream, from.ip(), Some(tls.clone())))
        }
    })
}

async fn socket(
    stream: TcpStream,
    from: IpAddr,
    tls: Option<tls::Reloading>,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        // A header from any other address would let everybody name himself.
        let source = if from.to_canonical().is_loopback() { Source::Sidecar } else { Source::Channel(Peer::unknown()) };
        return connection::serve(stream, source, shared, shutdown).await;
    };
    let handshake = async { tls.mutual_acceptor().map_err(io::Error::other)?.accept(stream).await };
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let peer = certificate.map_or_else(Peer::unknown, |certificate| shared.trust.peer(certificate));
            connection::serve(stream, Source::Channel(peer), shared, shutdown).await;
        }
        Ok(Err(error)) => tracing::info!(target: "mesh", from = %from, error = %error, "handshake refused"),
        Err(_) => tracing::info!(target: "mesh", from = %from, "handshake took too long"),
    }
}

/// One request through the whole stack. The order is the meaning; the order test holds it.
async fn stack(shared: Arc<Shared>, peer: Peer, request: Request<Body>) -> Response<Body> {
    if is_beside(request.uri().path()) {
        return shared.services.serve(request).await;
    }
    let call = Call::begin(request.uri().path(), request.headers(), peer, &shared.settings.deadlines, &shared.ids);
    let span = call.span.clone();
    // 1. Observe is outermost: everything below is counted, refusals, panics and timeouts too.
    let mut measure = Measure::begin(shared.registry.of(call.method), span.clone());
    let mut standing = None;
    let layers = async {
        let mut permit = None;
        let response =
            // 2. A panic anywhere below is an answer, and is counted.
            panics::caught(async {
                // 3. Load is refused before any work is done, and before a deadline is armed.
                let streams = call.method.is_some_and(|method| !method.is_unary());
                let (response, held) = shared.limits[usize::from(streams)].admitted(
                    // 4. Time runs from here: waiting for the first message and deciding count too.
                    deadline::kept(call.deadline,
                        // 5. Audit stands above the decision, so that it sees refusals.
                        audit::refusals_told(&call, shared.refusals.as_deref(),
                            // 6. Authenticate, authorize, handler. Boxed: each layer above holds its inner future twice.
                            Box::pin(authorize::checked(&shared, &call, request, &mut standing))))).await;
                permit = held;
                response
            })
            .await;
        (response, permit)
    };
    let (response, permit) = layers.instrument(span).await;
    if let Some(status) = trailers_only(&response) {
        measure.finish(status.code(), Some(&status).filter(|status| status.code() != Code::Ok));
        return response;
    }
    let streams = call.method.is_some_and(|method| method.server_streaming);
    response.map(|body| {
        let mut watched = Watched::new(body, measure).holding(permit);
        if streams {
            watched = watched.until(call.deadline);
        }
        if let Some(check) = standing {
            watched = watched.while_standing(check);
        }
        Body::new(watched)
    })
}

/// The status of a response that consists of headers alone.
fn trailers_only(response: &Response<Body>) -> Option<Status> {
    // The extension keeps the source, which the headers cannot carry.
    let kept = response.extensions().get::<Status>().cloned();
    kept.or_else(|| Status::from_header_map(response.headers()))
}

/// Health and reflection: they need no token and are not counted.
pub(crate) fn is_beside(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.") || path.starts_with("/grpc.reflection.")
}
