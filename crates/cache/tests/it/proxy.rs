//! A TCP proxy in front of an engine that can be cut (connections end, new ones are refused) or frozen (a host that vanished:
//! nothing is closed and nothing answers).
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

pub(crate) struct Proxy {
    target: SocketAddr,
    address: SocketAddr,
    frozen: watch::Sender<u32>,
    open: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy to the host and port in a URL, and the URL that leads through it.
    pub(crate) async fn before(url: &str) -> (Self, String) {
        let host =
            url.rsplit_once('@').map_or(url, |(_, rest)| rest).split(['/', '?']).next().expect("a URL names a host");
        let target = host.parse().expect("the engines give an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut proxy =
            Self { target, address, frozen: watch::Sender::new(0), open: Arc::default(), tasks: JoinSet::new() };
        proxy.serve(listener);
        (proxy, url.replace(host, &address.to_string()))
    }

    /// Ends all connections and refuses new ones.
    pub(crate) async fn cut(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Lets connections through again, on the same port.
    pub(crate) async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the port was ours a moment ago");
        self.serve(listener);
    }

    /// Connections that are open now fall silent for good; new ones work.
    pub(crate) fn freeze(&self) {
        self.frozen.send_modify(|count| *count += 1);
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn serve(&mut self, listener: TcpListener) {
        let (target, frozen, open) = (self.target, self.frozen.clone(), self.open.clone());
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (forward, open) = (forward(client, target, frozen.subscribe()), open.clone());
                connections.spawn(async move {
                    open.fetch_add(1, Ordering::AcqRel);
                    forward.await;
                    open.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut frozen: watch::Receiver<u32>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    frozen.mark_unchanged();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = frozen.changed() => {}
    }
    std::future::pending::<()>().await;
}
