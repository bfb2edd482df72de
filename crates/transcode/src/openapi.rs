//! The contract as an OpenAPI 3.1 document, from the same compiled rules that serve requests.
//!
//! Names, comments, field behavior and types come from the descriptors; a resource-name variable is
//! expanded into one parameter per wildcard, so `{name=organizations/*/documents/*}` reads
//! `/organizations/{organization}/documents/{document}`.
//!
//! What must hold: the edge takes every request that the document allows, and the examples are such requests.

mod annotation;
mod bound;
mod comment;
mod example;
mod operation;
mod path;
mod scalar;
mod schema;
mod system;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::binding::Binding;
use crate::contract::{Contract, MethodPlan};
use annotation::Annotations;
use comment::Comments;
use operation::{Components, Operations};
use path::Paths;
use schema::Schemas;

/// What the document says about itself.
#[derive(Debug, Clone)]
pub struct Info {
    /// The title of the API.
    pub title: String,
    /// The version of the document, usually the platform's.
    pub version: String,
    /// A paragraph, CommonMark.
    pub description: String,
    /// The base URL of the gateway; empty means relative to the document.
    pub server: String,
    /// An id as the services take it: it stands in the examples of resource names. Empty leaves the names of the variables.
    pub example_id: String,
    /// Full name of the contract's own option of type string that holds an example of a field; empty when there is none.
    pub example_option: String,
}

/// What a caller of a method needs, as far as the document shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No credential.
    Public,
    /// A bearer token.
    Bearer,
    /// The method is not offered at the edge and left out.
    Hidden,
}

/// Builds the document. `access` is asked once per RPC path, `/package.Service/Method`.
#[must_use]
pub fn document(contract: &Contract, info: &Info, access: &dyn Fn(&str) -> Access) -> Value {
    let inner = &*contract.inner;
    let comments = Comments::read(&inner.set);
    let annotations = Annotations::read(contract.pool(), info);
    let mut components = Components { schemas: Schemas::new(&comments, inner), parameters: system::pretty_print() };
    let mut paths = Paths::default();
    let mut tags: BTreeMap<String, Value> = BTreeMap::new();
    for Shown { plan, access, number, binding, method } in shown(contract, access) {
        let service = plan.descriptor.parent_service();
        tags.entry(service.name().to_owned()).or_insert_with(|| {
            let description = comments.of(&service.parent_file(), service.path());
            json!({"name": service.name(), "description": description})
        });
        let expanded = paths.place(binding, method);
        let operation = Operations {
            inner,
            comments: &comments,
            annotations: &annotations,
            plan,
            binding,
            expanded: &expanded,
            access,
        }
        .build(number, &mut components);
        paths.insert(&expanded, method, operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": info.title, "version": info.version, "description": info.description},
        "servers": [{"url": if info.server.is_empty() { "/" } else { &info.server }}],
        "tags": tags.into_values().collect::<Vec<_>>(),
        "paths": paths.finish(),
        "components": {
            "schemas": components.schemas.finish(),
            "responses": {"Error": operation::error_response()},
            "parameters": components.parameters,
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token of the platform, or an API key.",
            }},
        },
    })
}

/// A binding that has a place in the document.
struct Shown<'c> {
    plan: &'c MethodPlan,
    access: Access,
    /// Its place among those of its method.
    number: usize,
    binding: &'c Binding,
    method: &'static str,
}

/// What is shown, in the order of the contract. What ends in `**` comes last: it takes the paths that nothing else has.
fn shown<'c>(contract: &'c Contract, access: &dyn Fn(&str) -> Access) -> Vec<Shown<'c>> {
    let mut shown = Vec::new();
    for plan in contract.methods().filter(|plan| plan.has_http()) {
        let access = access(&plan.rpc_path);
        if access == Access::Hidden {
            continue;
        }
        for (number, index) in plan.bindings.iter().enumerate() {
            let binding = &contract.inner.bindings[*index];
            if let Some(method) = documented(binding.method.as_ref()) {
                shown.push(Shown { plan, access, number, binding, method });
            }
        }
    }
    shown.sort_by_key(|shown| shown.binding.template.deep().is_some());
    shown
}

/// The key of an operation; other methods have no place in OpenAPI 3.1.
fn documented(method: Option<&http::Method>) -> Option<&'static str> {
    Some(match method?.as_str() {
        "GET" => "get",
        "PUT" => "put",
        "POST" => "post",
        "DELETE" => "delete",
        "PATCH" => "patch",
        "HEAD" => "head",
        "OPTIONS" => "options",
        "TRACE" => "trace",
        _ => return None,
    })
}
