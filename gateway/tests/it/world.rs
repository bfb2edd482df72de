//! One edge before one upstream.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{Clock, Ids};
use authz::{Keys, Revocations, Verifier};
use gateway::{Gateway, Parts};
use mesh::client::{Mesh, Transport};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{contract, upstream::Upstream};

/// A running edge; it stops when this is dropped.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    folder: TempDir,
    library: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

/// A further upstream that is asked by reflection: name, access of methods that declare none, address.
pub(crate) type Further<'a> = (&'a str, Option<&'a str>, SocketAddr);

impl World {
    /// An edge with the library behind it, and these further settings.
    pub(crate) async fn start(settings: &str) -> Self {
        Self::start_with(settings, "", &[]).await
    }

    /// The same with further settings of section `schema`, and further upstreams.
    pub(crate) async fn start_with(settings: &str, schema: &str, further: &[Further<'_>]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("library.bin"), contract::LIBRARY.as_slice()).expect("it is writable");
        let (upstream, library) = Upstream::start().await;
        let (address, gateway, shutdown, served) = begin(&folder, library, (settings, schema), further).await;
        Self { address, upstream, gateway, folder, library, shutdown, served }
    }

    /// An edge beside the platform in one process, from which the library is reached by the mesh itself.
    pub(crate) async fn in_process() -> Self {
        let mut world = Self::start("").await;
        let mut parts = parts(world.library, &[], &world.folder).await;
        let clock = Clock::default();
        let verifier = Verifier::new("gateway", Keys::default(), Revocations::new(clock.clone()), clock);
        let settings = mesh::Settings {
            addresses: [("library".to_owned(), vec![world.library.to_string()])].into(),
            ..mesh::Settings::default()
        };
        parts.mesh = Mesh::new("gateway", Transport::Process(mesh::pipe::network()), Arc::new(verifier), settings);
        let file = world.folder.path().join("library.bin");
        let settings = format!(
            "[schema]\ncompiled_in = false\nsources = [{{ upstream = \"library\", file = {file:?}, access = \"public\" }}]\n"
        );
        let gateway = Gateway::new(parts, &settings).unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        world.address = listener.local_addr().expect("it is bound");
        let (serving, stop) = (gateway.clone(), world.shutdown.clone());
        tokio::spawn(async move { serving.serve(listener, stop).await });
        world.gateway = gateway;
        world
    }

    /// Ends the edge and starts another one in the same folder.
    pub(crate) async fn restart(&mut self, settings: &str, schema: &str, further: &[Further<'_>]) {
        self.shutdown.cancel();
        (self.address, self.gateway, self.shutdown, self.served) =
            begin(&self.folder, self.library, (settings, schema), further).await;
    }

    /// Tells the edge to stop.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(&mut self) {
        (&mut self.served).await.expect("no panic");
    }

    /// Puts a service config beside the library.
    pub(crate) fn rules(&self, text: &str) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("rules.yaml"));
        std::fs::write(&new, text).expect("the folder is writable");
        std::fs::rename(new, file).expect("the folder is writable");
    }

    /// Puts another descriptor set in the place of the library's, as a whole.
    pub(crate) fn write(&self, set: &[u8]) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("library.bin"));
        std::fs::write(&new, set).expect("the folder is writable");
        std::fs::rename(new, file).expect("the folder is writable");
    }
}

async fn begin(
    folder: &TempDir,
    library: SocketAddr,
    (settings, schema): (&str, &str),
    further: &[Further<'_>],
) -> (SocketAddr, Gateway, CancellationToken, JoinHandle<()>) {
    let file = folder.path().join("library.bin");
    let rules = folder.path().join("rules.yaml");
    let rules = if rules.exists() { format!(", rules = {rules:?}") } else { String::new() };
    let mut sources = format!("{{ upstream = \"library\", file = {file:?}, access = \"public\"{rules} }}");
    for (name, access, _) in further {
        let access = access.map(|access| format!(", access = \"{access}\"")).unwrap_or_default();
        sources += &format!(", {{ upstream = \"{name}\"{access} }}");
    }
    // Tests ask more often than callers do; one that is about a rate sets it.
    let rates = ["rate_address", "rate_write", "rate_credential", "rate_begin"]
        .into_iter()
        .filter(|rate| !settings.contains(rate));
    let rates: String = rates.map(|rate| format!("{rate} = 1000000\n")).collect();
    let settings = format!(
        "{rates}{settings}\n\
         [schema]\ncompiled_in = false\nsources = [{sources}]\n{schema}\n"
    );
    let parts = parts(library, further, folder).await;
    let gateway = Gateway::new(parts, &settings).unwrap_or_else(|error| panic!("{error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let shutdown = CancellationToken::new();
    let (serving, stop) = (gateway.clone(), shutdown.clone());
    let served = tokio::spawn(async move { serving.serve(listener, stop).await });
    (address, gateway, shutdown, served)
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What an edge stands on, with this upstream and no engine: limits are its own.
async fn parts(library: SocketAddr, further: &[Further<'_>], folder: &TempDir) -> Parts {
    let clock = Clock::default();
    let mut settings = mesh::Settings { mode: mesh::Mode::Sidecar, ..mesh::Settings::default() };
    settings.addresses.insert("library".to_owned(), vec![library.to_string()]);
    for (name, _, address) in further {
        settings.addresses.insert((*name).to_owned(), vec![address.to_string()]);
    }
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

/// Why an edge with these settings does not start.
pub(crate) async fn refused(settings: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(SocketAddr::from(([127, 0, 0, 1], 1)), &[], &folder).await;
    Gateway::new(parts, settings).expect_err("it cannot start").to_string()
}

/// Waits until something is so, at most ten seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..500 {
        tick.tick().await;
        if is_so().await {
            return;
        }
    }
    panic!("{what}: not after ten seconds");
}
