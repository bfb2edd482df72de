//! The admin port: pages over HTTP/1.1 and health over HTTP/2 on one socket.
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use testkit::System;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::service::DOCUMENT;

pub(crate) async fn page(system: &System, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    page_with(system, Request::builder().method(method).uri(path), body).await
}

async fn page_with(system: &System, request: http::request::Builder, body: &str) -> (StatusCode, String) {
    let stream = tokio::net::TcpStream::connect(system.host().addresses().admin).await.expect("the admin port is open");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP/1.1");
    let request =
        request.header("host", "localhost").body(Full::new(Bytes::from(body.to_owned()))).expect("a valid request");
    let exchange = async {
        let response = sender.send_request(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("pages are text"))
    };
    tokio::select! {
        answer = exchange => answer,
        _ = connection => panic!("the admin port closed the connection"),
    }
}

async fn health(system: &System, service: &str) -> Result<ServingStatus, tonic::Code> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", system.host().addresses().admin))
        .expect("an address");
    let channel = endpoint.connect().await.expect("the admin port speaks HTTP/2 too");
    let reply = HealthClient::new(channel).check(HealthCheckRequest { service: service.to_owned() }).await;
    reply.map(|reply| reply.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_knows_startup_liveness_readiness_and_the_service() {
    let system = System::start(&[&DOCUMENT]).await;
    for entry in ["startup", "liveness", "readiness", "", "document"] {
        assert_eq!(health(&system, entry).await, Ok(ServingStatus::Serving), "{entry}");
    }
    assert_eq!(health(&system, "nobody").await, Err(tonic::Code::NotFound));
}

#[tokio::test]
async fn pages_show_readiness_metrics_and_a_configuration_without_secrets() {
    let system = System::start(&[&DOCUMENT]).await;
    let (status, ready) = page(&system, Method::GET, "/ready", "").await;
    assert_eq!(status, StatusCode::OK);
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    assert_eq!(ready["ready"], true);

    let (status, config) = page(&system, Method::GET, "/config", "").await;
    assert_eq!(status, StatusCode::OK);
    let config: toml::Table = config.parse().expect("the page is TOML");
    assert_eq!(config["secret_key"].as_str(), Some("***"));
    let url = config["engines"]["postgres"]["url"].as_str().expect("a URL");
    assert!(url.starts_with("postgres://postgres:***@"), "{url}");

    let (_, metrics) = page(&system, Method::GET, "/metrics", "").await;
    for name in ["workos_build_info{", "process_resident_memory_bytes ", "workos_chassis_engine_up{"] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    // The names that Envoy's operators know.
    assert_eq!(
        page(&system, Method::GET, "/config_dump", "").await.1,
        page(&system, Method::GET, "/config", "").await.1
    );
    assert!(page(&system, Method::GET, "/stats/prometheus", "").await.1.contains("workos_build_info{"));
    assert!(page(&system, Method::GET, "/stats", "").await.1.contains("process_resident_memory_bytes: "));
    let (status, _) = page(&system, Method::GET, "/nothing", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = page(&system, Method::POST, "/metrics", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_log_level_can_be_changed_and_nonsense_is_refused() {
    let system = System::start(&[&DOCUMENT]).await;
    let (status, _) = page(&system, Method::PUT, "/log", "warn,mesh=error").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page(&system, Method::GET, "/log", "").await.1, "warn,mesh=error\n");
    let (status, text) = page(&system, Method::PUT, "/log", "warn,mesh=louder").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("such as info,mesh=debug"), "{text}");
    let (status, _) = page(&system, Method::PUT, "/log", &"x".repeat(70_000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = page(&system, Method::POST, "/logging", "warn").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page(&system, Method::GET, "/logging", "").await.1, "warn\n", "reading changes nothing");
}

#[tokio::test]
async fn a_browser_on_another_site_changes_nothing() {
    let system = System::start(&[&DOCUMENT]).await;
    let before = page(&system, Method::GET, "/log", "").await;
    for (method, path) in [(Method::POST, "/logging"), (Method::PUT, "/log"), (Method::POST, "/nothing")] {
        let request = Request::builder().method(method).uri(path).header("origin", "https://evil.example");
        let (status, text) = page_with(&system, request, "trace").await;
        assert_eq!((status, text.as_str()), (StatusCode::FORBIDDEN, "not from a browser\n"), "{path}");
    }
    assert_eq!(page(&system, Method::GET, "/log", "").await, before);
    let request = Request::builder().uri("/log").header("origin", "https://evil.example");
    assert_eq!(page_with(&system, request, "").await.0, StatusCode::OK, "reading changes nothing");
}
