//! One connection: handshake, requests, old age, farewell.
use std::{io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming as HyperBody, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::RngExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::{Shared, stack};
use crate::{
    batch::Batched,
    call::{FORWARDED_CERTIFICATE_KEY, Peer},
    http2::{CONNECTION_WINDOW, FRAME, STREAM_WINDOW},
    settings::Settings,
};

/// How long a connection that is to end waits for its first request.
const GREETING: Duration = Duration::from_millis(250);

/// How the peer of a connection is known.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Proven once for the whole connection: pipe or certificate.
    Channel(Peer),
    /// Each request carries what the sidecar on this host says.
    Sidecar,
}

/// Serves a connection until it ends, grows old or the server stops.
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    source: Source,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) {
    let (age, grace) = (jittered(shared.settings.connection_age.get()), shared.settings.connection_grace.get());
    let drain = shared.settings.drain.get();
    let (http, greeted) = (http(&shared.settings), CancellationToken::new());
    let first = greeted.clone();
    let service = service_fn(move |request: Request<HyperBody>| {
        first.cancel();
        let (shared, peer) = (Arc::clone(&shared), peer_of(&source, &shared, &request));
        async move { Ok::<_, std::convert::Infallible>(stack(shared, peer, request.map(Body::new)).await) }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(Batched::http2(io)), service));
    let limit = tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = shutdown.cancelled() => drain,
        () = tokio::time::sleep(age) => grace,
    };
    // While the HTTP/2 preface is on its way, hyper would close instead of saying GOAWAY, and the first calls would be lost.
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = greeted.cancelled() => {}
        () = tokio::time::sleep(GREETING) => {}
    }
    // GOAWAY first: the client opens no new stream here and takes another connection, so nothing is refused by accident.
    connection.as_mut().graceful_shutdown();
    match tokio::time::timeout(limit, connection).await {
        Ok(ended) => log_end(ended),
        Err(_) => {
            tracing::info!(target: "mesh", limit_s = limit.as_secs(), "connection closed with calls still running")
        }
    }
}

/// Frames that come for calls that are over before the connection ends, with the calls of others on it: what a caller had sent before his
/// call was answered early. h2's own 1,024 are for callers of whom nothing is known.
const LATE_MAX: usize = 100_000;

/// More requests of one connection than are refused by name: a limit of HTTP/2 lets them wait without a word.
fn http(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let most = settings.concurrency.max(settings.streams).saturating_mul(2);
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(u32::try_from(most).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(64)
        .max_local_error_reset_streams(LATE_MAX)
        .max_header_list_size(32 * 1024)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    http
}

fn peer_of(source: &Source, shared: &Shared, request: &Request<HyperBody>) -> Peer {
    match source {
        Source::Channel(peer) => peer.clone(),
        Source::Sidecar => {
            let header = request.headers().get(FORWARDED_CERTIFICATE_KEY).and_then(|value| value.to_str().ok());
            header.map_or_else(Peer::unknown, |header| shared.trust.forwarded(header))
        }
    }
}

/// The duration, give or take a tenth, so that connections do not end all at once.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.9..=1.1))
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(target: "mesh", error = %error, "connection ended");
    }
}

/// An error of `accept` that concerns one connection, not the listener.
pub(super) fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
