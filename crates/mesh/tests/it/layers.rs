//! The order of the layers: what is counted, what is refused, and what stands beside.
use std::time::Duration;

use api::{CallContext, CommonReason, Error};
use authz::{Kind, Revocation};
use bytes::Bytes;
use mesh::{Period, Settings};
use proto::{
    Role,
    auth::v1::{StartLoginRequest, login_service_client::LoginServiceClient},
    document::v1::{GetDocumentRequest, document_service_client::DocumentServiceClient},
    file::v1::{
        BatchReadFilesRequest, GetFileRequest, file_service_client::FileServiceClient,
        upload_service_client::UploadServiceClient,
    },
};
use tonic::{Code, Status};

use crate::{
    handler::Act,
    support::{Metrics, World, context, reason},
};

#[tokio::test]
async fn a_call_arrives_with_its_caller_and_context() {
    let world = World::new();
    let _server = world.serve_pipe();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = CallContext { traceparent: traceparent.to_owned(), ..context() };
    let channel = world.mesh("gateway").with_token("file", world.token(Some(Role::Editor)), &context);
    let answer = UploadServiceClient::new(channel).get_upload(world.get()).await.expect("an editor");
    assert_eq!(answer.into_inner().name, world.upload());
    let seen = world.handler.last();
    assert_eq!(seen.caller.user(), Some(world.user));
    assert_eq!(seen.caller.peer(), "gateway");
    assert_eq!(
        (seen.context().request_id.as_str(), seen.context().resource.as_str()),
        ("request-1", world.upload().as_str())
    );
    assert_eq!(seen.context().method, "workos.file.v1.UploadService/GetUpload");
    assert_eq!(&seen.context().traceparent[..35], &traceparent[..35], "the trace goes on");
    assert_eq!(seen.context().actor, world.user.name());
    assert!(!seen.context().audit && seen.context().deadline.is_some());
    assert!(!seen.had_token_metadata, "the token's only way on is the caller");
}

#[tokio::test]
async fn every_outcome_is_counted_once_on_both_sides() {
    let (metrics, _guard) = Metrics::install();
    let world = World::new();
    let _server = world.serve_pipe();
    let mut uploads = world.uploads();
    uploads.get_upload(world.get()).await.expect("served");
    world.handler.then([Act::Panic, Act::Fail(Error::not_found("x"))]);
    assert_eq!(uploads.get_upload(world.get()).await.expect_err("panic").code(), Code::Internal);
    assert_eq!(uploads.get_upload(world.get()).await.expect_err("absent").code(), Code::NotFound);
    let anonymous = world.mesh("gateway").as_workload("file", &context());
    let refused = UploadServiceClient::new(anonymous.clone()).get_upload(world.get()).await.expect_err("no token");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIAL_MISSING"));
    let denied = FileServiceClient::new(anonymous)
        .batch_read_files(BatchReadFilesRequest::default())
        .await
        .expect_err("a peer's");
    assert_eq!(reason(&denied), "PEER_DENIED");
    for side in ["server", "client"] {
        let counted = metrics.counters(&format!("grpc_{side}_handled_total"));
        let labels =
            |code: &str| format!("code={code} method=GetUpload service=workos.file.v1.UploadService type=unary");
        let of = |code: &str| counted.iter().find(|(found, _)| *found == labels(code)).map_or(0, |(_, count)| *count);
        let counts = ["OK", "INTERNAL", "NOT_FOUND", "UNAUTHENTICATED"].map(of);
        assert_eq!(counts, [1, 1, 1, 1], "{side}: {counted:?}");
        assert_eq!(counted.iter().map(|(_, count)| count).sum::<u64>(), 5, "{side}: {counted:?}");
    }
}

/// What was refused before the handler may be sent again; what a service behind the handler has refused may not.
#[tokio::test]
async fn that_a_token_is_stale_is_said_by_the_first_service_alone() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut uploads = world.uploads();
    let error = Error::new(api::Code::Unauthenticated, CommonReason::TokenStale, "sign in again");
    let mut behind = Status::from(error);
    behind.metadata_mut().insert(mesh::STALE_KEY, "1".parse().expect("ASCII"));
    world.handler.then([Act::Pass(behind)]);
    let refused = uploads.get_upload(world.get()).await.expect_err("handed on");
    assert_eq!((reason(&refused).as_str(), refused.metadata().get(mesh::STALE_KEY)), ("TOKEN_STALE", None));

    let now = world.clock.now();
    world.verifier.revocations().insert(Revocation {
        kind: Kind::User,
        id: world.user.to_string(),
        not_before: now + Duration::from_secs(1),
        keep_until: now + Duration::from_secs(60),
        renew: true,
    });
    let refused = uploads.get_upload(world.get()).await.expect_err("revoked");
    assert_eq!(reason(&refused), "TOKEN_STALE");
    assert!(refused.metadata().contains_key(mesh::STALE_KEY) && world.handler.seen().len() == 1);
}

#[tokio::test]
async fn health_needs_no_token_and_is_not_counted() {
    let (metrics, _guard) = Metrics::install();
    let world = World::new();
    let _server = world.serve_pipe();
    let channel = world.mesh("").as_workload("file", &context());
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("beside the stack");
    assert_eq!(metrics.counters("grpc_server_handled_total"), []);
}

#[tokio::test]
async fn a_service_that_the_contract_does_not_have_is_not_mounted() {
    let (_, health) = tonic_health::server::health_reporter();
    let error = mesh::server::Offer::new().mount(health).expect_err("not ours");
    assert!(error.to_string().contains("grpc.health.v1.Health"), "{error}");
    assert!(mesh::server::check(proto::methods().iter().map(|method| method.full_service)).is_ok());
}

