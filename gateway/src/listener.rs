//! The public sockets: HTTP/1.1 and HTTP/2 on one port, plain or under TLS, bounded in connections, head size, head time
//! and age.
//!
//! A connection is told to end when it is old (jittered, so that not all come back at one moment) or when the process
//! stops: GOAWAY, or `Connection: close`. Streams of messages that still run after the grace time are told UNAVAILABLE; other
//! calls and bodies finish, and only the stop of the process cuts them, or that nobody takes them (`readers`).
mod connection;
mod readers;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    rt::{Read, Write, bounds::Http2ServerConnExec},
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mesh::{Batched, tls::Reloading};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use crate::{config::Config, edge::Edge, filter, observe};

use connection::Guarded;
pub(crate) use connection::{Connection, Flushed, Stall};

/// Headers that are read beyond those that a request may have: who sends a few too many hears why. Beyond these hyper answers,
/// without a word.
const HEADERS_MORE: usize = 28;
/// Bytes of one HTTP/2 request body that may be on their way: 5 MB/s over a path of 100 ms.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Largest frame that is taken. It is held until it is whole, so each connection may cost as much.
const FRAME: u32 = 64 * 1024;
/// Time for the last records of streams that are told to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What ends connections.
#[derive(Clone)]
struct Stop {
    /// They are told to end: the process stops, or an operator drains the sockets.
    begun: CancellationToken,
    /// The process stops, and what still runs is cut.
    process: CancellationToken,
}

/// Serves until `shutdown`, then lets running requests finish. With an identity the socket speaks TLS.
pub(crate) async fn run(
    edge: Arc<Edge>,
    listener: TcpListener,
    identity: Option<Reloading>,
    shutdown: CancellationToken,
) {
    if let (Ok(address), [plain, secure]) = (listener.local_addr(), &edge.bound) {
        let _ = if identity.is_some() { secure.set(address) } else { plain.set(address) };
    }
    let stop = Stop { begun: shutdown.child_token(), process: shutdown };
    let builders = Arc::new(Builders::new(&edge.config));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.begun.cancelled() => break,
            () = edge.drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: accepting again at once would spin.
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // One more than there may be waits here, and those after it before the socket. A place is taken for a connection alone:
        // a socket that nobody comes to holds none.
        let mut place = edge.connections.holder(peer.ip());
        let grown = tokio::select! {
            () = stop.begun.cancelled() => break,
            () = edge.drain.cancelled() => break,
            grown = place.grow(1) => grown,
        };
        if grown.is_err() {
            observe::connection_refused();
            tracing::debug!(client.address = %peer, "closed: too many connections of this address (setting gateway.connections_address)");
            continue;
        }
        let _ = stream.set_nodelay(true);
        let connection = Connection::new(peer, place);
        let (edge, builders, identity, stop) = (edge.clone(), builders.clone(), identity.clone(), stop.clone());
        // In a set of their own: the end of the socket waits for all of them.
        connections.spawn(async move {
            secured(&edge, &builders, identity, stream, connection, stop).await;
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    stop.begun.cancel();
    edge.sockets.drain().await;
    while connections.join_next().await.is_some() {}
    // Drained by an operator: the admin port goes on, so the task must not end before the process does.
    stop.process.cancelled().await;
}

/// The handshake, where there is one, within the time of a head.
async fn secured(
    edge: &Arc<Edge>,
    builders: &Builders,
    identity: Option<Reloading>,
    stream: TcpStream,
    connection: Connection,
    stop: Stop,
) {
    let Some(identity) = identity else { return serve(edge, builders, stream, connection, stop).await };
    let peer = connection.peer;
    // Asked for each connection: a certificate that was replaced is served from the next one on.
    match Box::pin(timeout(edge.config.head_timeout, identity.acceptor().accept(stream))).await {
        // Boxed: a connection without TLS would keep the room for it.
        Ok(Ok(stream)) => Box::pin(serve(edge, builders, stream, connection, stop)).await,
        Ok(Err(error)) => tracing::debug!(%error, client.address = %peer, "no TLS connection came about"),
        Err(_) => tracing::debug!(client.address = %peer, "the TLS handshake took too long"),
    }
}

async fn serve<T>(edge: &Arc<Edge>, builders: &Builders, stream: T, connection: Connection, stop: Stop)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (config, peer) = (&edge.config, connection.peer);
    let mut io = Guarded::new(stream, connection.flushed.clone(), config.head_timeout, config.stream_idle);
    let begun = tokio::select! {
        begun = io.speaks_http2() => begun,
        // Nothing was asked yet.
        () = stop.begun.cancelled() => return,
    };
    let (serving, of) = (edge.clone(), connection.clone());
    // Boxed: its many ways make it large, and a connection without a request would keep the room for it.
    let service = service_fn(move |request| Box::pin(answer(serving.clone(), of.clone(), request)));
    match begun {
        Ok(false) => {
            let served = builders.http1.serve_connection(TokioIo::new(io), service).with_upgrades();
            watch(edge, served, connection, stop).await;
        }
        // Boxed: one that speaks HTTP/1 would keep the room for it.
        Ok(true) => {
            let served = builders.http2.serve_connection(TokioIo::new(Batched::http2(io)), service);
            Box::pin(watch(edge, served, connection, stop)).await;
        }
        Err(error) => tracing::debug!(%error, client.address = %peer, "connection ended before its first bytes"),
    }
}

/// Serves a connection until it ends, nobody takes its answers, it is old, or the process stops.
async fn watch(
    edge: &Edge,
    served: impl Future<Output = hyper::Result<()>> + Drains,
    connection: Connection,
    stop: Stop,
) {
    let (config, peer) = (&edge.config, connection.peer);
    let mut served = pin!(served);
    let mut gone = pin!(connection.readers.gone(config.stream_idle, &connection.ending));
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        () = gone.as_mut() => return left(peer),
        () = sleep(age(config.connection_age)) => None,
        () = stop.begun.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        None => {
            served.as_mut().drain();
            match timeout(config.connection_grace, served.as_mut()).await {
                Ok(ended) => Some(ended),
                Err(_) => {
                    connection.ending.cancel();
                    // Calls and bodies that still run end by limits of their own, unless the process stops.
                    let last = if stop.process.is_cancelled() { LAST_WORDS } else { config.connection_grace };
                    tokio::select! {
                        ended = served.as_mut() => Some(ended),
                        () = gone.as_mut() => return left(peer),
                        () = async { stop.process.cancelled().await; sleep(last).await } => None,
                    }
                }
            }
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, client.address = %peer, "connection ended early"),
        None => tracing::debug!(client.address = %peer, "connection was cut after its grace time"),
    }
}

