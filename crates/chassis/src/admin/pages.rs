//! The pages of the admin port.
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited, combinators::UnsyncBoxBody};

use super::Admin;
use crate::telemetry::metrics;

/// Longest body of a request.
const BODY_BYTES: usize = 64 * 1024;
const INDEX: &str = "/metrics  Prometheus metrics, also /stats/prometheus\n/stats    the same as lines of name and value\n/ready    what is still awaited\n/log      log level: GET, or PUT with directives such as info,mesh=debug (loopback only); also /logging, with POST\n/config   configuration, secrets masked (loopback only); also /config_dump\n";

type Reply = Response<Bytes>;

/// Answers one request.
pub(super) async fn answer(
    admin: &Admin,
    peer: SocketAddr,
    request: Request<UnsyncBoxBody<Bytes, hyper::Error>>,
) -> Reply {
    let (parts, body) = request.into_parts();
    let page = page_of(admin, parts.uri.path());
    let reply = match Limited::new(body, BODY_BYTES).collect().await {
        Ok(body) => choose(admin, peer, &page, Request::from_parts(parts, body.to_bytes())).await,
        Err(_) => text(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB\n"),
    };
    metrics::admin_request(page.label(), reply.status().as_u16());
    reply
}

/// Which page is meant; the label is bounded, paths are not.
enum Page {
    Index,
    Metrics,
    Stats,
    Ready,
    Log,
    Config,
    Added(super::Page),
    Unknown,
}

impl Page {
    fn label(&self) -> &'static str {
        match self {
            Page::Index => "index",
            Page::Metrics | Page::Stats => "metrics",
            Page::Ready => "ready",
            Page::Log => "log",
            Page::Config => "config",
            Page::Added(_) => "service",
            Page::Unknown => "unknown",
        }
    }
}

fn page_of(admin: &Admin, path: &str) -> Page {
    match path {
        "/" => Page::Index,
        "/metrics" | "/stats/prometheus" => Page::Metrics,
        "/stats" => Page::Stats,
        "/ready" => Page::Ready,
        "/log" | "/logging" => Page::Log,
        "/config" | "/config_dump" => Page::Config,
        path => {
            let pages = admin.pages.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            pages.get(path).cloned().map_or(Page::Unknown, Page::Added)
        }
    }
}

async fn choose(admin: &Admin, peer: SocketAddr, page: &Page, request: Request<Bytes>) -> Reply {
    let private = matches!(page, Page::Log | Page::Config | Page::Added(_));
    if private && !peer.ip().to_canonical().is_loopback() {
        return text(StatusCode::FORBIDDEN, "this page answers loopback peers only; use a port forward\n");
    }
    // A page of another site can have an operator's browser send a simple POST to his own loopback: browsers name their
    // origin then, and tools of operators have none.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && request.headers().contains_key(header::ORIGIN) {
        return text(StatusCode::FORBIDDEN, "not from a browser\n");
    }
    match page {
        Page::Unknown => text(StatusCode::NOT_FOUND, "no such page; / lists them\n"),
        Page::Added(handler) => handler(request).await,
        Page::Log if matches!(*request.method(), Method::PUT | Method::POST) => set_level(admin, request.body()),
        _ if request.method() != Method::GET && request.method() != Method::HEAD => not_allowed(page),
        Page::Log => text(StatusCode::OK, format!("{}\n", admin.telemetry.level())),
        Page::Index => text(StatusCode::OK, index(admin)),
        Page::Config => text(StatusCode::OK, admin.config.to_string()),
        Page::Metrics => metrics_page(admin),
        Page::Stats => text(StatusCode::OK, stats(&admin.telemetry.render_metrics())),
        Page::Ready => ready_page(admin),
    }
}

fn not_allowed(page: &Page) -> Reply {
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "this page is read with GET\n");
    let allowed = if matches!(page, Page::Log) { "GET, HEAD, PUT, POST" } else { "GET, HEAD" };
    reply.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    reply
}

fn set_level(admin: &Admin, body: &Bytes) -> Reply {
    let Ok(directives) = std::str::from_utf8(body) else {
        return text(StatusCode::BAD_REQUEST, "the body is not UTF-8; write directives such as info,mesh=debug\n");
    };
    match admin.telemetry.set_level(directives.trim()) {
        Ok(()) => {
            tracing::info!(level = directives.trim(), "log level changed");
            text(StatusCode::OK, format!("{}\n", directives.trim()))
        }
        Err(problem) => text(StatusCode::BAD_REQUEST, format!("{problem}\n")),
    }
}

fn metrics_page(admin: &Admin) -> Reply {
    let mut reply = text(StatusCode::OK, admin.telemetry.render_metrics());
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    reply
}

/// The pages, those of services too.
fn index(admin: &Admin) -> String {
    let pages = admin.pages.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let added = pages.keys().map(|path| format!("{path}  of a service (loopback only)\n"));
    std::iter::once(INDEX.to_owned()).chain(added).collect()
}

/// Prometheus text as `name{labels}: value`, without its comments.
fn stats(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    lines.map(|(name, value)| format!("{name}: {value}\n")).collect()
}

fn ready_page(admin: &Admin) -> Reply {
    let state = admin.readiness.state();
    let status = if state.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = serde_json::json!({"ready": state.is_ready()});
    if let (Some(body), Ok(serde_json::Value::Object(fields))) = (body.as_object_mut(), serde_json::to_value(&state)) {
        body.extend(fields);
    }
    let mut reply = text(status, format!("{body}\n"));
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    reply
}

fn text(status: StatusCode, body: impl Into<String>) -> Reply {
    let mut reply = Response::new(Bytes::from(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    reply
}
