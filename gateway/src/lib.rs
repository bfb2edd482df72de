//! The edge: the only public door. REST and JSON, streams, native gRPC, gRPC-Web, Connect, WebSocket, uploads by tus, the
//! OAuth endpoints and the API page, on a plain port and, where it has a certificate, on one under TLS.
//!
//! It owns no domain rule, no database and no route list: routes, access, rate classes and deadlines are read from the
//! contract, so a new method or service needs no edit here. What must hold: nobody below sees a forged header; permission
//! of the contract is asked before the body is read; every answer has a request id and, if it is an error, a reason; a
//! client that leaves cancels upstream at once.
//!
//! ```text
//! listener -> filter (ordered list) -> route -> call/{rest,stream,grpc,grpc_web,connect,websocket} -> upstream -> mesh::client
//!                                        |----> filter/resumable (tus)
//!                                        |----> identity/{oauth,wellknown}, docs, reflection
//! ```

mod admin;
mod answer;
mod call;
mod coding;
mod config;
mod docs;
mod edge;
mod filter;
mod form;
mod identity;
mod listener;
mod observe;
mod reflection;
mod refusal;
mod route;
mod schema;
mod upstream;

use std::sync::Arc;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use crate::edge::Parts;
use crate::{config::Config, edge::Edge};

/// The edge as a workload.
pub const SERVICE: ServiceSpec = ServiceSpec::new("gateway", boot).config::<Config>();

/// The OpenAPI document as the edge serves it. `public_url` becomes the server's address; empty means relative.
///
/// # Errors
/// The contract cannot be served; the text names every rule at fault.
pub fn openapi(public_url: &str) -> Result<serde_json::Value, BootError> {
    let merged = schema::merge(&[schema::compiled_in()])?;
    let recipe = schema::Recipe {
        public_url: public_url.to_owned(),
        reflection: false,
        reading: transcode::RequestOptions::default(),
    };
    let schema = schema::Schema::compile(&merged, &recipe)?;
    Ok(docs::openapi(&schema.contract, &schema.methods, public_url))
}

/// An edge without a host around it: for tests of it.
#[derive(Clone)]
pub struct Gateway(Arc<Edge>);

impl Gateway {
    /// An edge with these settings: the keys of section `[gateway]`, as TOML.
    ///
    /// # Errors
    /// A setting is wrong, or the contract cannot be served; the text names every rule at fault.
    pub fn new(parts: Parts, settings: &str) -> Result<Self, BootError> {
        let config: Config = toml::from_str(settings)?;
        chassis::Section::check(&config).map_err(|text| anyhow::anyhow!(text))?;
        Ok(Self(Arc::new(Edge::new(parts, config)?)))
    }

    /// Answers a page of the admin port.
    #[must_use]
    pub fn admin(&self, request: &http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> {
        admin::answer(&self.0, request)
    }

    /// Serves a socket and keeps the schema up to date until `shutdown`, then lets running requests finish.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        let schema = self.0.clone().keep_schema(|| (), shutdown.clone());
        tokio::join!(listener::run(self.0.clone(), listener, None, shutdown), schema);
    }

    /// Serves a socket under TLS until `shutdown`; without `tls.certificate` it serves nothing.
    pub async fn serve_tls(&self, listener: TcpListener, shutdown: CancellationToken) {
        if let Some(identity) = self.0.identity.clone() {
            listener::run(self.0.clone(), listener, Some(identity), shutdown).await;
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// Ready as long as the public sockets are open: a balancer must hear of a drain before connections are refused.
async fn drain(edge: Arc<Edge>, open: Arc<chassis::Awaited>, shutdown: CancellationToken) {
    open.done();
    tokio::select! {
        () = edge.drain.cancelled() => open.lost("the public sockets were drained on an operator's word"),
        () = shutdown.cancelled() => return,
    }
    shutdown.cancelled().await;
}

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let listener = mount.listener("http", config.listen).await?;
        let secure = if config.tls.is_on() { Some(mount.listener("https", config.tls.listen).await?) } else { None };
        let edge = Arc::new(Edge::new(Parts::of(&kit), config)?);
        admin::mount(&edge, mount);
        let (drained, open) = (edge.clone(), Arc::new(mount.ready("public sockets")));
        mount.task("edge drain", move |shutdown| drain(drained.clone(), open.clone(), shutdown));
        let http = edge.clone();
        mount.edge("http", move |shutdown| listener::run(http, listener, None, shutdown));
        if let Some((secure, identity)) = secure.zip(edge.identity.clone()) {
            let https = edge.clone();
            mount.edge("https", move |shutdown| listener::run(https, secure, Some(identity), shutdown));
        }
        let kept = edge.clone();
        // An upstream that is away does not keep the edge from what others serve: asked once is enough.
        let asked = mount.ready("first look at the schema sources");
        let asked = Arc::new(asked);
        mount.task("edge schema", move |shutdown| {
            let asked = asked.clone();
            kept.clone().keep_schema(move || asked.done(), shutdown)
        });
        // A contract without the issuer of tokens has no key to wait for.
        if !edge.schema.current().serves("workos.auth.v1.TokenService") {
            return Ok(());
        }
        let keys = Arc::new(mount.ready("public keys of the token issuer"));
        mount.task("edge keys", move |shutdown| edge.clone().keep_keys(keys.clone(), shutdown));
        Ok(())
    })
}
