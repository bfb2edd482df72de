//! Where a request goes. The REST tree comes from the contract; beside it stand the RPC paths, uploads, the OAuth endpoints
//! and the API page.
use std::str::FromStr;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::body::Body;
use transcode::{Match, RouteError};

use crate::{
    call::{connect, reflection, websocket},
    docs::Page,
    filter::resumable::Upload,
    identity::Endpoint,
    refusal::{Dialect, Refusal},
    schema::Schema,
};

/// What `OPTIONS *` tells (RFC 9110 section 9.3.7): some path knows each of them.
const EVERYWHERE: [Method; 7] =
    [Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::POST, Method::PUT];

/// A found route.
pub(crate) struct Route {
    /// Where it leads.
    pub(crate) target: Target,
    label: String,
}

/// What answers a request.
pub(crate) enum Target {
    /// A REST binding of the contract.
    Rest(Match, &'static proto::Method),
    /// A call by the RPC's own path: gRPC, gRPC-Web, Connect.
    Rpc(&'static proto::Method),
    /// A WebSocket at a streaming method's binding.
    Socket(Match, &'static proto::Method),
    /// A resumable upload (tus), and the method whose access decides.
    Resumable(Upload, Option<&'static proto::Method>),
    /// An OAuth or discovery endpoint.
    Identity(Endpoint),
    /// gRPC server reflection, in any protocol that streams RPCs.
    Reflection,
    /// The API page and document.
    Page(Page),
    /// OPTIONS on a known path.
    Options(Vec<Method>),
}

impl Route {
    /// The method of the contract whose access decides; `None` for pages and endpoints with rules of their own.
    pub(crate) fn method(&self) -> Option<&'static proto::Method> {
        match &self.target {
            Target::Rest(_, method) | Target::Rpc(method) | Target::Socket(_, method) => Some(method),
            Target::Resumable(_, method) => *method,
            Target::Identity(_) | Target::Reflection | Target::Page(_) | Target::Options(_) => None,
        }
    }

    /// The answer is a stream of messages. A WebSocket is counted as one.
    pub(crate) fn streams(&self) -> bool {
        match &self.target {
            Target::Rest(_, method) | Target::Rpc(method) => method.server_streaming,
            Target::Reflection => true,
            _ => false,
        }
    }

    /// The matched REST binding.
    pub(crate) fn matched(&self) -> Option<&Match> {
        match &self.target {
            Target::Rest(matched, _) | Target::Socket(matched, _) => Some(matched),
            _ => None,
        }
    }

    /// The caller may still show a credential: a WebSocket whose client can set no headers sends it in its first frame.
    pub(crate) fn awaits_credential(&self, by_cookie: bool, headers: &HeaderMap) -> bool {
        let shown = headers.contains_key(header::AUTHORIZATION) || by_cookie;
        matches!(self.target, Target::Socket(..)) && !shown
    }

    /// A label of few values, for metrics and logs: template or RPC, never the path itself.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }
}

/// Finds the route of a request. `speaks_connect`: Connect is served.
pub(crate) fn find<B>(
    schema: &Schema,
    request: &Request<B>,
    dialect: Dialect,
    speaks_connect: bool,
) -> Result<Route, Refusal> {
    let (method, path) = (request.method(), request.uri().path());
    let route = |target, label: &str| Ok(Route { target, label: label.to_owned() });
    if dialect.is_rpc() {
        return rpc(schema, method, path, dialect);
    }
    if websocket::is_upgrade(request) {
        return socket(schema, path);
    }
    if method == Method::OPTIONS
        && let Some(rpc) = schema.served(path)
    {
        let reads = speaks_connect && connect::allows(&Method::GET, rpc);
        let allow = reads.then_some(Method::GET).into_iter().chain([Method::OPTIONS, Method::POST]);
        return route(Target::Options(allow.collect()), "OPTIONS");
    }
    if path == "*" && method == Method::OPTIONS {
        return route(Target::Options(EVERYWHERE.to_vec()), "OPTIONS");
    }
    if let Some(upload) = Upload::at(schema, request)? {
        let access = upload.method(schema);
        return route(Target::Resumable(upload, access), "/tus/{parent}/uploads");
    }
    if let Some((label, verbs, endpoint)) = Endpoint::at(schema, path) {
        return fixed((method, path), label, verbs, Target::Identity(*endpoint));
    }
    if let Some(page) = Page::at(path) {
        return fixed((method, path), path, &with_head(&Method::GET), Target::Page(page));
    }
    rest(schema, method, path)
}

/// A binding of the contract. One that is for workloads alone is as good as none, also for OPTIONS and 405.
fn rest(schema: &Schema, method: &Method, path: &str) -> Result<Route, Refusal> {
    match schema.contract.route(method, path) {
        Ok(matched) => {
            if let Some(rpc) = schema.served(&matched.method().rpc_path) {
                let label = matched.template().to_owned();
                return Ok(Route { target: Target::Rest(matched, rpc), label });
            }
        }
        Err(RouteError::MethodNotAllowed { .. }) => {}
        Err(RouteError::Invalid(problem)) => return Err(problem.into()),
        Err(RouteError::NotFound) => return Err(Refusal::not_found(path)),
    }
    match methods_at(schema, path) {
        allow if allow.is_empty() => Err(Refusal::not_found(path)),
        allow if method == Method::OPTIONS => Ok(Route { target: Target::Options(allow), label: "OPTIONS".to_owned() }),
        allow => Err(not_allowed(method, path, &allow)),
    }
}

/// A path that the edge answers itself, under these methods and OPTIONS; `label` is the path as the table of its kind has it.
fn fixed((method, path): (&Method, &str), label: &str, known: &[Method], target: Target) -> Result<Route, Refusal> {
    let with_options = || known.iter().cloned().chain([Method::OPTIONS]).collect::<Vec<_>>();
    if known.contains(method) {
        Ok(Route { target, label: label.to_owned() })
    } else if method == Method::OPTIONS {
        Ok(Route { target: Target::Options(with_options()), label: "OPTIONS".to_owned() })
    } else {
        Err(not_allowed(method, path, &with_options()))
    }
}

/// HEAD goes with GET (RFC 9110 section 9.3.2).
fn with_head(verb: &Method) -> Vec<Method> {
    let head = (verb == Method::GET).then_some(Method::HEAD);
    std::iter::once(verb.clone()).chain(head).collect()
}

fn rpc(schema: &Schema, verb: &Method, path: &str, dialect: Dialect) -> Result<Route, Refusal> {
    let connect = matches!(dialect, Dialect::Connect(_));
    if verb != Method::POST && !connect {
        return Err(not_allowed(verb, path, &[Method::POST]));
    }
    // It streams, so Connect's unary form has no way to ask.
    if !connect && schema.reflection.is_some() && reflection::is_at(path) {
        return Ok(Route { target: Target::Reflection, label: "grpc.reflection".to_owned() });
    }
    let unknown = || {
        let shown: String = path.chars().take(200).collect();
        api::Error::new(
            api::Code::Unimplemented,
            api::CommonReason::MethodUnknown,
            format!("no method {shown}; list them by reflection"),
        )
    };
    let method = schema.served(path).ok_or_else(unknown)?;
    if connect && !connect::allows(verb, method) {
        return Err(not_allowed(verb, path, &[Method::POST]));
    }
    Ok(Route { target: Target::Rpc(method), label: method.rpc.to_owned() })
}

/// A streaming method at a path, whatever its HTTP method: the upgrade is always a GET.
fn socket(schema: &Schema, path: &str) -> Result<Route, Refusal> {
    let mut known = false;
    for verb in std::iter::once(Method::GET).chain(methods_at(schema, path)) {
        let matched = match schema.contract.route(&verb, path) {
            Ok(matched) => matched,
            Err(RouteError::Invalid(problem)) => return Err(problem.into()),
            Err(_) => continue,
        };
        let Some(method) = schema.served(&matched.method().rpc_path) else { continue };
        known = true;
        if !method.is_unary() {
            let label = matched.template().to_owned();
            return Ok(Route { target: Target::Socket(matched, method), label });
        }
    }
    if !known {
        return Err(Refusal::not_found(path));
    }
    let message = "nothing streams at this path; send an ordinary request, without an upgrade";
    Err(Refusal::new(400, tonic::Code::InvalidArgument, "WEBSOCKET_NEEDS_STREAM", message))
}

/// The methods that callers from outside know a path under, OPTIONS among them; none when they know no such path.
pub(crate) fn methods_at(schema: &Schema, path: &str) -> Vec<Method> {
    let probe = Method::from_str("WORKOS-PROBE").unwrap_or(Method::TRACE);
    let Err(RouteError::MethodNotAllowed { mut allow }) = schema.contract.route(&probe, path) else {
        return Vec::new();
    };
    let is_served = |method: &Method| match schema.contract.route(method, path) {
        Ok(matched) => schema.served(&matched.method().rpc_path).is_some(),
        Err(_) => false,
    };
    allow.retain(|method| method != Method::OPTIONS && is_served(method));
    if !allow.is_empty() {
        let at = allow.partition_point(|method| method.as_str() < Method::OPTIONS.as_str());
        allow.insert(at, Method::OPTIONS);
    }
    allow
}

/// 204 with `Allow`, for OPTIONS.
pub(crate) fn options(allow: &[Method]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(value) = HeaderValue::from_str(&list(allow)) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// 405 with `Allow` (RFC 9110 section 15.5.6).
pub(crate) fn not_allowed(method: &Method, path: &str, allow: &[Method]) -> Refusal {
    let shown: String = path.chars().take(200).collect();
    let message = format!("{method} is not possible at {shown}; use {}", list(allow));
    Refusal::new(405, tonic::Code::Unimplemented, "METHOD_NOT_ALLOWED", message).header(header::ALLOW, &list(allow))
}

/// A list of methods as headers show it.
pub(crate) fn list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}
