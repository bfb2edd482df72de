//! The TLS listener beside the plain one: ALPN, and certificates that are replaced while it runs.
use std::{net::SocketAddr, path::Path, sync::Arc};

use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{client, soon, upstream::Answer, world::World};

/// Writes a signer, once, and a new certificate by it.
fn certify(folder: &Path) {
    let trust = mesh::identity::Trust::new("workos.local", "workos");
    mesh::tls::certificates(folder, &["gateway"], &trust, api::Clock::default().now()).expect("certificates");
}

async fn connect(address: SocketAddr, ca: &[u8], protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.expect("PEM")).expect("a certificate");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn leaf(folder: &Path) -> CertificateDer<'static> {
    let pem = std::fs::read(folder.join("gateway.pem")).expect("it was written");
    CertificateDer::from_pem_slice(&pem).expect("PEM")
}

struct Secure {
    world: World,
    folder: tempfile::TempDir,
    address: SocketAddr,
    ca: Vec<u8>,
    stop: CancellationToken,
}

async fn start() -> Secure {
    start_with("").await
}

async fn start_with(settings: &str) -> Secure {
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path());
    let file = |name: &str| folder.path().join(name);
    let (pem, key) = (file("gateway.pem"), file("gateway-key.pem"));
    let settings = format!("{settings}\ntls.certificate = {pem:?}\ntls.key = {key:?}");
    let world = World::start(&settings).await;
    world.upstream.answers(Answer::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (gateway, stop) = (world.gateway.clone(), CancellationToken::new());
    let shutdown = stop.clone();
    tokio::spawn(async move { gateway.serve_tls(listener, shutdown).await });
    let ca = std::fs::read(file("ca.pem")).expect("it was written");
    Secure { world, folder, address, ca, stop }
}

#[tokio::test]
async fn gw_tls_both_versions_of_http_are_negotiated() {
    let secure = start().await;
    let get = |uri: String| {
        Request::get(uri).header("host", "localhost").body(Empty::<bytes::Bytes>::new()).expect("a request")
    };
    let stream = connect(secure.address, &secure.ca, &[b"h2", b"http/1.1"]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(driver);
    let response =
        soon(sender.send_request(get("https://localhost/v1/query?s=a".to_owned()))).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));

    let stream = connect(secure.address, &secure.ca, &[b"http/1.1"]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(driver);
    let response = soon(sender.send_request(get("/v1/query?s=a".to_owned()))).await.expect("an answer");
    assert_eq!(soon(response.into_body().collect()).await.expect("a body").to_bytes(), r#"{"s":"a"}"#);
    secure.stop.cancel();
}

#[tokio::test]
async fn gw_tls_a_replaced_certificate_is_served_without_a_restart() {
    let secure = start().await;
    let first = leaf(secure.folder.path());
    let served = async || {
        let stream = connect(secure.address, &secure.ca, &[b"h2"]).await.expect("TLS");
        stream.get_ref().1.peer_certificates().expect("a chain")[0].clone().into_owned()
    };
    assert_eq!(served().await, first);
    certify(secure.folder.path());
    let second = leaf(secure.folder.path());
    assert_ne!(first, second);
    soon(async {
        while served().await != second {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn gw_tls_connections_are_counted_over_all_sockets() {
    let secure = start_with("connections = 1").await;
    let stream = connect(secure.address, &secure.ca, &[b"http/1.1"]).await.expect("TLS");
    let plain = secure.world.address;
    let request = client::request(plain, 1, "GET", "/v1/query?s=a").body(Full::default()).expect("a request");
    let mut answer = tokio::spawn(client::send(plain, 1, request));
    let page = http::Request::get("/listeners").body(bytes::Bytes::new()).expect("a request");
    let page: Value = serde_json::from_slice(secure.world.gateway.admin(&page).body()).expect("JSON");
    let shown = |number: usize| (page[number]["name"].clone(), page[number]["address"].clone());
    assert_eq!(shown(0), (json!("http"), json!(plain.to_string())));
    assert_eq!(shown(1), (json!("https"), json!(secure.address.to_string())));
    assert_eq!(page[0]["connections"], json!({"max": 1, "open": 1}));
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(300), &mut answer).await;
    assert!(waiting.is_err(), "the only place is taken at the other socket");
    drop(stream);
    assert_eq!(soon(answer).await.expect("no panic").status, 200);
}

#[tokio::test]
async fn certificates_in_force_are_shown_without_their_keys() {
    let secure = start().await;
    let page = http::Request::get("/certs").body(bytes::Bytes::new()).expect("a request");
    let shown = || -> Value { serde_json::from_slice(secure.world.gateway.admin(&page).body()).expect("JSON") };
    let before = shown();
    let leaf = &before["https"][0];
    assert_eq!(leaf["path"], json!(secure.folder.path().join("gateway.pem").display().to_string()));
    assert!(
        leaf["not_before"].as_i64() <= before["now"].as_i64() && before["now"].as_i64() < leaf["not_after"].as_i64()
    );
    let names = leaf["names"].as_array().expect("a list");
    assert!(names.contains(&json!("localhost")) && names.contains(&json!("127.0.0.1")), "{names:?}");
    assert!(!before.to_string().contains("PRIVATE"));
    assert_eq!(before["mesh"], json!([]), "a sidecar shows its own");
}

#[tokio::test]
async fn gw_tls_settings_name_both_files_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path());
    let file = folder.path().join("gateway.pem");
    let refused = crate::world::refused(&format!("tls.certificate = {file:?}")).await;
    assert!(refused.contains("set both"), "{refused}");
    let refused = crate::world::refused(&format!("tls.certificate = {file:?}\ntls.key = \"/nothing.pem\"")).await;
    assert!(refused.contains("/nothing.pem"), "{refused}");
}
