//! What the edge holds while it runs: the compiled contract, the way to the services, credentials, limits.
use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use api::{CallContext, Ids};
use cache::Cache;
use chassis::{Awaited, BootError, Kit};
use mesh::client::Mesh;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use transcode::Contract;

use crate::{config::Config, docs::Docs, filter::auth::Credentials, reflection::Reflection};

/// How often the issuer's keys are read again.
const KEY_AGE: Duration = Duration::from_secs(60);

/// The edge's state, shared by all requests.
pub(crate) struct Edge {
    /// Settings.
    pub(crate) config: Config,
    /// Routes and JSON.
    pub(crate) contract: Contract,
    /// Way to the services.
    pub(crate) mesh: Mesh,
    /// Rate limits.
    pub(crate) cache: Cache,
    /// Bearer tokens and what they were exchanged for.
    pub(crate) credentials: Credentials,
    /// OpenAPI document and API page.
    pub(crate) docs: Docs,
    /// Merged reflection.
    pub(crate) reflection: Option<Reflection>,
    /// Requests at work.
    pub(crate) places: Arc<Semaphore>,
    /// Address under which clients reach the edge; issuer of tokens.
    pub(crate) public_url: String,
    /// Source of request ids.
    pub(crate) ids: Ids,
}

/// Compiles the contract.
pub(crate) fn compile() -> Result<Contract, BootError> {
    transcode::compile(proto::CONTRACT, &transcode::Options::default()).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow!("the contract cannot be served:\n{}", lines.join("\n"))
    })
}

impl Edge {
    /// Compiles the contract; a conflict in it stops the start and names the rules.
    pub(crate) fn new(kit: &Kit, config: Config) -> Result<Self, BootError> {
        let contract = compile()?;
        for warning in contract.warnings() {
            tracing::warn!(rpc = warning.rpc, rule = warning.rule, "contract deviates: {}", warning.text);
        }
        let public_url = kit.public_url().trim_end_matches('/').to_owned();
        Ok(Self {
            docs: Docs::new(&contract, &public_url),
            reflection: config.reflection.then(Reflection::new).transpose()?,
            credentials: Credentials::new(kit.mesh(), public_url.clone(), kit.clock()),
            places: Arc::new(Semaphore::new(config.requests)),
            contract,
            mesh: kit.mesh(),
            cache: kit.cache(),
            public_url,
            ids: kit.ids(),
            config,
        })
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
