//! The Temporal dev server: one process, its state in one SQLite file (`up`) or in memory (tests).

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::found::Program;
use crate::guard::{Order, Signal, Stop};
use crate::place::{Place, check_version};
use crate::probe::Probe;
use crate::settings::Mode;
use crate::supervise::{Plan, environment};

/// The namespace of all our workflows.
pub(crate) const NAMESPACE: &str = "workos";
const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";

/// How to start it. `pages`: port of its web pages.
pub(crate) fn plan(
    mode: Mode,
    place: &Place,
    program: Program,
    port: u16,
    pages: Option<u16>,
) -> Result<Plan, EngineError> {
    crate::account::make_passable(&place.data)?;
    check_version(Engine::Temporal, place, &program)?;
    let mut arguments: Vec<String> =
        ["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn", "--color", "never"]
            .map(str::to_owned)
            .to_vec();
    arguments.extend(["--port".to_owned(), port.to_string(), "--namespace".to_owned(), NAMESPACE.to_owned()]);
    arguments.extend(["--disable-config-file".to_owned(), "--disable-config-env".to_owned()]);
    match pages {
        Some(pages) => arguments.extend(["--ui-port".to_owned(), pages.to_string()]),
        None => arguments.push("--headless".to_owned()),
    }
    if mode == Mode::Up {
        let file = place.data.join("temporal.db").display().to_string();
        arguments.extend(["--db-filename".to_owned(), file]);
        // Full: what Temporal acknowledged is on disk; WAL: readers do not stop the writer.
        for pragma in ["journal_mode=WAL", "synchronous=FULL"] {
            arguments.extend(["--sqlite-pragma".to_owned(), pragma.to_owned()]);
        }
    }
    let order = Order {
        name: "workos-temporal".to_owned(),
        program: program.path.clone(),
        arguments,
        environment: environment(&place.data),
        folder: place.data.clone(),
        account: None,
        log: place.log.clone(),
        lock: Some(place.lock.clone()),
        remove: place.remove.clone(),
        stops: vec![Stop { signal: Signal::Term, in_order_seconds: 15, orphaned_seconds: 3 }],
    };
    let probe = Probe::Temporal { namespace: NAMESPACE.to_owned() };
    Ok(Plan { engine: Engine::Temporal, version: program.version, port, order, probe })
}

/// `DescribeNamespaceRequest`, the one field that is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct DescribeNamespace {
    #[prost(string, tag = "1")]
    namespace: String,
}

/// The answer is not looked at: that there is one says that the namespace exists.
#[derive(Clone, PartialEq, prost::Message)]
struct Described {}

/// Health SERVING and the namespace described.
pub(crate) async fn probe(port: u16, namespace: &str) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let answer =
        HealthClient::new(channel.clone()).check(request).await.map_err(|status| status.message().to_owned())?;
    if answer.into_inner().status() != ServingStatus::Serving {
        return Err("not serving yet".to_owned());
    }
    described(channel, namespace).await
}

async fn described(channel: Channel, namespace: &str) -> Result<(), String> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let path = PathAndQuery::from_static("/temporal.api.workflowservice.v1.WorkflowService/DescribeNamespace");
    let request = tonic::Request::new(DescribeNamespace { namespace: namespace.to_owned() });
    let codec = ProstCodec::<DescribeNamespace, Described>::default();
    client.unary(request, path, codec).await.map(drop).map_err(|status| status.message().to_owned())
}
