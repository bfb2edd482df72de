//! The edge's pages on the admin port of the host: what is served, where a request would go, what the edge is doing.
//!
//! What must hold: reading never changes anything; the one page that does wants POST. No secret is shown: settings come
//! masked from the host.
use std::sync::Arc;

use bytes::Bytes;
use chassis::Mount;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use proto::{Idempotency, Rule};
use serde_json::{Value, json};

use crate::{edge::Edge, filter, form, refusal::Dialect, route};

/// Paths of the pages.
const PAGES: [&str; 8] = [
    // Sources, hash, age, last error, difference to the previous schema.
    "/schema",
    // Every route with its RPC and who may call; what deviates.
    "/routes",
    // `?method=GET&path=/v1/...`: which rule answers, with which bindings and filters.
    "/explain",
    // Version, state, uptime.
    "/server_info",
    // Public sockets, their limits and what is open.
    "/listeners",
    // Upstreams and what the schema routes to them.
    "/clusters",
    // Certificates of the public port under TLS and of the mesh: for whom and until when.
    "/certs",
    // POST: close the public sockets, let running requests finish.
    "/drain_listeners",
];

/// Adds the pages to the host's admin port.
pub(crate) fn mount(edge: &Arc<Edge>, mount: &mut Mount) {
    for path in PAGES {
        let edge = edge.clone();
        mount.admin_route(path, move |request| std::future::ready(answer(&edge, &request)));
    }
}

/// Answers one of the pages.
pub(crate) fn answer(edge: &Edge, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    let changes = path == "/drain_listeners";
    let fits = if changes {
        request.method() == Method::POST
    } else {
        matches!(*request.method(), Method::GET | Method::HEAD)
    };
    if !fits {
        let allow = if changes { "POST" } else { "GET, HEAD" };
        let mut refused = reply(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": format!("use {allow}")}));
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        return refused;
    }
    match path {
        "/schema" => reply(StatusCode::OK, &schema(edge)),
        "/routes" => reply(StatusCode::OK, &routes(edge)),
        "/explain" => explain(edge, request.uri().query().unwrap_or_default()),
        "/server_info" => reply(StatusCode::OK, &server_info(edge)),
        "/listeners" => reply(StatusCode::OK, &listeners(edge)),
        "/clusters" => reply(StatusCode::OK, &clusters(edge)),
        "/certs" => reply(StatusCode::OK, &certs(edge)),
        "/drain_listeners" => {
            tracing::warn!("the public sockets are drained on an operator's word");
            edge.drain.cancel();
            reply(StatusCode::OK, &json!({"draining": true}))
        }
        _ => reply(StatusCode::NOT_FOUND, &json!({"error": "no such page", "pages": PAGES})),
    }
}

fn schema(edge: &Edge) -> Value {
    let report = edge.schema.reported();
    let mut page = serde_json::to_value(&report).unwrap_or_default();
    page["age_seconds"] = json!(edge.clock.now().unix_timestamp() - report.since);
    page
}

fn routes(edge: &Edge) -> Value {
    let schema = edge.schema.current();
    let mut rows: Vec<_> = schema
        .contract
        .routes()
        .map(|(method, template, plan)| {
            let mut row = json!({"method": method, "template": template, "rpc": &plan.rpc_path[1..]});
            if let Some(known) = schema.methods.get(&plan.rpc_path) {
                row["access"] = access(known);
                row["served"] = json!(schema.served(&plan.rpc_path).is_some());
            }
            row
        })
        .collect();
    rows.sort_by_key(|row| format!("{} {}", row["template"], row["method"]));
    let warnings = schema.contract.warnings().iter();
    let warnings: Vec<_> =
        warnings.map(|warning| json!({"rpc": warning.rpc, "rule": warning.rule, "text": warning.text})).collect();
    json!({"schema": schema.hash, "routes": rows, "warnings": warnings})
}

fn access(method: &proto::Method) -> Value {
    let Some(access) = &method.access else { return Value::Null };
    let rule = match &access.rule {
        Rule::Public => "public".to_owned(),
        Rule::SelfOnly => "self".to_owned(),
        Rule::PeerOnly => "peer_only".to_owned(),
        Rule::Permission(permission) => format!("permission {permission}"),
    };
    json!({"rule": rule, "rate": access.rate.as_str_name(), "sensitive": access.sensitive})
}

/// Where a request would go; nothing is sent.
fn explain(edge: &Edge, query: &str) -> Response<Bytes> {
    let method = form::value(query, "method").unwrap_or("GET");
    // The path is taken as it is written: it may have escapes of its own.
    let (Ok(method), Some(path)) = (method.parse::<Method>(), form::value(query, "path")) else {
        return reply(
            StatusCode::BAD_REQUEST,
            &json!({"error": "say ?method=GET&path=/v1/... (the path as it is sent)"}),
        );
    };
    let Ok(asked) = Request::builder().method(method).uri(path).body(()) else {
        return reply(StatusCode::BAD_REQUEST, &json!({"error": "this path cannot be sent"}));
    };
    let schema = edge.schema.current();
    let connect = edge.config.connect;
    let found = match route::find(&schema, &asked, Dialect::of(&asked, &schema, connect), connect) {
        Ok(found) => found,
        Err(refusal) => {
            let body = serde_json::from_slice(&refusal.body(&schema.contract, None, "")).unwrap_or(Value::Null);
            return reply(StatusCode::OK, &json!({"schema": schema.hash, "answer": body}));
        }
    };
    let mut page = json!({"schema": schema.hash, "route": found.label(), "filters": filter::ORDER});
    if let Some(matched) = found.matched() {
        let bindings: serde_json::Map<_, _> =
            matched.variables().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        page["bindings"] = Value::Object(bindings);
        page["takes_body"] = json!(matched.takes_body());
    }
    if let Some(method) = found.method() {
        page["rpc"] = json!(method.rpc);
        page["service"] = json!(method.service);
        page["access"] = access(method);
        page["streams"] = json!({"client": method.client_streaming, "server": method.server_streaming});
        page["idempotency"] = json!(match method.idempotency {
            Idempotency::Unknown => "unknown",
            Idempotency::NoSideEffects => "no side effects",
            Idempotency::Idempotent => "idempotent",
        });
    }
    reply(StatusCode::OK, &page)
}

fn server_info(edge: &Edge) -> Value {
    let state = if edge.drain.is_cancelled() { "DRAINING" } else { "LIVE" };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": state,
        "uptime_seconds": edge.begin.elapsed().as_secs(),
        "schema": edge.schema.current().hash,
        "public_url": edge.public_url,
    })
}

