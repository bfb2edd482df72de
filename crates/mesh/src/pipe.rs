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
    sync::mpsc::{self, Receiver, Sender},
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
pub(crate) struct Accepted {
    pub(crate) stream: DuplexStream,
    pub(crate) peer: Peer,
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
    pub(crate) async fn accept(&mut self) -> Option<Accepted> {
        self.0.recv().await
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
    /// Opens a pipe.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let sender = self.network.0.lock().unwrap_or_else(PoisonError::into_inner).get(&self.service).cloned();
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens on this pipe");
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let accepted = Accepted { stream: theirs, peer: self.peer.clone() };
        sender.ok_or_else(refused)?.send(accepted).await.map_err(|_| refused())?;
        Ok(ours)
    }
}
