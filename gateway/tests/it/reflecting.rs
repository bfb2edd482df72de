//! An upstream that tells its schema by reflection, in one version of the protocol or the other, and can change it while it
//! runs. Every call gets an empty message.
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use chassis::reflection::Reflection;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{body::Body, service::Routes};
use tower::ServiceExt;

/// The upstream; it stops when this is dropped.
pub(crate) struct Reflecting {
    pub(crate) address: SocketAddr,
    routes: Arc<Mutex<Routes>>,
    _serving: JoinSet<()>,
}

/// Which version it knows.
#[derive(Clone, Copy)]
pub(crate) enum Version {
    V1,
    V1Alpha,
}

impl Reflecting {
    /// Tells this set, and lists these services.
    pub(crate) async fn start(version: Version, set: &[u8], listed: &[&str]) -> Self {
        let routes = Arc::new(Mutex::new(routes(version, set, listed)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (mut serving, told) = (JoinSet::new(), routes.clone());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let told = told.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(told.clone(), request));
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, routes, _serving: serving }
    }

    /// From now on it tells this.
    pub(crate) fn tells(&self, version: Version, set: &[u8], listed: &[&str]) {
        *self.routes.lock().expect("no panic holds it") = routes(version, set, listed);
    }
}

fn routes(version: Version, set: &[u8], listed: &[&str]) -> Routes {
    let listed = listed.iter().map(|name| (*name).to_owned()).collect();
    let reflection = Reflection::new(&bytes::Bytes::copy_from_slice(set), Some(listed)).expect("it is a set");
    match version {
        Version::V1 => Routes::new(reflection.v1()),
        Version::V1Alpha => Routes::new(reflection.v1alpha()),
    }
}

async fn answer(routes: Arc<Mutex<Routes>>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path().starts_with("/grpc.reflection.") {
        let routes = routes.lock().expect("no panic holds it").clone();
        return routes.oneshot(request.map(Body::new)).await;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    let body = StreamBody::new(futures::stream::iter(frames));
    let mut response = Response::new(Body::new(http_body_util::BodyExt::map_err(body, |never| match never {})));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}
