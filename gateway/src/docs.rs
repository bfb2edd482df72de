//! The OpenAPI document, whole or of one service, and the API page, all made from the contract that serves requests. The page
//! needs no internet.
use std::{collections::HashMap, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use proto::{Methods, Rule};
use tonic::body::Body;
use transcode::{
    Contract,
    openapi::{Access, Info, document},
};

use crate::{
    call::condition,
    form,
    refusal::Refusal,
    schema::{Schema, is_served, set},
};

/// An id in the examples, in the form of `api::Id`.
const EXAMPLE_ID: &str = "01kb4v8mzefgh2a5c7d9jknpqr";

const PAGE: &str = include_str!("docs/page.html");

/// What is shown. Every document is made when it is first asked for: most edges are never asked, and it is as large as all else they hold.
pub(crate) struct Docs {
    whole: OnceLock<Document>,
    /// Of one service of gRPC, or of all that one workload serves.
    parts: HashMap<&'static str, OnceLock<Document>>,
    public_url: String,
}

/// The OpenAPI document as it is sent.
struct Document {
    text: Bytes,
    etag: HeaderValue,
}

/// One of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// `/`, which leads to the API page.
    Root,
    /// `/docs`.
    Docs,
    /// `/openapi.json`.
    Document,
}

impl Page {
    /// The page at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Root),
            "/docs" => Some(Self::Docs),
            "/openapi.json" => Some(Self::Document),
            _ => None,
        }
    }
}

impl Docs {
    /// What there will be of these methods.
    pub(crate) fn new(methods: &Methods, public_url: &str) -> Self {
        let served = methods.iter().filter(|method| is_served(method));
        let parts = served.flat_map(|method| [method.full_service, method.service]).map(|name| (name, OnceLock::new()));
        Self { whole: OnceLock::new(), parts: parts.collect(), public_url: public_url.to_owned() }
    }

    /// The document that `?service=` asks for; `None` when there is no such service.
    fn find(&self, schema: &Schema, query: Option<&str>) -> Option<&Document> {
        let asked = query.and_then(|query| form::value(query, "service")).and_then(form::decoded);
        let Some(asked) = asked.map(|name| String::from_utf8_lossy(&name).into_owned()) else {
            let whole = || Document::of(&openapi(&schema.contract, &schema.methods, &self.public_url));
            return Some(self.whole.get_or_init(whole));
        };
        let made = self.parts.get(asked.as_str())?;
        Some(made.get_or_init(|| {
            let (contract, methods) = (&schema.contract, &schema.methods);
            let belongs = |rpc: &str| {
                methods.get(rpc).is_some_and(|method| method.full_service == asked || method.service == asked)
            };
            let access = |rpc: &str| if belongs(rpc) { access(methods, rpc) } else { Access::Hidden };
            Document::of(&document(contract, &info(&self.public_url), &access))
        }))
    }
}

impl Document {
    fn of(value: &serde_json::Value) -> Self {
        let text = Bytes::from(value.to_string());
        let etag = format!("\"{}\"", set::hash(&text));
        Self { text, etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"0\"")) }
    }
}

/// The document.
pub(crate) fn openapi(contract: &Contract, methods: &Methods, public_url: &str) -> serde_json::Value {
    document(contract, &info(public_url), &|rpc| access(methods, rpc))
}

fn info(public_url: &str) -> Info {
    Info {
        title: "WorkOS platform".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "Identity, documents, files, workflows, search and notifications. The same methods are served as native gRPC.".to_owned(),
        server: public_url.to_owned(),
        example_id: EXAMPLE_ID.to_owned(),
        example_option: "workos.api.v1.example".to_owned(),
    }
}

fn access(methods: &Methods, rpc: &str) -> Access {
    let method = methods.get(rpc).filter(|method| is_served(method));
    match method.and_then(|method| method.access.as_ref()) {
        Some(access) if access.rule == Rule::Public => Access::Public,
        Some(_) => Access::Bearer,
        None => Access::Hidden,
    }
}

/// Serves a page.
pub(crate) fn serve(schema: &Schema, page: Page, head: &http::request::Parts) -> Result<Response<Body>, Refusal> {
    let mut response = Response::new(Body::empty());
    let (kind, body) = match page {
        Page::Root => {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs"));
            return Ok(response);
        }
        Page::Docs => {
            let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            ("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()))
        }
        Page::Document => {
            let Some(document) = schema.docs.find(schema, head.uri.query()) else {
                let message =
                    "no such service; send the name of a gRPC service, or leave ?service= out for all of them";
                return Err(Refusal::new(404, tonic::Code::NotFound, "NOT_FOUND", message));
            };
            response.headers_mut().insert(header::ETAG, document.etag.clone());
            if condition::is_unchanged(&head.headers, document.etag.to_str().ok()) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(response);
            }
            ("application/json", document.text.clone())
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    *response.body_mut() = Body::new(Full::new(body));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_examples_is_one() {
        assert_eq!(EXAMPLE_ID.parse::<api::Id>().expect("it is an id").to_string(), EXAMPLE_ID);
    }

    #[test]
    fn the_option_of_examples_is_the_contracts() {
        let document = crate::openapi("").expect("the contract has a document");
        let login =
            &document["paths"]["/v1/login:start"]["post"]["requestBody"]["content"]["application/json"]["example"];
        assert_eq!(login["codeChallengeMethod"], "S256");
    }
}
