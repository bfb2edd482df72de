//! One edge before one upstream.
use std::{net::SocketAddr, sync::Arc};

use api::{Clock, Ids};
use authz::{Keys, Revocations, Verifier};
use gateway::{Gateway, Parts};
use mesh::client::{Mesh, Transport};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{contract, upstream::Upstream};

/// A running edge; it stops when this is dropped.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: Upstream,
    #[expect(dead_code, reason = "tests of the schema ask it")]
    pub(crate) gateway: Gateway,
    pub(crate) folder: TempDir,
    shutdown: CancellationToken,
}

impl World {
    /// An edge with the library behind it, and these further settings.
    pub(crate) async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("library.bin");
        std::fs::write(&file, contract::LIBRARY.as_slice()).expect("the folder is writable");
        let (upstream, address) = Upstream::start().await;
        let settings = format!(
            "rate_address = 1000000\nrate_write = 1000000\nrate_credential = 1000000\n{settings}\n[schema]\ncompiled_in = false\nsources = [{{ upstream = \"library\", file = {file:?}, access = \"public\" }}]\n"
        );
        let gateway = Gateway::new(parts(address, &folder).await, &settings).unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shutdown = CancellationToken::new();
        let (serving, stop) = (gateway.clone(), shutdown.clone());
        tokio::spawn(async move { serving.serve(listener, stop).await });
        Self { address, upstream, gateway, folder, shutdown }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What an edge stands on, with this upstream and no engine: limits are its own.
pub(crate) async fn parts(upstream: SocketAddr, folder: &TempDir) -> Parts {
    let clock = Clock::default();
    let mut settings = mesh::Settings { mode: mesh::Mode::Sidecar, ..mesh::Settings::default() };
    settings.addresses.insert("library".to_owned(), vec![upstream.to_string()]);
    let verifier = Verifier::new("gateway", Keys::default(), Revocations::new(clock.clone()), clock.clone());
    let cache = cache::Settings::new("redis://127.0.0.1:1", "edge");
    Parts {
        mesh: Mesh::new("gateway", Transport::Sidecar, Arc::new(verifier), settings),
        cache: cache::Cache::connect(&cache).await.expect("an address"),
        clock,
        ids: Ids::default(),
        public_url: "https://edge.example".to_owned(),
        data_dir: folder.path().to_owned(),
    }
}
