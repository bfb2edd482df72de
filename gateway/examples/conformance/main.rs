//! The program that protobuf's conformance runner tests when it looks through a running edge: two edges on sockets of their
//! own, one that refuses unknown fields and one that ignores them, before an upstream that speaks gRPC frames.
//!
//! Usage: `edge-conformance SET`, where SET is the descriptor set of `edge.proto` with all imports; `./dev conformance` does all.
#[path = "../../../crates/transcode/examples/conformance/protocol.rs"]
mod protocol;
mod upstream;

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context as _, Result, anyhow, bail};
use api::{Clock, Ids};
use authz::{Keys, Revocations, Verifier};
use bytes::Bytes;
use gateway::{Gateway, Parts};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mesh::client::{Mesh, Transport};
use protocol::{Answer, IGNORE_UNKNOWN, JSON, Payload, WIRE};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Http = Client<HttpConnector, Full<Bytes>>;

fn main() -> Result<()> {
    let set = std::env::args().nth(1).context("name the descriptor set of edge.proto")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("edge.bin");
    std::fs::copy(&set, &file).context(set)?;
    let (strict, lenient) = runtime.block_on(async {
        let upstream = upstream::start().await?;
        anyhow::Ok((edge(&file, upstream, false).await?, edge(&file, upstream, true).await?))
    })?;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    protocol::serve(|message, request| {
        let address = if request.category == IGNORE_UNKNOWN { lenient } else { strict };
        let Some(payload) = &request.payload else { return Ok(Answer::Skipped("no payload".to_owned())) };
        runtime.block_on(answer(&http, address, message, (payload, request.output)))
    })
}

/// Starts an edge; says where it listens.
async fn edge(file: &Path, upstream: SocketAddr, ignore_unknown: bool) -> Result<SocketAddr> {
    let clock = Clock::default();
    let mut settings = mesh::Settings { mode: mesh::Mode::Sidecar, ..mesh::Settings::default() };
    settings.addresses.insert("testee".to_owned(), vec![upstream.to_string()]);
    let verifier = Verifier::new("gateway", Keys::default(), Revocations::new(clock.clone()), clock.clone());
    let parts = Parts {
        mesh: Mesh::new("gateway", Transport::Sidecar, Arc::new(verifier), settings),
        // Nobody listens there: limits are the edge's own.
        cache: cache::Cache::connect(&cache::Settings::new("redis://127.0.0.1:1", "edge")).await?,
        clock,
        ids: Ids::default(),
        public_url: String::new(),
        data_dir: file.parent().context("a file stands in a folder")?.to_owned(),
    };
    let settings = format!(
        "ignore_unknown = {ignore_unknown}\nrate_address = 1000000\nrate_write = 1000000\n[schema]\ncompiled_in = false\n\
         sources = [{{ upstream = \"testee\", file = {file:?}, access = \"public\" }}]\n"
    );
    let gateway = Gateway::new(parts, &settings).map_err(|error| anyhow!("{error}"))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    #[expect(clippy::disallowed_methods, reason = "it serves until the process ends")]
    tokio::spawn(async move { gateway.serve(listener, CancellationToken::new()).await });
    Ok(address)
}

async fn answer(http: &Http, edge: SocketAddr, message: &str, request: (&Payload, i32)) -> Result<Answer> {
    let json = |text: &str| (format!("/echo/{message}"), "application/json", Bytes::from(text.to_owned()));
    let out = |wire: &[u8]| (format!("/out/{message}"), "application/x-protobuf", Bytes::copy_from_slice(wire));
    let into = |text: Bytes| (format!("/in/{message}"), "application/json", text);
    Ok(match request {
        (Payload::Json(text), JSON) => shown(post(http, edge, json(text)).await?),
        (Payload::Wire(wire), JSON) => shown(post(http, edge, out(wire)).await?),
        (Payload::Json(text), WIRE) => binary(post(http, edge, into(text.clone().into())).await?),
        (Payload::Wire(wire), WIRE) => match post(http, edge, out(wire)).await? {
            Ok(text) => binary(post(http, edge, into(text)).await?),
            // To whoever wants wire, what cannot be printed could not be read.
            Err(refused) => Answer::ParseError(refused.1),
        },
        _ => Answer::Skipped("neither JSON nor wire".to_owned()),
    })
}

fn shown(reply: Result<Bytes, (StatusCode, String)>) -> Answer {
    match reply {
        Ok(body) => Answer::Json(String::from_utf8_lossy(&body).into_owned()),
        Err(refused) => failed(refused),
    }
}

fn binary(reply: Result<Bytes, (StatusCode, String)>) -> Answer {
    match reply {
        Ok(body) => Answer::Wire(body.to_vec()),
        Err(refused) => failed(refused),
    }
}

/// Whose fault it is stands in the status.
fn failed((status, body): (StatusCode, String)) -> Answer {
    if status.is_client_error() { Answer::ParseError(body) } else { Answer::SerializeError(body) }
}

/// The body of a success, or status and body of a refusal.
async fn post(
    http: &Http,
    edge: SocketAddr,
    (path, kind, body): (String, &str, Bytes),
) -> Result<Result<Bytes, (StatusCode, String)>> {
    // An empty body is the empty message at the edge; to the suite it is no JSON.
    let body = if body.is_empty() && kind == "application/json" { Bytes::from_static(b" ") } else { body };
    let request = Request::post(format!("http://{edge}{path}")).header("content-type", kind).body(Full::new(body))?;
    let response = http.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    match status {
        StatusCode::OK => Ok(Ok(body)),
        StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR => {
            Ok(Err((status, String::from_utf8_lossy(&body).into_owned())))
        }
        other => bail!("{path}: {other}: {}", String::from_utf8_lossy(&body)),
    }
}
