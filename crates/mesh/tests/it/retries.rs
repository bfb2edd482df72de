//! Retries: what may be repeated, how often, and at what price. Time is paused, so waits cost nothing.
use std::time::Duration;

use api::Error;
use mesh::{
    Settings,
    client::{Mesh, Transport},
    server::Listener,
};
use proto::{
    auth::v1::{StartLoginRequest, login_service_client::LoginServiceClient},
    file::v1::{CreateUploadRequest, upload_service_client::UploadServiceClient},
};
use tonic::Code;

use crate::{
    handler::Act,
    support::{Metrics, World, context},
};

fn away() -> Act {
    Act::Fail(Error::unavailable("the store"))
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_three_times_and_waits_as_the_server_asks() {
    let world = World::new();
    let _server = world.serve_pipe();
    world.handler.then([away(), away()]);
    let start = tokio::time::Instant::now();
    world.uploads().get_upload(world.get()).await.expect("the third try");
    assert_eq!(world.handler.seen().len(), 3);
    assert!(start.elapsed() >= Duration::from_secs(2), "RetryInfo says a second each: {:?}", start.elapsed());
    world.handler.then([away(), away(), away()]);
    assert_eq!(world.uploads().get_upload(world.get()).await.expect_err("three tries").code(), Code::Unavailable);
    assert_eq!(world.handler.seen().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_change_is_repeated_under_one_request_id() {
    let world = World::new();
    let _server = world.serve_pipe();
    world.handler.then([away()]);
    let request = CreateUploadRequest { parent: world.organization.name(), ..Default::default() };
    world.uploads().create_upload(request.clone()).await.expect("the second try");
    let ids: Vec<_> = world.handler.seen().into_iter().map(|seen| seen.request_id_field).collect();
    assert_eq!(ids.len(), 2);
    assert!(!ids[0].is_empty() && ids[0] == ids[1], "{ids:?}");
    let own = CreateUploadRequest { request_id: "mine".to_owned(), ..request };
    world.uploads().create_upload(own).await.expect("served");
    assert_eq!(world.handler.last().request_id_field, "mine");
}

#[tokio::test(start_paused = true)]
async fn a_method_without_a_level_is_not_repeated_once_it_was_sent() {
    let world = World::new();
    let _server = world.serve_pipe();
    world.handler.then([away()]);
    let channel = world.mesh("gateway").as_workload("file", &context());
    let error = LoginServiceClient::new(channel).start_login(StartLoginRequest::default()).await.expect_err("once");
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(world.handler.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_provably_reached_nobody_is_repeated_whatever_it_is() {
    let (metrics, _guard) = Metrics::install();
    let world = World::new();
    let channel = world.mesh("gateway").as_workload("file", &context());
    let error =
        LoginServiceClient::new(channel).start_login(StartLoginRequest::default()).await.expect_err("nobody listens");
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(metrics.counters("workos_mesh_retries_total"), [("reason=unsent service=file".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn errors_other_than_unavailable_are_not_repeated() {
    let world = World::new();
    let _server = world.serve_pipe();
    for error in [Error::conflict(), Error::not_found("x"), Error::fault("x"), Error::deadline()] {
        let before = world.handler.seen().len();
        world.handler.then([Act::Fail(error)]);
        world.uploads().get_upload(world.get()).await.expect_err("once");
        assert_eq!(world.handler.seen().len(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied() {
    let world = World::new();
    let _server = world.serve_pipe();
    world.handler.always(away());
    let mesh = world.mesh("gateway");
    let token = world.token(Some(proto::Role::Editor));
    for _ in 0..100 {
        let channel = mesh.with_token("file", token.clone(), &context());
        UploadServiceClient::new(channel).get_upload(world.get()).await.expect_err("an outage");
    }
    let tried = world.handler.seen().len();
    assert!((125..=131).contains(&tried), "100 calls, 10 from the reserve, 20 earned: {tried}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let world = World::new();
    let _server = world.serve_pipe();
    world.handler.always(Act::Fail(Error::unavailable("the store").retry_after(Duration::from_secs(60))));
    let mut request = tonic::Request::new(world.get());
    request.set_timeout(Duration::from_secs(5));
    let start = tokio::time::Instant::now();
    let error = world.uploads().get_upload(request).await.expect_err("no time");
    assert_eq!(error.code(), Code::Unavailable, "the real cause, not the deadline");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn in_sidecar_mode_the_sidecar_retries_and_we_do_not() {
    let world = World::new();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound").to_string();
    let _server = world.serve(Listener::Sidecar(tcp));
    let settings = Settings { addresses: [("file".to_owned(), vec![address])].into(), ..Settings::default() };
    let mesh = Mesh::new("gateway", Transport::Sidecar, std::sync::Arc::new(world.verifier.clone()), settings);
    let (metrics, _guard) = Metrics::install();
    let channel = mesh.as_workload("file", &context());
    // No sidecar put a name on this connection, so the call is refused; what counts here is that it was made once.
    LoginServiceClient::new(channel).start_login(StartLoginRequest::default()).await.expect_err("no identity");
    let closed =
        Settings { addresses: [("file".to_owned(), vec!["127.0.0.1:1".to_owned()])].into(), ..Settings::default() };
    let mesh = Mesh::new("gateway", Transport::Sidecar, std::sync::Arc::new(world.verifier.clone()), closed);
    let error = UploadServiceClient::new(mesh.as_workload("file", &context()))
        .get_upload(world.get())
        .await
        .expect_err("nobody");
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(metrics.counters("workos_mesh_retries_total"), []);
}