#[tokio::test]
async fn a_method_that_is_not_served_here_is_unknown_even_to_nobody() {
    let world = World::new();
    let _server = world.serve_pipe();
    let channel = world.mesh("gateway").as_workload("file", &context());
    let error =
        DocumentServiceClient::new(channel).get_document(GetDocumentRequest::default()).await.expect_err("elsewhere");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Unimplemented, "METHOD_UNKNOWN"));
}

#[tokio::test]
async fn permission_comes_before_validation() {
    let world = World::new();
    let _server = world.serve_pipe();
    let channel = world.mesh("gateway").with_token("file", Bytes::from_static(b"rubbish"), &context());
    let error = UploadServiceClient::new(channel).get_upload(world.get()).await.expect_err("no token at all");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Unauthenticated, "CREDENTIAL_INVALID"));
    assert!(world.handler.seen().is_empty());
}

#[tokio::test]
async fn after_a_panic_the_same_connection_goes_on() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut uploads = world.uploads();
    world.handler.then([Act::Panic]);
    let error = uploads.get_upload(world.get()).await.expect_err("panic");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Internal, "INTERNAL_FAULT"));
    assert!(!error.message().contains("the handler broke"), "the text stays in the log");
    uploads.get_upload(world.get()).await.expect("the next call");
}

#[tokio::test]
async fn above_the_limit_a_call_is_refused_at_once_with_a_time_to_come_again() {
    let retries = mesh::Retries { tries: 1, ..Default::default() };
    let world = World::with(Settings { concurrency: 1, retries, ..Settings::default() });
    let _server = world.serve_pipe();
    world.handler.then([Act::Wait(Duration::from_millis(300))]);
    let (mut first, mut second) = (world.uploads(), world.uploads());
    let (slow, refused) = tokio::join!(first.get_upload(world.get()), async {
        while world.handler.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        second.get_upload(world.get()).await
    });
    slow.expect("it was first");
    let error = api::Error::from_status(&refused.expect_err("full"));
    assert_eq!((error.code(), error.reason()), (api::Code::Unavailable, "SERVER_OVERLOADED"));
    assert_eq!(error.metadata().get("setting").map(String::as_str), Some("mesh.concurrency"));
    assert_eq!(error.retry_delay(), Some(Duration::from_millis(250)));
    second.get_upload(world.get()).await.expect("there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_call_and_the_handler() {
    let world = World::new();
    let _server = world.serve_pipe();
    world.handler.always(Act::Wait(Duration::from_secs(3600)));
    let mut request = tonic::Request::new(world.get());
    request.set_timeout(Duration::from_secs(2));
    let start = tokio::time::Instant::now();
    let error = world.uploads().get_upload(request).await.expect_err("too slow");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::DeadlineExceeded, "DEADLINE_PASSED"));
    assert!((2..3).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_gets_the_default_and_a_long_one_the_cap() {
    let world = World::new();
    let _server = world.serve_pipe();
    let left =
        |world: &World| world.handler.last().context().deadline.expect("there is one") - tokio::time::Instant::now();
    world.uploads().get_upload(world.get()).await.expect("served");
    assert!(left(&world) <= Duration::from_secs(15) && left(&world) > Duration::from_secs(14));
    let mut request = tonic::Request::new(world.get());
    request.set_timeout(Duration::from_secs(86_400));
    world.uploads().get_upload(request).await.expect("served");
    assert!(left(&world) <= Duration::from_secs(60) && left(&world) > Duration::from_secs(59));
}

#[tokio::test(start_paused = true)]
async fn a_call_on_behalf_gets_what_is_left_of_its_own_calls_time() {
    let world = World::new();
    let _server = world.serve_pipe();
    let deadline = Some(tokio::time::Instant::now() + Duration::from_secs(3));
    let channel = world.mesh("gateway").with_token(
        "file",
        world.token(Some(Role::Editor)),
        &CallContext { deadline, ..context() },
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut uploads = UploadServiceClient::new(channel);
    uploads.get_upload(world.get()).await.expect("in time");
    assert!(world.handler.last().context().deadline <= deadline.map(|at| at + Duration::from_millis(50)));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(uploads.get_upload(world.get()).await.expect_err("over").code(), Code::DeadlineExceeded);
    assert_eq!(world.handler.seen().len(), 1, "the second call never left");
}

#[tokio::test]
async fn a_caller_may_be_called_on_for_and_only_for_declared_calls() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut files = FileServiceClient::new(world.channel());
    let name = format!("{}/files/{}", world.organization.name(), api::Id::ZERO);
    files.get_file(GetFileRequest { name: name.clone() }).await.expect("a viewer may");
    let caller = world.handler.last().caller;
    let onward = world.mesh("file").for_caller("file", &caller);
    // GetFile declares a call to documents, not to uploads: the narrowed token is refused there.
    let error = UploadServiceClient::new(onward).get_upload(world.get()).await.expect_err("not declared");
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_public_method_is_served_to_nobody_in_particular() {
    let world = World::with(Settings { connection_age: Period::secs(60), ..Settings::default() });
    let _server = world.serve_pipe();
    let channel = world.mesh("gateway").as_workload("file", &context());
    LoginServiceClient::new(channel).start_login(StartLoginRequest::default()).await.expect("public");
    assert_eq!(world.handler.last().caller.user(), None);
    assert!(world.handler.last().context().audit, "StartLogin is audited in full");
}
