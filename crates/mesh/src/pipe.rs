//! The in-memory transport of `process` mode: every service listens, every service connects, no socket is opened.
//!
//! Streams go over it as over any connection. Calls of one message each way need none: who accepts a connection gives a straight way
//! along, on which they come to his stack as they are, without frames (ADR 0064).
//!
//! A connection carries the name of who opened it. That name is as good as a certificate: only code inside this process can open a pipe,
//! and each service gets a connector that is bound to its own name.
use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    io::DuplexStream,
    sync::{
        mpsc::{self, Receiver, Sender},
        oneshot,
    },
    task::AbortHandle,
};
use tonic::body::Body;

use crate::call::Peer;

/// Bytes in flight per direction of one connection.
const BUFFER: usize = 256 * 1024;
/// Connections waiting to be accepted.
const BACKLOG: usize = 64;

/// All pipes of one process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<Mutex<HashMap<String, Sender<Accepted>>>>);

#[derive(Debug)]
struct Accepted {
    stream: DuplexStream,
    peer: Peer,
    /// Told when the connection is taken. Dropped untold, the opener knows that nobody will look at it.
    taken: oneshot::Sender<Option<Straight>>,
}

/// The way of calls past a connection, in the name of who opened it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Straight(Arc<dyn Door>);

impl fmt::Debug for Straight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Straight")
    }
}

/// Where such a call comes in.
pub(crate) trait Door: Send + Sync {
    /// Begins a call of one message, framed, whose answer is one. A server that goes away takes no more of them: the head comes back, and
    /// the connection knows what to do.
    ///
    /// # Errors
    /// The head, unsent.
    fn call(&self, head: Request<()>, message: Bytes) -> Result<Answering, Box<Request<()>>>;
}

impl Straight {
    /// Through this door.
    pub(crate) fn new(door: Arc<dyn Door>) -> Self {
        Self(door)
    }

    /// See [`Door::call`].
    pub(crate) fn call(&self, head: Request<()>, message: Bytes) -> Result<Answering, Box<Request<()>>> {
        self.0.call(head, message)
    }
}

/// A call that runs, in a task of the server's: it goes on while nobody polls this, and ends when this is dropped.
pub(crate) struct Answering {
    answer: oneshot::Receiver<Response<Body>>,
    task: AbortHandle,
}

impl Answering {
    /// Of a task that sends its answer there.
    pub(crate) fn new(answer: oneshot::Receiver<Response<Body>>, task: AbortHandle) -> Self {
        Self { answer, task }
    }

    /// The answer; `None` when the server ended before.
    pub(crate) async fn answer(mut self) -> Option<Response<Body>> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A new, empty network.
#[must_use]
pub fn network() -> Network {
    Network::default()
}

impl Network {
    /// Listens for a service. A second listener of the same name takes the place of the first.
    #[must_use]
    pub fn listen(&self, service: &str) -> Listener {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), sender);
        Listener(receiver)
    }

    fn listener(&self, service: &str) -> Option<Sender<Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }

    /// A connector to a service that speaks under the name `peer`.
    #[must_use]
    pub fn connector(&self, service: &str, peer: &str) -> Connector {
        Connector { network: self.clone(), service: service.to_owned(), peer: Peer::named(peer) }
    }
}

/// The receiving end of a service's pipes.
#[derive(Debug)]
pub struct Listener(Receiver<Accepted>);

impl Listener {
    /// The next connection, and beside it what the opener gets for calls; `None` when the network is gone.
    pub(crate) async fn accept(
        &mut self,
        straight: impl Fn(&Peer) -> Option<Straight>,
    ) -> Option<(DuplexStream, Peer)> {
        loop {
            let Accepted { stream, peer, taken } = self.0.recv().await?;
            if taken.send(straight(&peer)).is_ok() {
                return Some((stream, peer));
            }
            // Who opened it has gone already.
        }
    }
}

/// Opens pipes to one service under one name.
#[derive(Clone, Debug)]
pub struct Connector {
    network: Network,
    service: String,
    peer: Peer,
}

impl Connector {
    /// Opens a pipe. A listener that goes away with the connection still waiting is passed over for the one that took its
    /// place: nothing is lost when a server is replaced.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        self.open().await.map(|(stream, _)| stream)
    }

    /// As [`Connector::connect`], with the way of calls past the pipe, if there is one.
    pub(crate) async fn open(&self) -> io::Result<(DuplexStream, Option<Straight>)> {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens on this pipe");
        let mut last: Option<Sender<Accepted>> = None;
        loop {
            let sender = self.network.listener(&self.service).ok_or_else(refused)?;
            if last.as_ref().is_some_and(|last| last.same_channel(&sender)) {
                return Err(refused());
            }
            let (ours, theirs) = tokio::io::duplex(BUFFER);
            let (taken, told) = oneshot::channel();
            let waiting = Accepted { stream: theirs, peer: self.peer.clone(), taken };
            if sender.send(waiting).await.is_ok()
                && let Ok(straight) = told.await
            {
                return Ok((ours, straight));
            }
            last = Some(sender);
        }
    }
}
