//! What a host refuses, what it waits for, and who may call what it mounts.
use std::time::Duration;

use chassis::{BootError, Config, ConfigError, Engine, Host, Kit, Mount, Parts, ServiceSpec};
use futures::future::BoxFuture;
use proto::{
    Role,
    events::v1::{GetRelayStatusRequest, event_admin_service_client::EventAdminServiceClient},
};
use testkit::{Proxy, System, eventually};

use crate::service::DOCUMENT;

const FOREIGN: ServiceSpec = ServiceSpec::new("search", foreign).without_events();
const BROKEN: ServiceSpec = ServiceSpec::new("search", broken).without_events();
const TIRED: ServiceSpec = ServiceSpec::new("search", tired).without_events();

/// Mounts a service that the contract does not have.
fn foreign(_kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    let (_, health) = tonic_health::server::health_reporter();
    mount.rpc(health);
    Box::pin(async { Ok(()) })
}

fn broken(_kit: Kit, _mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async { panic!("the index is gone") })
}

/// Waits for something, then has a task that ends unasked.
fn tired(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    let index = mount.ready("index");
    kit.tasks().spawn("open the index", |_| async move { index.done() });
    mount.task("merge", |_| async {});
    Box::pin(async { Ok(()) })
}

/// A configuration on the engines of a running system.
fn config_of(system: &System) -> Config {
    let mut config = Config::defaults().expect("valid");
    let folder = system.data_dir().join("second").display().to_string();
    for (key, value) in
        [("admin.listen", "127.0.0.1:0"), ("mesh.mode", "process"), ("lifecycle.drain", "10s"), ("data_dir", &folder)]
    {
        config.set(key, value).expect(key);
    }
    config.set("secret_key", "testkit secret that protects nothing at all").expect("long enough");
    for engine in [Engine::Postgres, Engine::Redis, Engine::Nats] {
        config.set(&format!("engines.{}.url", engine.as_str()), system.engine_url(engine)).expect("known");
    }
    config
}

async fn start(spec: &'static ServiceSpec, config: Config) -> Host {
    Host::start(&[spec], config, Parts::default()).await.unwrap_or_else(|error| panic!("{error:#}"))
}

#[tokio::test]
async fn an_operator_may_and_nobody_else() {
    let system = System::start(&[&DOCUMENT]).await;
    let ask = async |channel| {
        EventAdminServiceClient::new(channel).get_relay_status(GetRelayStatusRequest {}).await.map(drop)
    };
    ask(system.operator().channel("document")).await.expect("the operator may");
    let owner = system.organization().user(Role::Owner);
    assert_eq!(
        ask(owner.channel("document")).await.map_err(|status| status.code()),
        Err(tonic::Code::PermissionDenied)
    );
    assert_eq!(
        ask(system.anonymous().channel("document")).await.map_err(|status| status.code()),
        Err(tonic::Code::Unauthenticated)
    );
}

#[tokio::test]
async fn a_missing_address_is_a_matter_of_configuration() {
    let error = Host::start(&[&DOCUMENT], Config::defaults().expect("valid"), Parts::default())
        .await
        .err()
        .expect("no engines");
    assert!(error.downcast_ref::<ConfigError>().is_some(), "{error:#}");
    assert!(error.to_string().contains("WORKOS__ENGINES__REDIS__URL"), "{error}");
}

#[tokio::test]
async fn a_service_outside_the_contract_stops_the_start_and_is_named() {
    let system = System::start(&[&DOCUMENT]).await;
    let host = start(&FOREIGN, config_of(&system)).await;
    let error = host.ready().await.expect_err("it is in no .proto");
    assert!(format!("{error:#}").contains("grpc.health.v1.Health"), "{error:#}");
}

#[tokio::test]
async fn a_panic_in_the_start_function_breaks_the_process_with_its_text() {
    let system = System::start(&[&DOCUMENT]).await;
    let host = start(&BROKEN, config_of(&system)).await;
    let error = host.ready().await.expect_err("it panicked");
    assert!(error.to_string().contains("the index is gone"), "{error:#}");
}

#[tokio::test]
async fn a_task_that_ends_unasked_is_named_in_the_readiness() {
    let system = System::start(&[&DOCUMENT]).await;
    let host = start(&TIRED, config_of(&system)).await;
    let look = || async { host.readiness().state().awaited.get("search/merge (task)").cloned() };
    assert!(eventually("the task is awaited", look).await.contains("ended unasked"));
    assert!(!host.readiness().state().awaited.contains_key("search/index"), "what was awaited came");
    assert_eq!(host.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn postgres_that_is_away_at_the_start_is_waited_for() {
    let system = System::start(&[&DOCUMENT]).await;
    let mut config = config_of(&system);
    let url = system.engine_url(Engine::Postgres);
    let address =
        url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).map(|(address, _)| address).expect("a URL");
    let proxy = Proxy::start(address).await;
    proxy.cut();
    config.set("engines.postgres.url", url.replace(address, &proxy.address().to_string())).expect("known");
    let host = start(&DOCUMENT, config).await;
    let look = || async {
        host.readiness().state().awaited.get("document/postgres").filter(|why| why.as_str() != "not yet there").cloned()
    };
    eventually("postgres is awaited", look).await;
    assert!(!host.readiness().state().started);
    proxy.mend();
    let look = || async { (!host.readiness().state().awaited.contains_key("document/postgres")).then_some(()) };
    eventually("postgres is there", look).await;
}

#[tokio::test]
async fn keys_that_cannot_be_loaded_are_awaited() {
    let system = System::start(&[&DOCUMENT]).await;
    let host = start(&DOCUMENT, config_of(&system)).await;
    let look = || async {
        host.readiness().state().awaited.get("verify keys").filter(|why| why.contains("cannot be loaded")).cloned()
    };
    eventually("keys are awaited", look).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(100), host.ready()).await.is_err(),
        "without keys nobody can be told apart"
    );
    let channel =
        host.mesh("gateway").as_workload("document", &api::CallContext::background("test", &api::Ids::default()));
    let status =
        EventAdminServiceClient::new(channel).get_relay_status(GetRelayStatusRequest {}).await.expect_err("no token");
    assert_ne!(status.code(), tonic::Code::Ok);
}
