//! What the edge holds while it runs: the schema in force, the way to the services, credentials, limits.
mod places;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::{CallContext, Clock, Ids};
use cache::Cache;
use chassis::{Awaited, BootError, Kit};
use mesh::{client::Mesh, tls::Reloading};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    call::{budget::Budget, websocket::Sockets},
    config::Config,
    filter::auth::Credentials,
    identity::session::Jar,
    observe::Requests,
    schema::{Holder, Keeper, Recipe},
};

pub(crate) use places::{Full, Place, Places};

/// How often the issuer's keys are read again.
const KEY_AGE: Duration = Duration::from_secs(60);

/// What the edge stands on.
#[derive(Clone)]
pub struct Parts {
    /// Way to the services.
    pub mesh: Mesh,
    /// Rate limits.
    pub cache: Cache,
    /// The time.
    pub clock: Clock,
    /// Source of request ids.
    pub ids: Ids,
    /// Address under which clients reach the edge; issuer of tokens.
    pub public_url: String,
    /// Folder for the last good schema of each upstream.
    pub data_dir: std::path::PathBuf,
}

impl Parts {
    /// As a host gives them.
    pub(crate) fn of(kit: &Kit) -> Self {
        Self {
            mesh: kit.mesh(),
            cache: kit.cache(),
            clock: kit.clock(),
            ids: kit.ids(),
            public_url: kit.public_url().to_owned(),
            data_dir: kit.data_dir(),
        }
    }
}

/// The edge's state, shared by all requests.
pub(crate) struct Edge {
    /// Settings.
    pub(crate) config: Config,
    /// What is served.
    pub(crate) schema: Holder,
    /// What keeps it up to date.
    keeper: Keeper,
    /// Way to the services.
    pub(crate) mesh: Mesh,
    /// Rate limits.
    pub(crate) cache: Cache,
    /// Bearer tokens and what they were exchanged for.
    pub(crate) credentials: Arc<Credentials>,
    /// Certificate of the public port under TLS.
    pub(crate) identity: Option<Reloading>,
    /// WebSockets at work.
    pub(crate) sockets: Sockets,
    /// Open connections, of all sockets together.
    pub(crate) connections: Places,
    /// Addresses that the sockets have got, plain and under TLS.
    pub(crate) bound: [OnceLock<SocketAddr>; 2],
    /// Requests at work.
    pub(crate) places: Places,
    /// Streams of messages on their way to callers.
    pub(crate) streams: Places,
    /// What is counted of them.
    pub(crate) requests: Requests,
    /// Memory for bodies that are read whole.
    pub(crate) bodies: Budget,
    /// The public sockets close, the process lives on.
    pub(crate) drain: CancellationToken,
    /// When it began.
    pub(crate) begin: Instant,
    /// The time.
    pub(crate) clock: Clock,
    /// Address under which clients reach the edge; issuer of tokens.
    pub(crate) public_url: String,
    /// Cookies of that address; none where they would travel in the open.
    pub(crate) jar: Option<Jar>,
    /// Source of request ids.
    pub(crate) ids: Ids,
}

impl Edge {
    /// Reads and compiles the schema; a conflict in it stops the start and names the rules.
    pub(crate) fn new(parts: Parts, config: Config) -> Result<Self, BootError> {
        let public_url = parts.public_url.trim_end_matches('/').to_owned();
        let recipe =
            Recipe { public_url: public_url.clone(), reflection: config.reflection, reading: config.reading() };
        let identity = config.tls.is_on().then(|| {
            let (certificate, key) = (config.tls.certificate.clone(), config.tls.key.clone());
            Reloading::open(mesh::tls::Files { certificate, key, ca: None })
        });
        let around = (parts.mesh.clone(), parts.ids.clone(), parts.clock.clone());
        let (keeper, schema) = Keeper::open(config.schema.clone(), recipe, parts.data_dir, around)?;
        Ok(Self {
            schema,
            keeper,
            credentials: Arc::new(Credentials::new(parts.mesh.clone(), public_url.clone(), parts.clock.clone())),
            drain: CancellationToken::new(),
            begin: Instant::now(),
            clock: parts.clock,
            identity: identity.transpose()?,
            sockets: Sockets::new(config.websockets, config.websockets_address),
            connections: Places::new(config.connections, config.connections_each()),
            bound: Default::default(),
            places: Places::new(config.requests, config.requests_address),
            streams: Places::new(config.streams, config.streams_address),
            requests: Requests::default(),
            bodies: Budget::new(config.bodies_max),
            mesh: parts.mesh,
            cache: parts.cache,
            jar: Jar::of(&public_url),
            public_url,
            ids: parts.ids,
            config,
        })
    }

    /// Keeps the schema up to date; says after each look that all sources were asked.
    pub(crate) async fn keep_schema(self: Arc<Self>, asked: impl Fn() + Send, shutdown: CancellationToken) {
        self.keeper.keep(&self.schema, asked, shutdown).await;
    }

    /// Keeps the issuer's public keys fresh; ready once they were read.
    pub(crate) async fn keep_keys(self: Arc<Self>, ready: Arc<Awaited>, shutdown: CancellationToken) {
        let mut wait = Duration::from_millis(50);
        loop {
            match self.credentials.load_keys(&CallContext::background("edge keys", &self.ids)).await {
                Ok(()) => {
                    ready.done();
                    wait = KEY_AGE;
                }
                Err(error) => {
                    tracing::debug!(%error, "the issuer's keys cannot be read yet");
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
