//! The edge: the only public door. REST and JSON, server streams, native gRPC, uploads by tus, the OAuth endpoints and the
//! API page, on one port.
//!
//! It owns no domain rule, no database and no route list: routes, access, rate classes and deadlines are read from the
//! contract, so a new method or service needs no edit here. What must hold: nobody below sees a forged header; permission
//! of the contract is asked before the body is read; every answer has a request id and, if it is an error, a reason; a
//! client that leaves cancels upstream at once.
//!
//! ```text
//! listener -> filter (ordered list) -> route -> call/{rest,stream,grpc} -> upstream -> mesh::client
//!                                        |----> filter/resumable (tus)
//!                                        |----> identity/{oauth,wellknown}, docs, reflection
//! ```

mod call;
mod config;
mod docs;
mod edge;
mod filter;
mod identity;
mod listener;
mod observe;
mod reflection;
mod refusal;
mod route;
mod upstream;

use std::sync::Arc;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;

use crate::{config::Config, edge::Edge};

/// The edge as a workload.
pub const SERVICE: ServiceSpec = ServiceSpec::new("gateway", boot).config::<Config>();

/// The OpenAPI document as the edge serves it. `public_url` becomes the server's address; empty means relative.
///
/// # Errors
/// The contract cannot be served; the text names every rule at fault.
pub fn openapi(public_url: &str) -> Result<serde_json::Value, BootError> {
    Ok(docs::openapi(&edge::compile()?, public_url))
}

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let listener = mount.listener("http", config.listen).await?;
        let edge = Arc::new(Edge::new(&kit, config)?);
        let keys = Arc::new(mount.ready("public keys of the token issuer"));
        let refreshed = edge.clone();
        mount.task("edge keys", move |shutdown| refreshed.clone().keep_keys(keys.clone(), shutdown));
        mount.edge("http", move |shutdown| listener::run(edge, listener, shutdown));
        Ok(())
    })
}
