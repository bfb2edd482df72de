//! The load of `bench gateway`: a fixed number of callers on connections of their own, as fast as they can or at a fixed rate.
//!
//! At a fixed rate a call's time counts from when it was due, so that a proxy that falls behind is not spared.
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use futures::future::try_join_all;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Callers at once.
const CALLERS: usize = 32;
/// Callers on one connection of HTTP/2.
const SHARED: usize = 8;

/// What is sent.
#[derive(Clone)]
pub(crate) struct Shot {
    /// Native gRPC over HTTP/2; else JSON over HTTP/1.1.
    pub(crate) grpc: bool,
    /// The method, `Mixed` or another.
    pub(crate) method: &'static str,
    /// The message, as wire bytes or as JSON.
    pub(crate) body: Bytes,
}

/// What came of a run.
pub(crate) struct Outcome {
    sorted: Vec<Duration>,
    wall: Duration,
}

impl Outcome {
    /// Answers.
    pub(crate) fn answers(&self) -> usize {
        self.sorted.len()
    }

    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.wall.as_secs_f64()
    }

    /// A percentile in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let index = (self.sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        self.sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// Sends shots to a proxy for so long; with a rate per second, each at its time.
pub(crate) async fn run(address: SocketAddr, shot: &Shot, time: Duration, rate: Option<f64>) -> Result<Outcome> {
    let callers = Callers::connect(address, shot.grpc).await?;
    let (begin, next) = (Instant::now(), AtomicUsize::new(0));
    let work = callers.senders.into_iter().map(|mut sender| {
        let next = &next;
        async move {
            let mut times = Vec::new();
            loop {
                let mut start = Instant::now();
                if let Some(rate) = rate {
                    let due = begin + Duration::from_secs_f64(next.fetch_add(1, Ordering::Relaxed) as f64 / rate);
                    if due > start {
                        sleep_until(due).await;
                        start = Instant::now();
                    } else {
                        start = due;
                    }
                }
                if begin.elapsed() >= time {
                    return anyhow::Ok(times);
                }
                sender.send(shot).await?;
                times.push(start.elapsed());
            }
        }
    });
    let mut sorted = try_join_all(work).await?.concat();
    sorted.sort_unstable();
    Ok(Outcome { sorted, wall: begin.elapsed() })
}

/// One answer: the message as it came back.
pub(crate) async fn one(address: SocketAddr, shot: &Shot) -> Result<Bytes> {
    let mut callers = Callers::connect(address, shot.grpc).await?;
    callers.senders[0].send(shot).await
}

/// Opens connections that have been answered once and then are idle; they close when this is dropped.
pub(crate) async fn idle(address: SocketAddr, shot: &Shot, count: usize) -> Result<Vec<Callers>> {
    let mut open = Vec::new();
    while open.len() * CALLERS < count {
        let mut callers = Callers::connect(address, false).await?;
        for sender in &mut callers.senders {
            sender.send(shot).await?;
        }
        open.push(callers);
    }
    Ok(open)
}

/// Connections and who sends on them.
pub(crate) struct Callers {
    senders: Vec<Sender>,
    _connections: JoinSet<()>,
}

impl Callers {
    async fn connect(address: SocketAddr, grpc: bool) -> Result<Self> {
        let (mut senders, mut connections) = (Vec::new(), JoinSet::new());
        while senders.len() < CALLERS {
            let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
            stream.set_nodelay(true)?;
            let io = TokioIo::new(stream);
            if grpc {
                let mut http = http2::Builder::new(TokioExecutor::new());
                http.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 22);
                let (sender, connection) = http.handshake(io).await?;
                connections.spawn(async move { drop(connection.await) });
                senders.extend((0..SHARED).map(|_| Sender::Grpc(sender.clone())));
            } else {
                let (sender, connection) = http1::handshake(io).await?;
                connections.spawn(async move { drop(connection.await) });
                senders.push(Sender::Json(sender));
            }
        }
        Ok(Self { senders, _connections: connections })
    }
}

enum Sender {
    Json(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn send(&mut self, shot: &Shot) -> Result<Bytes> {
        match self {
            Self::Json(sender) => {
                let request = Request::post(format!("/{}", shot.method))
                    .header(header::HOST, "bench")
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Full::new(shot.body.clone()))?;
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                Ok(body)
            }
            Self::Grpc(sender) => {
                let mut frame = BytesMut::with_capacity(shot.body.len() + 5);
                frame.put_u8(0);
                frame.put_u32(u32::try_from(shot.body.len())?);
                frame.put_slice(&shot.body);
                let request = Request::post(format!("http://bench/bench.Bench/{}", shot.method))
                    .header(header::CONTENT_TYPE, "application/grpc")
                    .header(header::TE, "trailers")
                    .body(Full::new(frame.freeze()))?;
                sender.ready().await?;
                let collected = sender.send_request(request).await?.into_body().collect().await?;
                let status = |trailers: &HeaderMap| trailers.get("grpc-status").is_some_and(|status| status == "0");
                ensure!(collected.trailers().is_some_and(status), "gRPC: {:?}", collected.trailers());
                Ok(collected.to_bytes().slice(5..))
            }
        }
    }
}
