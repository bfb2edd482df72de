//! The HTTP/2 connection of one endpoint: opened when it is needed, by one task on behalf of all who wait, and opened again
//! after a GOAWAY or a loss.
//!
//! Who waits may leave: the attempt goes on for the others. A failed attempt is followed by a growing pause, in which nobody
//! waits in vain. The task that opened a connection drives it to its end, so that after a GOAWAY running calls are finished
//! while new ones go over the next connection. Dropping the endpoint ends all of them.
use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time::Instant};
use tokio_rustls::TlsConnector;

use super::http2::{Driver, Requests, handshake};
use crate::{identity::Trust, observe, pipe, tls};

/// Pause after the first failed attempt; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where an endpoint is.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Pipe(pipe::Connector),
    /// Resolved on each connect: a cluster address that a sidecar takes over.
    Name(String),
    Tls(SocketAddr, tls::Reloading, Trust),
    /// Of an upstream that is none of the platform's services.
    Plain(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe(_) => formatter.write_str("pipe"),
            Self::Name(name) => formatter.write_str(name),
            Self::Tls(address, ..) | Self::Plain(address) => address.fmt(formatter),
        }
    }
}

/// What a connection needs to be opened.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) service: String,
    pub(super) address: Address,
    pub(super) timeout: Duration,
    /// Set when a connection ended: the server may have gone for good, so DNS is to be asked again.
    pub(super) stale: Arc<AtomicBool>,
}

/// The connection of one endpoint.
pub(super) struct Connection {
    target: Target,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    phase: Option<watch::Receiver<Phase>>,
    /// Number of the attempt that `phase` is about.
    attempt: u64,
    /// This and older connections: an old one still carries calls after GOAWAY.
    tasks: JoinSet<()>,
    failures: u32,
    rests_until: Option<Instant>,
    opened: u64,
    failed: u64,
}

#[derive(Clone)]
enum Phase {
    Opening,
    Open(Requests),
    Failed(Arc<io::Error>),
}

/// The way to a sender.
pub(super) enum Line {
    Open(Sender),
    Opening(Opening),
}

/// An open connection, as far as anybody knows.
pub(super) struct Sender {
    pub(super) requests: Requests,
    /// Number of the attempt that opened it.
    pub(super) attempt: u64,
}

/// An attempt that runs.
pub(super) struct Opening(watch::Receiver<Phase>, u64);

impl Opening {
    /// Waits for its outcome.
    pub(super) async fn opened(mut self) -> Result<Sender, Arc<io::Error>> {
        let gone = || Arc::new(io::Error::new(io::ErrorKind::ConnectionAborted, "the attempt was given up"));
        match self.0.wait_for(|phase| !matches!(phase, Phase::Opening)).await.as_deref() {
            Ok(Phase::Open(requests)) => Ok(Sender { requests: requests.clone(), attempt: self.1 }),
            Ok(Phase::Failed(error)) => Err(Arc::clone(error)),
            Ok(Phase::Opening) | Err(_) => Err(gone()),
        }
    }
}

/// How connecting went so far, for the operator.
pub(super) struct Record {
    pub(super) connected: bool,
    pub(super) opened: u64,
    pub(super) failed: u64,
}

