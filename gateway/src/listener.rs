//! The public socket: HTTP/1.1 and HTTP/2 on one port, bounded in connections, head size and head time.
//!
//! Drain: no new connections, running requests finish, idle connections close. The chassis bounds the time.
use std::{sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{edge::Edge, filter};

/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS: usize = 100;
/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 100;
/// HTTP/2 streams that may be reset before the connection is closed (rapid reset, CVE-2023-44487).
const RESETS: usize = 20;

/// Serves until `shutdown`, then lets running requests finish.
pub(crate) async fn run(edge: Arc<Edge>, listener: TcpListener, shutdown: CancellationToken) {
    let stop = stopped(shutdown.clone(), edge.drain.clone());
    tokio::pin!(stop);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(edge.config.connections));
    let builder = Arc::new(builder(edge.config.head_timeout));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: accepting again at once would spin.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let edge = edge.clone();
        let service = service_fn(move |request| filter::serve(edge.clone(), peer, request));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, client.address = %peer, "connection ended early");
            }
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    graceful.shutdown().await;
    // Drained by an operator: the admin port goes on, so the task must not end before the process does.
    shutdown.cancelled().await;
}

/// The process stops, or an operator drains the sockets.
async fn stopped(shutdown: CancellationToken, drain: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = drain.cancelled() => {}
    }
}

fn builder(head_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES.max(64 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_header_list_size(HEAD_BYTES as u32)
        .adaptive_window(true)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
