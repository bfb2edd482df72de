//! A TCP proxy that can swallow the answers of a server or cut everything, to lose exactly what a test wants lost.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::world::Task;

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything.
    Open = 0,
    /// Passes what the client says and swallows what the server answers.
    Deaf = 1,
    /// Cuts connections and takes no new ones.
    Cut = 2,
}

/// A proxy in front of one server, until dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: Arc<AtomicU8>,
    cut: watch::Sender<u64>,
    _listening: Task,
}

impl Proxy {
    pub(crate) async fn before(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let mode = Arc::new(AtomicU8::new(Mode::Open as u8));
        let (cut, cuts) = watch::channel(0);
        let listening = Task::start({
            let mode = mode.clone();
            async move {
                let mut open = Vec::new();
                while let Ok((client, _)) = listener.accept().await {
                    if mode.load(Ordering::SeqCst) == Mode::Cut as u8 {
                        continue;
                    }
                    let (upstream, mode, cuts) = (upstream.clone(), mode.clone(), cuts.clone());
                    open.push(Task::start(async move { carry(client, upstream, mode, cuts).await }));
                }
            }
        });
        Self { address, mode, cut, _listening: listening }
    }

    /// Changes what happens to bytes from now on; everything but `Open` to `Deaf` also cuts what is open.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
        if mode != Mode::Deaf {
            self.cut.send_modify(|cuts| *cuts += 1);
        }
    }
}

async fn carry(client: TcpStream, upstream: String, mode: Arc<AtomicU8>, mut cuts: watch::Receiver<u64>) {
    cuts.mark_unchanged();
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, || true) => {}
        () = pump(from_server, to_client, || mode.load(Ordering::SeqCst) != Mode::Deaf as u8) => {}
        _ = cuts.changed() => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, passes: impl Fn() -> bool) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if passes() && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
