//! A client that sends what it is told, over HTTP/1.1 or HTTP/2, and says how the answer ended.
use std::{io::Write as _, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
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
    let answered = begin(address, version, {
        if version == 2 {
            *request.version_mut() = Version::HTTP_2;
        }
        request
    });
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

/// Sends a request over a connection of its own and waits for the head of the answer.
pub(crate) async fn begin<B>(address: SocketAddr, version: u8, request: Request<B>) -> hyper::Result<Response<Incoming>>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("the edge listens"));
    if version == 2 {
        let connected = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
        let (mut sender, driver) = connected.expect("the edge speaks HTTP/2");
        tokio::spawn(driver);
        return sender.send_request(request).await;
    }
    let (mut sender, driver) = hyper::client::conn::http1::handshake(stream).await.expect("the edge speaks HTTP/1.1");
    tokio::spawn(driver);
    sender.send_request(request).await
}

/// A request to a path, as raw as `http` lets it be.
pub(crate) fn request(address: SocketAddr, version: u8, method: &str, target: &str) -> http::request::Builder {
    let method: Method = method.parse().expect("a method");
    let uri =
        if version == 2 && target.starts_with('/') { format!("http://{address}{target}") } else { target.to_owned() };
    let builder = Request::builder().method(method).uri(uri);
    if version == 2 { builder } else { builder.header("host", address.to_string()) }
}

/// A message with the head of its frame: flags and length.
pub(crate) fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    [&[flags][..], &length, message].concat()
}

/// The frames of a body: flags and data.
pub(crate) fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        found.push((*flags, rest[..length].to_vec()));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "a frame is cut");
    found
}

/// Compressed.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

/// What was compressed so.
pub(crate) fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    decoder.write_all(data).expect("gzip");
    decoder.finish().expect("whole gzip")
}

/// In any coding that a request may have. Brotli is not compressed, only framed: nobody here writes it, and what is tested is
/// who reads it.
pub(crate) fn coded(coding: &str, data: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(data),
        "zstd" => zstd::encode_all(data, 1).expect("memory"),
        "br" => brotli(data),
        other => panic!("the coding {other} is not known here; write gzip, zstd or br"),
    }
}

/// One uncompressed meta-block (RFC 7932 section 9.2) with a window of 22 bits, then the last and empty one.
fn brotli(data: &[u8]) -> Vec<u8> {
    let length = data.len().checked_sub(1).and_then(|length| u16::try_from(length).ok()).expect("1 to 65536 bytes");
    let bits = 0x0b | (u32::from(length) << 7) | (1 << 23);
    [&bits.to_le_bytes()[..3], data, &[0x03]].concat()
}

/// A request whose body is sent piece by piece, and the answer that comes meanwhile.
pub(crate) struct Talk {
    up: Option<tokio::sync::mpsc::Sender<Result<http_body::Frame<Bytes>, std::io::Error>>>,
    answer: tokio::task::JoinHandle<Response<Incoming>>,
}

/// The answer of a [`Talk`].
pub(crate) struct Heard {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    /// What was read and not yet asked for.
    pub(crate) rest: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    pub(crate) broken: bool,
}

impl Talk {
    /// Begins a request over HTTP/1.1 or HTTP/2.
    pub(crate) async fn begin(address: SocketAddr, version: u8, request: http::request::Builder) -> Self {
        let (up, pieces) = tokio::sync::mpsc::channel(1);
        let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(pieces));
        let request = request.body(body).expect("a request");
        let answer = tokio::spawn(async move { begin(address, version, request).await.expect("the edge answers") });
        Self { up: Some(up), answer }
    }

    /// Sends a piece of the body.
    pub(crate) async fn say(&self, piece: impl Into<Bytes>) {
        let frame = http_body::Frame::data(piece.into());
        let sent = self.up.as_ref().expect("the body is open").send(Ok(frame));
        crate::soon(sent).await.expect("the connection stands");
    }

    /// Ends the body.
    pub(crate) fn finish(&mut self) {
        self.up = None;
    }

    /// Ends the body with trailers.
    pub(crate) async fn finish_with<const N: usize>(&mut self, trailers: [(&'static str, &'static str); N]) {
        let trailers =
            trailers.map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        let frame = http_body::Frame::trailers(HeaderMap::from_iter(trailers));
        let sent = self.up.take().expect("the body is open");
        crate::soon(sent.send(Ok(frame))).await.expect("the connection stands");
    }

    /// Waits for the head of the answer; the body stays open.
    pub(crate) async fn heard(&mut self) -> Heard {
        let (head, body) = crate::soon(&mut self.answer).await.expect("no panic").into_parts();
        let (trailers, broken) = (HeaderMap::new(), false);
        Heard { status: head.status, headers: head.headers, body, rest: Vec::new(), trailers, broken }
    }
}

impl Heard {
    /// Reads one more piece; false at the end.
    pub(crate) async fn more(&mut self) -> bool {
        match crate::soon(self.body.frame()).await.map(|frame| frame.map(http_body::Frame::into_data)) {
            None => return false,
            Some(Ok(Ok(data))) => self.rest.extend_from_slice(&data),
            Some(Ok(Err(frame))) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
            Some(Err(_)) => {
                self.broken = true;
                return false;
            }
        }
        true
    }

    /// Takes a line.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return String::from_utf8(line).expect("text").trim_end().to_owned();
            }
            assert!(self.more().await, "the answer ended before a line did: {:?}", String::from_utf8_lossy(&self.rest));
        }
    }

    /// Takes all that comes.
    pub(crate) async fn all(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.rest)).expect("text")
    }
}
