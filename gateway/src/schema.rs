//! What the edge serves: one contract, compiled from all sources, with everything that is made of it.
//!
//! A [`Schema`] never changes. A new one is compiled whole, off the request path, and takes the place of the old one by one
//! swap of a pointer (`holder`); a request keeps the one it was routed by to its end. Whatever is wrong with a candidate
//! refuses it, and the one in force stays.
mod disk;
mod file;
mod holder;
mod keeper;
mod merge;
mod reflection;
mod rules;
pub(crate) mod set;
mod source;

use std::collections::HashSet;

use proto::{Method, Methods, Rule};
use transcode::{Contract, LoadError, RequestOptions};

use crate::docs::Docs;

pub(crate) use holder::Holder;
pub(crate) use keeper::Keeper;
pub(crate) use merge::{Merged, merge};
use merge::{Ownership, Part};
pub(crate) use source::compiled_in;

/// Why a candidate is refused; all that is known to be wrong, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SchemaError(pub(crate) String);

/// How candidates are compiled.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// Address of the edge, for the OpenAPI document.
    pub(crate) public_url: String,
    /// Serve reflection.
    pub(crate) reflection: bool,
    /// How JSON and queries are read.
    pub(crate) reading: RequestOptions,
}

/// A compiled contract and what is made of it.
pub(crate) struct Schema {
    /// Routes and JSON.
    pub(crate) contract: Contract,
    /// Access, rate class and service of each method.
    pub(crate) methods: Methods,
    /// OpenAPI document and API page.
    pub(crate) docs: Docs,
    /// Merged reflection for callers.
    pub(crate) reflection: Option<chassis::reflection::Reflection>,
    /// Name of its content.
    pub(crate) hash: String,
    services: HashSet<&'static str>,
}

impl Schema {
    /// Compiles a candidate.
    pub(crate) fn compile(merged: &Merged, recipe: &Recipe) -> Result<Self, SchemaError> {
        let options = transcode::Options {
            rules: merged.rules.clone(),
            reading: recipe.reading,
            ..transcode::Options::default()
        };
        let refused = |errors: Vec<LoadError>| {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            SchemaError(format!("the contract cannot be served:\n{}", lines.join("\n")))
        };
        // The table of methods is read by a pool that knows no editions; callers of the reflection get the files as they came.
        let lowered = transcode::lowered(&merged.set).map_err(refused)?;
        let contract = transcode::compile(&lowered, &options).map_err(refused)?;
        let owner = |_: &str, service: &str| merged.owners.get(service).cloned();
        let methods =
            Methods::read(&transcode::bare(&lowered), &owner).map_err(|error| SchemaError(error.to_string()))?;
        let undeclared: Vec<_> =
            methods.iter().filter(|method| method.access.is_none()).map(|method| method.rpc).collect();
        if !undeclared.is_empty() {
            return Err(SchemaError(format!(
                "these methods do not say who may call them: {}; add option (workos.api.v1.access), or set `access` at the source of a foreign contract",
                undeclared.join(", ")
            )));
        }
        let reflection = if recipe.reflection { Some(crate::reflection::merged(&merged.set, &methods)?) } else { None };
        Ok(Self {
            docs: Docs::new(&methods, &recipe.public_url),
            services: methods.iter().map(|method| method.full_service).collect(),
            hash: set::hash(&merged.set),
            reflection,
            contract,
            methods,
        })
    }

    /// What is served but deviates from the API guidelines.
    pub(crate) fn log_warnings(&self) {
        for warning in self.contract.warnings() {
            tracing::warn!(rpc = warning.rpc, rule = warning.rule, "contract deviates: {}", warning.text);
        }
    }

    /// The method, unless only workloads may call it: for the edge it does not exist.
    pub(crate) fn served(&self, path: &str) -> Option<&'static Method> {
        self.methods.get(path).filter(|method| is_served(method))
    }

    /// A gRPC service is part of it.
    pub(crate) fn serves(&self, service: &str) -> bool {
        self.services.contains(service)
    }
}

/// `peers` without the gateway among them, or peers only: not for callers from outside.
pub(crate) fn is_served(method: &Method) -> bool {
    let Some(access) = &method.access else { return false };
    access.rule != Rule::PeerOnly && (access.peers.is_empty() || access.peers.iter().any(|peer| peer == "gateway"))
}

/// Services that a server has for its operators: the edge has its own, or none.
fn is_of_the_server(service: &str) -> bool {
    ["grpc.reflection.", "grpc.health.", "grpc.channelz."].iter().any(|package| service.starts_with(package))
}
