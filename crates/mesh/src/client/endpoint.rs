//! One address of a service: a lazily opened HTTP/2 connection, its load, and its rest after failures.
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use api::Error;
use http::{Request, Response};
use hyper::{
    body::Incoming as HyperBody,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::TlsConnector;
use tonic::body::Body;

use crate::{identity::Trust, pipe, tls};

/// Time to open a connection, handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// Rest after the first failed connect; doubles up to [`REST_MAX`].
const REST: Duration = Duration::from_millis(25);
const REST_MAX: Duration = Duration::from_secs(5);
/// Failed calls in a row after which the breaker opens.
const BREAK_AFTER: u32 = 5;
/// How fast an observed latency is forgotten.
const FORGET: f64 = 10.0;

/// Where an endpoint is.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Pipe(pipe::Connector),
    /// Resolved on each connect: a cluster address that a sidecar takes over.
    Name(String),
    Tls(SocketAddr, tls::Reloading, Trust),
}

/// What went wrong on the way.
#[derive(Debug)]
pub(super) struct Failure {
    /// No server can have seen the request.
    pub(super) unsent: bool,
    pub(super) error: Error,
}

pub(super) struct Endpoint {
    service: String,
    address: Address,
    connection: tokio::sync::Mutex<Connection>,
    in_flight: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct Connection {
    sender: Option<SendRequest<Body>>,
    /// Drivers of this and older connections: an old one still carries calls after GOAWAY. Dropping the set aborts them.
    drivers: JoinSet<()>,
}

#[derive(Default)]
struct State {
    failed_connects: u32,
    failed_calls: u32,
    rests_until: Option<Instant>,
    latency: Option<(f64, Instant)>,
}

/// A call that an endpoint carries; keeps the endpoint, and with it the connection, until the body has ended.
pub(super) struct Flight(Arc<Endpoint>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    pub(super) fn new(service: &str, address: Address) -> Self {
        let (connection, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { service: service.to_owned(), address, connection, in_flight: AtomicU32::new(0), state }
    }

    pub(super) fn socket(&self) -> Option<SocketAddr> {
        match self.address {
            Address::Tls(address, ..) => Some(address),
            Address::Pipe(_) | Address::Name(_) => None,
        }
    }

    /// The endpoint rests after failures.
    pub(super) fn rests(&self) -> bool {
        self.state().rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// Expected wait: latency, forgotten over time, for each call that is there already. An endpoint that fails answers fast
    /// or not at all, so each failure in a row counts as a second; otherwise calls would rush to the dead one.
    pub(super) fn load(&self) -> f64 {
        let state = self.state();
        let seconds = state.latency.map_or(0.0, |(seconds, at)| seconds * (-at.elapsed().as_secs_f64() / FORGET).exp());
        let failures = f64::from(state.failed_connects.saturating_add(state.failed_calls));
        (seconds + failures + 0.0001) * f64::from(self.in_flight.load(Ordering::Relaxed) + 1)
    }

    /// Sends one request. One that the connection gives back unsent, because it was closing just then, goes over a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<(Response<HyperBody>, Flight), Failure> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let flight = Flight(Arc::clone(self));
        let start = Instant::now();
        let mut again = true;
        loop {
            let mut failed = match self.sender().await?.try_send_request(request).await {
                Ok(response) => {
                    self.answered(start.elapsed());
                    return Ok((response, flight));
                }
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(back) if std::mem::take(&mut again) => request = back,
                back => {
                    let error = failed.into_error();
                    let unsent = back.is_some() || refused(&error);
                    if !unsent {
                        self.failed();
                    }
                    return Err(Failure { unsent, error: self.away(error) });
                }
            }
        }
    }

    /// Notes a call that the server answered with UNAVAILABLE, or that was lost.
    pub(super) fn failed(&self) {
        let mut state = self.state();
        state.failed_calls += 1;
        if state.failed_calls >= BREAK_AFTER {
            let rest = REST_MAX.min(Duration::from_secs(1) * (state.failed_calls - BREAK_AFTER + 1));
            state.rests_until = Some(Instant::now() + rest);
        }
    }

    fn answered(&self, took: Duration) {
        let mut state = self.state();
        let seconds = took.as_secs_f64();
        let smoothed =
            state.latency.map_or(seconds, |(old, _)| if seconds > old { seconds } else { 0.7 * old + 0.3 * seconds });
        state.latency = Some((smoothed, Instant::now()));
    }

    /// Notes that the server works.
    pub(super) fn succeeded(&self) {
        self.state().failed_calls = 0;
    }

    async fn sender(&self) -> Result<SendRequest<Body>, Failure> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        // One caller connects, the others wait for its outcome and do not try again at once.
        let resting = {
            let state = self.state();
            state.failed_connects > 0 && state.rests_until.is_some_and(|until| Instant::now() < until)
        };
        if resting {
            return Err(self.unsent(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the last attempt to connect failed just now",
            )));
        }
        // Boxed: it is large and rare, and would be carried through every call otherwise.
        let opened = tokio::time::timeout(CONNECT, Box::pin(self.open(&mut connection.drivers))).await;
        match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(sender) => {
                connection.sender = Some(sender.clone());
                let mut state = self.state();
                (state.failed_connects, state.failed_calls, state.rests_until) = (0, 0, None);
                Ok(sender)
            }
            Err(error) => {
                let mut state = self.state();
                let rest = REST_MAX.min(REST * 2u32.saturating_pow(state.failed_connects.min(10)));
                state.failed_connects += 1;
                state.rests_until = Some(Instant::now() + rest);
                drop(state);
                Err(self.unsent(error))
            }
        }
    }

    async fn open(&self, drivers: &mut JoinSet<()>) -> io::Result<SendRequest<Body>> {
        while drivers.try_join_next().is_some() {}
        match &self.address {
            Address::Pipe(connector) => handshake(connector.connect().await?, drivers).await,
            Address::Name(name) => handshake(connected(TcpStream::connect(name.as_str()).await?), drivers).await,
            Address::Tls(address, identity, trust) => {
                let config = identity.client(trust, &self.service).map_err(io::Error::other)?;
                let stream = connected(TcpStream::connect(address).await?);
                // The verifier goes by the SPIFFE name; the address stands here because the protocol wants some name.
                let stream =
                    TlsConnector::from(config).connect(ServerName::IpAddress(address.ip().into()), stream).await?;
                handshake(stream, drivers).await
            }
        }
    }

    fn unsent(&self, error: io::Error) -> Failure {
        Failure { unsent: true, error: self.away(error) }
    }

    fn away(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::unavailable(format_args!("the {} service", self.service)).caused_by(source)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connected(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

async fn handshake(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    drivers: &mut JoinSet<()>,
) -> io::Result<SendRequest<Body>> {
    let mut http = Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    let (sender, driver) = http.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
    drivers.spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(target: "mesh", error = %error, "connection ended");
        }
    });
    Ok(sender)
}

/// The server says that it did not look at the request: refused stream, or GOAWAY for a stream above the last one it took.
fn refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            return cause.is_remote() && (cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM));
        }
        source = cause.source();
    }
    false
}
