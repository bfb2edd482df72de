//! The OpenAPI document and the API page, both made from the contract that serves requests. The page needs no internet.
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use proto::{Methods, Rule};
use tonic::body::Body;
use transcode::{
    Contract,
    openapi::{Access, Info, document},
};

use crate::{
    refusal::Refusal,
    route,
    schema::{is_served, set},
};

const PAGE: &str = include_str!("docs/page.html");

/// What is shown.
pub(crate) struct Docs {
    document: Bytes,
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
    /// The page at a path; 405 under another method.
    pub(crate) fn at(method: &Method, path: &str) -> Result<Option<Self>, Refusal> {
        let page = match path {
            "/" => Self::Root,
            "/docs" => Self::Docs,
            "/openapi.json" => Self::Document,
            _ => return Ok(None),
        };
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(Some(page));
        }
        Err(route::not_allowed(method, path, &[Method::GET, Method::HEAD]))
    }
}

impl Docs {
    /// Renders the document once.
    pub(crate) fn new(contract: &Contract, methods: &Methods, public_url: &str) -> Self {
        let document = Bytes::from(openapi(contract, methods, public_url).to_string());
        let etag = format!("\"{}\"", set::hash(&document));
        Self { document, etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"0\"")) }
    }
}

/// The document.
pub(crate) fn openapi(contract: &Contract, methods: &Methods, public_url: &str) -> serde_json::Value {
    let info = Info {
        title: "WorkOS platform".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "Identity, documents, files, workflows, search and notifications. The same methods are served as native gRPC.".to_owned(),
        server: public_url.to_owned(),
    };
    document(contract, &info, &|rpc| access(methods, rpc))
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
pub(crate) fn serve(docs: &Docs, page: Page, headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let (kind, body) = match page {
        Page::Root => {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs"));
            return response;
        }
        Page::Docs => {
            let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            ("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()))
        }
        Page::Document => {
            response.headers_mut().insert(header::ETAG, docs.etag.clone());
            if headers.get(header::IF_NONE_MATCH) == Some(&docs.etag) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
            ("application/json", docs.document.clone())
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    *response.body_mut() = Body::new(Full::new(body));
    response
}
