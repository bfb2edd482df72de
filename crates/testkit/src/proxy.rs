//! A TCP proxy that can be cut: between a service and an engine, it makes the failures of a network.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// They pass.
    Open,
    /// Connections are closed, new ones at once.
    Cut,
    /// Nothing passes, nothing is closed: a host that vanished.
    Silent,
}

/// A proxy in front of one address. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    /// Bytes from the target that may still pass before the line cuts itself.
    budget: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// A proxy on a free loopback port.
    ///
    /// # Panics
    /// When no port can be bound.
    #[expect(clippy::disallowed_methods, reason = "a proxy lives outside the system under test and is aborted on drop")]
    pub async fn start(target: impl Into<String>) -> Proxy {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let line = watch::Sender::new(Line::Open);
        let budget = Arc::new(AtomicU64::new(u64::MAX));
        let wires = Wires { target: target.into(), line: line.clone(), budget: Arc::clone(&budget) };
        Proxy { address, line, budget, task: tokio::spawn(wires.serve(listener)) }
    }

    /// Where to connect to instead of the target.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections, and new ones at once.
    pub fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    /// Cuts after this many more bytes from the target: in the middle of an answer.
    pub fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }

    /// Lets nothing pass and closes nothing.
    pub fn silence(&self) {
        self.line.send_replace(Line::Silent);
    }

    /// Everything passes again.
    pub fn mend(&self) {
        self.budget.store(u64::MAX, Ordering::SeqCst);
        self.line.send_replace(Line::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Wires {
    target: String,
    line: watch::Sender<Line>,
    budget: Arc<AtomicU64>,
}

impl Wires {
    async fn serve(self, listener: TcpListener) {
        let mut wires = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let this = self.clone();
            wires.spawn(async move { this.connect(stream).await });
            while wires.try_join_next().is_some() {}
        }
    }

    async fn connect(self, stream: TcpStream) {
        let mut watch = self.line.subscribe();
        if *watch.borrow() == Line::Cut {
            return;
        }
        let Ok(target) = TcpStream::connect(&self.target).await else { return };
        let (from_client, to_client) = stream.into_split();
        let (from_target, to_target) = target.into_split();
        tokio::select! {
            () = self.pump(from_client, to_target, None) => {}
            () = self.pump(from_target, to_client, Some(&self.budget)) => {}
            _ = watch.wait_for(|line| *line == Line::Cut) => {}
        }
    }

    async fn pump(
        &self,
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
        budget: Option<&AtomicU64>,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        let mut watch = self.line.subscribe();
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if watch.wait_for(|line| *line != Line::Silent).await.is_err() {
                return;
            }
            let allowed = budget.map_or(u64::MAX, |budget| budget.load(Ordering::SeqCst));
            let passing = usize::try_from(allowed).unwrap_or(usize::MAX).min(read);
            if to.write_all(&buffer[..passing]).await.is_err() {
                return;
            }
            if passing < read {
                let _ = to.shutdown().await;
                self.line.send_replace(Line::Cut);
                return;
            }
            if let Some(budget) = budget.filter(|_| allowed != u64::MAX) {
                budget.fetch_sub(read as u64, Ordering::SeqCst);
            }
        }
    }
}
