//! A client that sends what it is told, over HTTP/1.1 or HTTP/2, and says how the answer ended.
use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Longest wait for a whole answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
    /// The body broke off.
    pub(crate) broken: bool,
}

/// Sends one request over a connection of its own.
pub(crate) async fn send(address: SocketAddr, version: u8, mut request: Request<Full<Bytes>>) -> Reply {
    let stream = TcpStream::connect(address).await.expect("the edge listens");
    let answered = async {
        if version == 2 {
            *request.version_mut() = Version::HTTP_2;
            let (mut sender, driver) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .expect("the edge speaks HTTP/2");
            tokio::spawn(driver);
            sender.send_request(request).await
        } else {
            let (mut sender, driver) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
            tokio::spawn(driver);
            sender.send_request(request).await
        }
    };
    let read = async {
        let response = answered.await.expect("the edge answers");
        let (head, mut body) = response.into_parts();
        let (mut data, mut trailers, mut broken) = (Vec::new(), HeaderMap::new(), false);
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(piece)) => data.extend_from_slice(&piece),
                Ok(Err(frame)) => trailers.extend(frame.into_trailers().unwrap_or_default()),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        Reply { status: head.status, headers: head.headers, body: data.into(), trailers, broken }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the edge answers in time")
}

/// A request to a path, as raw as `http` lets it be.
pub(crate) fn request(address: SocketAddr, version: u8, method: &str, target: &str) -> http::request::Builder {
    let method: Method = method.parse().expect("a method");
    let uri =
        if version == 2 && target.starts_with('/') { format!("http://{address}{target}") } else { target.to_owned() };
    let builder = Request::builder().method(method).uri(uri);
    if version == 2 { builder } else { builder.header("host", address.to_string()) }
}
