//! An OTLP collector that keeps what it is sent, so that a test can look at exported traces as they went over the wire.
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{rt::TokioExecutor, rt::TokioIo, server::conn::auto};
use tokio::{net::TcpListener, task::JoinSet};

type Seen = Arc<Mutex<Vec<(String, Bytes)>>>;

/// The collector; it ends with its value.
#[derive(Debug)]
pub struct Collector {
    url: String,
    seen: Seen,
    _serving: JoinSet<()>,
}

impl Collector {
    /// On a free port of loopback.
    ///
    /// # Panics
    /// When loopback has none.
    pub async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let (seen, mut serving) = (Seen::default(), JoinSet::new());
        serving.spawn(collect(listener, Arc::clone(&seen)));
        Collector { url, seen, _serving: serving }
    }

    /// Where to send to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Paths and bodies of all that came.
    #[must_use]
    pub fn seen(&self) -> Vec<(String, Bytes)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes whatever comes and answers gRPC OK with an empty message.
async fn collect(listener: TcpListener, seen: Seen) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        let answer = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let path = request.uri().path().to_owned();
                let body =
                    request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((path, body));
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                let body = Full::new(Bytes::from_static(&[0; 5]))
                    .with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
                let response = http::Response::builder().header("content-type", "application/grpc").body(body);
                Ok::<_, Infallible>(response.expect("a valid response"))
            }
        });
        connections.spawn(async move {
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await.map_err(drop)
        });
    }
}
