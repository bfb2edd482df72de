//! Fake servers on pipes, each doing what its test says, and a mesh that balances over them.
use std::{
    io,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{CallContext, Error};
use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming as HyperBody, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower::ServiceExt;

use super::super::*;
use crate::frame;

/// May be repeated.
pub(super) const READ: &str = "/workos.file.v1.UploadService/GetUpload";
/// May be repeated only if it reached nobody.
pub(super) const ONCE: &str = "/workos.auth.v1.LoginService/StartLogin";

/// What a server does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Answers after this time.
    Answer(Duration),
    /// Answers with a code.
    Code(&'static str),
    /// Answers nothing.
    Hang,
    /// Resets the stream.
    Reset(h2::Reason),
    /// Begins an answer and never ends it properly.
    BreakOff,
    /// Begins to answer, and says after this time that the call had no more.
    Expire(Duration),
    /// Refuses because of a limit.
    Refuse(api::CommonReason),
    /// Answers without gRPC, as a proxy does.
    Http(u16),
}

pub(super) const OK: Act = Act::Answer(Duration::ZERO);
pub(super) const AWAY: Act = Act::Code("14");

/// One fake server. Dropping it ends its connections.
pub(super) struct Peer {
    pub(super) script: Arc<Script>,
    pub(super) goodbye: Mutex<CancellationToken>,
    pub(super) _tasks: JoinSet<()>,
}

pub(super) struct Script {
    pub(super) act: Mutex<Act>,
    /// Of checks; the byte is the status of `grpc.health.v1`.
    pub(super) health: Mutex<Result<u8, Act>>,
    pub(super) calls: AtomicUsize,
    pub(super) checks: AtomicUsize,
    pub(super) connections: AtomicUsize,
    pub(super) goodbye: Mutex<CancellationToken>,
}

impl Peer {
    pub(super) fn new(network: &pipe::Network, name: &str, act: Act) -> Self {
        let mut listener = network.listen(name);
        let (script, mut tasks) = (Script::new(act), JoinSet::new());
        let served = Arc::clone(&script);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Some((stream, _)) = listener.accept(|_| None).await {
                connections.spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self { goodbye: Mutex::new(script.goodbye()), script, _tasks: tasks }
    }

    pub(super) fn now(&self, act: Act) {
        *self.script.act.lock().expect("no panic") = act;
    }

    pub(super) fn health(&self, health: Result<u8, Act>) {
        *self.script.health.lock().expect("no panic") = health;
    }

    pub(super) fn calls(&self) -> usize {
        self.script.calls.load(Ordering::Relaxed)
    }

    pub(super) fn checks(&self) -> usize {
        self.script.checks.load(Ordering::Relaxed)
    }

    /// GOAWAY on every connection that is open.
    pub(super) fn say_goodbye(&self) {
        let fresh = CancellationToken::new();
        *self.script.goodbye.lock().expect("no panic") = fresh.clone();
        std::mem::replace(&mut *self.goodbye.lock().expect("no panic"), fresh).cancel();
    }
}

impl Script {
    pub(super) fn new(act: Act) -> Arc<Self> {
        let (calls, checks, connections) = Default::default();
        let (act, health, goodbye) = (Mutex::new(act), Mutex::new(Ok(1)), Mutex::default());
        Arc::new(Self { act, health, calls, checks, connections, goodbye })
    }

    pub(super) fn goodbye(&self) -> CancellationToken {
        self.goodbye.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn answer(&self, request: Request<HyperBody>) -> Result<Response<Body>, h2::Error> {
        if request.uri().path() == "/grpc.health.v1.Health/Check" {
            self.checks.fetch_add(1, Ordering::Relaxed);
            let health = *self.health.lock().expect("no panic");
            return match health {
                Ok(status) => Ok(message(vec![8, status])),
                Err(act) => act.done().await,
            };
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let act = *self.act.lock().expect("no panic");
        // The request is read first, as a server does.
        let _ = request.into_body().collect().await;
        act.done().await
    }
}

impl Act {
    pub(super) async fn done(self) -> Result<Response<Body>, h2::Error> {
        match self {
            Self::Answer(time) => {
                tokio::time::sleep(time).await;
                Ok(message(Vec::new()))
            }
            Self::Code(code) => Ok(response(Body::empty(), &[("grpc-status", code)])),
            Self::Expire(time) => Ok(ending(Vec::new(), async move {
                tokio::time::sleep(time).await;
                "4"
            })),
            Self::Refuse(reason) => {
                let error = Error::new(api::Code::Unavailable, reason, "full");
                Ok(Status::from(error).into_http())
            }
            Self::Hang => std::future::pending().await,
            Self::Reset(reason) => Err(reason.into()),
            Self::BreakOff => Ok(response(Body::new(Full::new(frame::framed(&Bytes::new()))), &[])),
            Self::Http(status) => {
                let mut response = response(Body::empty(), &[]);
                *response.status_mut() = status.try_into().expect("a status");
                Ok(response)
            }
        }
    }
}

pub(super) fn message(message: Vec<u8>) -> Response<Body> {
    ending(message, std::future::ready("0"))
}

/// One message, and then the status.
fn ending(message: Vec<u8>, status: impl Future<Output = &'static str> + Send + 'static) -> Response<Body> {
    let trailers = async {
        let status = HeaderValue::from_static(status.await);
        Some(Ok(HeaderMap::from_iter([("grpc-status".parse().expect("a name"), status)])))
    };
    let body = Full::new(frame::framed(&Bytes::from(message)));
    response(Body::new(body.with_trailers(Box::pin(trailers))), &[])
}

pub(super) fn response(body: Body, headers: &[(&'static str, &'static str)]) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    for (name, value) in headers {
        response.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    response
}

pub(super) async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, script: Arc<Script>) {
    script.connections.fetch_add(1, Ordering::Relaxed);
    let goodbye = script.goodbye();
    let service = service_fn(move |request| {
        let script = Arc::clone(&script);
        async move { script.answer(request).await }
    });
    let http = http2::Builder::new(TokioExecutor::new());
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = goodbye.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A mesh with one upstream, `file`, of several fake servers.
pub(super) struct World {
    pub(super) network: pipe::Network,
    pub(super) mesh: Mesh,
    pub(super) upstream: Arc<Upstream>,
    pub(super) peers: Vec<Peer>,
}

pub(super) struct Unneeded;

impl Narrower for Unneeded {
    fn narrow(&self, token: &Bytes, _: &'static Method, _: Option<&str>) -> Result<Bytes, Error> {
        Ok(token.clone())
    }
}

impl World {
    pub(super) fn new(acts: &[Act], settings: Settings) -> Self {
        Self::with(acts, settings, Supervision { ejects: true, checks: false })
    }

    pub(super) fn with(acts: &[Act], settings: Settings, supervision: Supervision) -> Self {
        let network = pipe::network();
        let names: Vec<_> = (0..acts.len()).map(|number| format!("peer-{number}")).collect();
        let peers = acts.iter().zip(&names).map(|(act, name)| Peer::new(&network, name, *act)).collect();
        let addresses = names.iter().map(|name| Address::Pipe(network.connector(name, "gateway")));
        let upstream = Upstream::fixed("file", &Arc::new(settings.clone()), supervision, addresses);
        let mesh = mesh_with(&upstream, settings, Transport::Process(network.clone()));
        Self { network, mesh, upstream, peers }
    }

    pub(super) async fn call(&self) -> Result<(), Error> {
        call(&self.mesh, READ, Duration::from_secs(15)).await
    }

    /// So many calls at the same time; gives the number of those that succeeded.
    pub(super) async fn burst(&self, count: usize) -> usize {
        join_all((0..count).map(|_| self.call())).await.iter().filter(|result| result.is_ok()).count()
    }

    pub(super) fn calls(&self) -> Vec<usize> {
        self.peers.iter().map(Peer::calls).collect()
    }

    pub(super) fn cluster(&self) -> Cluster {
        self.mesh.clusters().pop().expect("there is one")
    }

    /// Waits for a condition of the snapshot.
    pub(super) async fn until(&self, what: impl Fn(&Cluster) -> bool) {
        until(|| what(&self.cluster())).await;
    }
}

pub(super) fn mesh_with(upstream: &Arc<Upstream>, settings: Settings, transport: Transport) -> Mesh {
    let mesh = Mesh::new("gateway", transport, Arc::new(Unneeded), settings);
    mesh.0.upstreams.lock().expect("no panic").insert("file".to_owned(), Arc::clone(upstream));
    mesh
}

/// Lets time pass: the paused clock of the test jumps, nobody waits. For tests that nothing happens in that time.
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits for a condition, on the paused clock.
pub(super) async fn until(what: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen");
}

/// One call with a whole answer.
pub(super) async fn call(mesh: &Mesh, path: &'static str, time: Duration) -> Result<(), Error> {
    let body = Body::new(Full::new(frame::framed(&Bytes::new())).map_err(|never| match never {}));
    let mut request = Request::post(path).body(body).expect("a request");
    deadline::write(request.headers_mut(), time);
    let channel = mesh.as_workload("file", &CallContext::default());
    let response = channel.oneshot(request).await.unwrap_or_else(|never| match never {});
    if let Some(status) = Status::from_header_map(response.headers()) {
        return Err(Error::from_status(&status));
    }
    let body = response.into_body().collect().await.map_err(|status| Error::from_status(&status))?;
    let status = body.trailers().and_then(Status::from_header_map);
    match status.ok_or_else(|| Error::fault("no status")) {
        Ok(status) if status.code() == tonic::Code::Ok => Ok(()),
        Ok(status) => Err(Error::from_status(&status)),
        Err(error) => Err(error),
    }
}

pub(super) fn once() -> crate::settings::Retries {
    crate::settings::Retries { tries: 1, ..Default::default() }
}

/// A listener whose connections are never taken.
pub(super) fn mute(network: &pipe::Network, name: &str) -> pipe::Listener {
    network.listen(name)
}

/// A name that does not stand for an address.
pub(super) fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such name")
}