fn listeners(edge: &Edge) -> Value {
    let config = &edge.config;
    let [plain, secure] = &edge.bound;
    let listener = |name: &str, address: &std::net::SocketAddr, protocols: [&str; 2]| {
        json!({
            "name": name,
            "address": address.to_string(),
            "protocols": protocols,
            "draining": edge.drain.is_cancelled(),
            // Of all sockets together.
            "connections": {"max": config.connections, "open": edge.connections.taken()},
            "requests": {"max": config.requests, "at_work": edge.places.taken()},
            "streams": {"max": config.streams, "open": edge.streams.taken()},
            "bodies": {"max": config.bodies_max.bytes(), "reserved": edge.bodies.reserved()},
        })
    };
    // The addresses that were got; before that, those that are wanted.
    let http = listener("http", plain.get().unwrap_or(&config.listen), ["HTTP/1.1", "HTTP/2 (h2c)"]);
    let https = || listener("https", secure.get().unwrap_or(&config.tls.listen), ["HTTP/1.1", "HTTP/2 (ALPN)"]);
    std::iter::once(http).chain(config.tls.is_on().then(https)).collect()
}

fn clusters(edge: &Edge) -> Value {
    let schema = edge.schema.current();
    let mut clusters: std::collections::BTreeMap<&str, (usize, Vec<&str>)> = std::collections::BTreeMap::new();
    for method in schema.methods.iter() {
        let (count, services) = clusters.entry(method.service).or_default();
        *count += 1;
        if services.last() != Some(&method.full_service) {
            services.push(method.full_service);
        }
    }
    // What the mesh has called so far, as it stands: endpoints, ejections, load.
    let upstreams = edge.mesh.clusters();
    let upstream = |name: &str| upstreams.iter().find(|upstream| upstream.service == name);
    let rows = clusters.into_iter();
    rows.map(|(name, (methods, services))| {
        json!({"name": name, "methods": methods, "services": services, "upstream": upstream(name)})
    })
    .collect()
}

fn certs(edge: &Edge) -> Value {
    json!({
        "now": edge.clock.now().unix_timestamp(),
        "https": edge.identity.as_ref().map(mesh::tls::Reloading::shown).unwrap_or_default(),
        "mesh": edge.mesh.certificates(),
    })
}

fn reply(status: StatusCode, body: &Value) -> Response<Bytes> {
    let text = serde_json::to_string_pretty(body).unwrap_or_default() + "\n";
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
