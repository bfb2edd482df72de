//! The upstream of `bench gateway`: gRPC over plain HTTP/2 that sends each message back as it came.
use std::{convert::Infallible, net::SocketAddr};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

/// Serves until it is dropped.
pub(crate) struct Echo {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Echo {
    /// Starts on a free port.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                http.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 22);
                let connection = http.serve_connection(TokioIo::new(stream), service_fn(echo));
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Ok(Self { address, _serving: serving })
    }
}

async fn echo(
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    let message = request.into_body().collect().await?.to_bytes();
    let trailers =
        HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(message).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}