impl Connection {
    pub(super) fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target, slot: Mutex::default() })
    }

    pub(super) fn address(&self) -> &Address {
        &self.target.address
    }

    /// The open connection, or the attempt to open one, which begins here if none runs.
    ///
    /// # Errors
    /// The last attempt failed just now.
    pub(super) fn line(self: &Arc<Self>) -> io::Result<Line> {
        let mut slot = self.slot();
        if let Some(receiver) = &slot.phase {
            match &*receiver.borrow() {
                Phase::Open(requests) if !requests.is_closed() => {
                    return Ok(Line::Open(Sender { requests: requests.clone(), attempt: slot.attempt }));
                }
                Phase::Opening if receiver.has_changed().is_ok() => {
                    return Ok(Line::Opening(Opening(receiver.clone(), slot.attempt)));
                }
                _ => {}
            }
        }
        if slot.rests() {
            let text = "the last attempt to connect failed just now";
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
        }
        while slot.tasks.try_join_next().is_some() {}
        let (sender, receiver) = watch::channel(Phase::Opening);
        // Boxed: it is large and rare.
        slot.tasks.spawn(Box::pin(run(Arc::downgrade(self), self.target.clone(), sender)));
        slot.phase = Some(receiver.clone());
        slot.attempt += 1;
        Ok(Line::Opening(Opening(receiver, slot.attempt)))
    }

    /// Calls sent now will not meet a connection that was just refused. When the pause after a refusal is over, an attempt
    /// begins on the side: no call has to find out.
    pub(super) fn is_reachable(self: &Arc<Self>) -> bool {
        let slot = self.slot();
        if slot.failures == 0 {
            return true;
        }
        let rests = slot.rests();
        drop(slot);
        if !rests {
            // Its outcome is seen by the next who asks.
            let _ = self.line();
        }
        false
    }

    /// Lets running calls finish, and the next one open a new connection: this one may be dead without knowing.
    pub(super) fn renew(&self) {
        let mut slot = self.slot();
        // An attempt that runs goes on for those who wait for it.
        slot.phase = slot.phase.take().filter(|phase| matches!(&*phase.borrow(), Phase::Opening));
    }

    /// A request came back unsent from the connection of this attempt: it is closing, and the next call opens another one unless somebody
    /// has already.
    pub(super) fn retire(&self, attempt: u64) {
        let mut slot = self.slot();
        if slot.attempt == attempt {
            slot.phase = None;
        }
    }

    pub(super) fn record(&self) -> Record {
        let slot = self.slot();
        let is_open =
            |phase: &watch::Receiver<Phase>| matches!(&*phase.borrow(), Phase::Open(sender) if !sender.is_closed());
        let connected = slot.phase.as_ref().is_some_and(is_open);
        Record { connected, opened: slot.opened, failed: slot.failed }
    }

    fn opened(&self) {
        let mut slot = self.slot();
        (slot.failures, slot.rests_until) = (0, None);
        slot.opened += 1;
        observe::connected(&self.target.service, true);
    }

    fn failed(&self) {
        let mut slot = self.slot();
        let pause = PAUSE_MAX.min(PAUSE * 2u32.saturating_pow(slot.failures.min(10)));
        slot.failures += 1;
        slot.failed += 1;
        slot.rests_until = Some(Instant::now() + pause.mul_f64(rand::rng().random_range(0.8..=1.0)));
        observe::connected(&self.target.service, false);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn rests(&self) -> bool {
        self.failures > 0 && self.rests_until.is_some_and(|until| Instant::now() < until)
    }
}

/// Opens a connection, tells who waits, and drives it to its end.
async fn run(connection: Weak<Connection>, target: Target, phase: watch::Sender<Phase>) {
    let opened = tokio::time::timeout(target.timeout, open(&target)).await;
    let driver = match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok((sender, driver)) => {
            if let Some(connection) = connection.upgrade() {
                connection.opened();
            }
            phase.send_replace(Phase::Open(sender));
            driver
        }
        Err(error) => {
            tracing::debug!(target: "mesh", service = target.service, address = %target.address, error = %error, "connection failed");
            // The pause is noted before anybody hears of the failure, so that who tries again at once is told to wait.
            if let Some(connection) = connection.upgrade() {
                connection.failed();
            }
            target.stale.store(true, Ordering::Relaxed);
            phase.send_replace(Phase::Failed(Arc::new(error)));
            return;
        }
    };
    // The value stays with the receivers. Held here it would keep the connection open after everybody else has let go.
    drop(phase);
    if let Err(error) = driver.await {
        tracing::debug!(target: "mesh", service = target.service, address = %target.address, error = %error, "connection ended");
    }
    target.stale.store(true, Ordering::Relaxed);
}

async fn open(target: &Target) -> io::Result<(Requests, Driver)> {
    match &target.address {
        Address::Pipe(connector) => {
            let (stream, straight) = connector.open().await?;
            let (requests, driver) = handshake(stream).await?;
            Ok((requests.with(straight), driver))
        }
        Address::Name(name) => handshake(connected(TcpStream::connect(name.as_str()).await?)).await,
        Address::Plain(address) => handshake(connected(TcpStream::connect(address).await?)).await,
        Address::Tls(address, identity, trust) => {
            let config = identity.client(trust, &target.service).map_err(io::Error::other)?;
            let stream = connected(TcpStream::connect(address).await?);
            // The verifier goes by the SPIFFE name; the address stands here because the protocol wants some name.
            let name = ServerName::IpAddress(address.ip().into());
            handshake(TlsConnector::from(config).connect(name, stream).await?).await
        }
    }
}

fn connected(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}
