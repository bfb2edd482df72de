//! The in-memory transport of `process` mode: every service listens, every service connects, no socket is opened.
//!
//! A connection carries the name of who opened it. That name is as good as a certificate: only code inside this process can
//! open a pipe, and each service gets a connector that is bound to its own name.
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::DuplexStream,
    sync::{
        mpsc::{self, Receiver, Sender},
        oneshot,
    },
};

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
    taken: oneshot::Sender<()>,
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
    /// The next connection; `None` when the network is gone.
    pub(crate) async fn accept(&mut self) -> Option<(DuplexStream, Peer)> {
        loop {
            let Accepted { stream, peer, taken } = self.0.recv().await?;
            if taken.send(()).is_ok() {
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
            if sender.send(waiting).await.is_ok() && told.await.is_ok() {
                return Ok(ours);
            }
            last = Some(sender);
        }
    }
}