/// Answers a request. Over HTTP/2 the answer is watched: the guard of the socket sees no single stream.
async fn answer(
    edge: Arc<Edge>,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let at_work = (request.version() == Version::HTTP_2).then(|| connection.readers.begin());
    let response = filter::serve(edge, connection, request).await?;
    Ok(match at_work {
        Some(at_work) => at_work.answered(response),
        None => response,
    })
}

fn left(peer: SocketAddr) {
    tracing::info!(client.address = %peer, "connection was cut: nobody took its answers (setting gateway.stream_idle)");
}

/// Give or take a tenth.
fn age(limit: Duration) -> Duration {
    limit.mul_f64(rand::random_range(0.9..1.1))
}

/// How connections are served.
struct Builders {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Builders {
    fn new(config: &Config) -> Self {
        // HTTP/2 counts the target and 32 bytes for each field with the head; the readers take more than is let through, so that the answer
        // is in our own words.
        let fields = 32 * (config.headers_max + HEADERS_MORE) as u64;
        let head = u32::try_from(config.head_max.bytes() + config.target_max.bytes() + fields).unwrap_or(u32::MAX);
        let (mut http1, mut http2) = (http1::Builder::new(), http2::Builder::new(TokioExecutor::new()));
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(config.head_timeout)
            .max_headers(config.headers_max + HEADERS_MORE)
            .max_buf_size((head as usize).max(64 * 1024));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(config.http2_streams)
            .max_pending_accept_reset_streams(config.http2_resets)
            .max_header_list_size(head)
            // Many streams fit into a connection's window: one whose body nobody reads does not stop the others.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(8 * STREAM_WINDOW)
            .max_frame_size(FRAME)
            // WebSocket over HTTP/2 (RFC 8441).
            .enable_connect_protocol()
            .keep_alive_interval(config.keep_alive)
            .keep_alive_timeout(config.keep_alive);
        Self { http1, http2 }
    }
}

/// A connection that can be told to end: it finishes what it is at and takes nothing new.
trait Drains {
    fn drain(self: Pin<&mut Self>);
}

impl<I, S, B> Drains for http1::UpgradeableConnection<I, S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: Read + Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Drains for http2::Connection<I, S, TokioExecutor>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: Read + Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    TokioExecutor: Http2ServerConnExec<S::Future, B>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
