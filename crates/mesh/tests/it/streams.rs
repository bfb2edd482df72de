//! Streams: their first message, their end, their deadline, their revocation.
use std::time::Duration;

use api::Id;
use authz::{Kind, Revocation};
use futures::stream;
use mesh::Settings;
use proto::file::v1::{
    AppendUploadRequest, ReadFileRequest,
    append_upload_request::{Finish, Start, Step},
    file_service_client::FileServiceClient,
};
use tonic::Code;

use crate::support::{Metrics, World, reason};

fn endless(world: &World) -> ReadFileRequest {
    ReadFileRequest { name: format!("{}/files/{}", world.organization.name(), Id::ZERO) }
}

fn finite(world: &World) -> ReadFileRequest {
    ReadFileRequest { name: format!("{}/files/00000000000000000000000001", world.organization.name()) }
}

#[tokio::test]
async fn a_server_stream_is_counted_when_it_ends() {
    let (metrics, _guard) = Metrics::install();
    let world = World::new();
    let _server = world.serve_pipe();
    let mut chunks =
        FileServiceClient::new(world.channel()).read_file(finite(&world)).await.expect("it begins").into_inner();
    assert_eq!(metrics.counters("grpc_client_handled_total"), [], "nobody has read it yet");
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await.expect("no error") {
        bytes.extend_from_slice(&chunk.data);
    }
    assert_eq!(bytes, b"onetwo");
    let expected = "code=OK method=ReadFile service=workos.file.v1.FileService type=server_stream".to_owned();
    assert_eq!(metrics.counters("grpc_server_handled_total"), [(expected.clone(), 1)]);
    assert_eq!(metrics.counters("grpc_client_handled_total"), [(expected, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_deadline_visibly() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut request = tonic::Request::new(endless(&world));
    request.set_timeout(Duration::from_secs(20));
    let mut chunks = FileServiceClient::new(world.channel()).read_file(request).await.expect("it begins").into_inner();
    for _ in 0..2 {
        chunks.message().await.expect("no error").expect("a chunk");
    }
    let error = chunks.message().await.expect_err("the deadline");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::DeadlineExceeded, "DEADLINE_PASSED"));
}

#[tokio::test]
async fn streams_and_calls_have_limits_of_their_own() {
    let retries = mesh::Retries { tries: 1, ..Default::default() };
    let world = World::with(Settings { concurrency: 1, streams: 1, retries, ..Settings::default() });
    let _server = world.serve_pipe();
    let read = async || FileServiceClient::new(world.channel()).read_file(endless(&world)).await;
    let mut held = read().await.expect("it begins").into_inner();
    held.message().await.expect("no error").expect("a chunk");
    world.uploads().get_upload(world.get()).await.expect("a stream takes no call's place");
    let error = api::Error::from_status(&read().await.expect_err("one is open"));
    assert_eq!(error.metadata().get("setting").map(String::as_str), Some("mesh.streams"));
}

/// More of them than one connection of calls takes, all of which nobody reads on.
#[tokio::test]
async fn a_thousand_streams_leave_calls_their_way() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut held = Vec::new();
    for _ in 0..1_100 {
        let stream = FileServiceClient::new(world.channel()).read_file(endless(&world)).await.expect("it begins");
        held.push(stream.into_inner());
    }
    world.uploads().get_upload(world.get()).await.expect("a call has its own connection");
    held[1_099].message().await.expect("no error").expect("the last stream has begun");
}

#[tokio::test(start_paused = true)]
async fn b3_a_revocation_ends_a_running_stream_within_a_second() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut chunks =
        FileServiceClient::new(world.channel()).read_file(endless(&world)).await.expect("it begins").into_inner();
    for _ in 0..2 {
        chunks.message().await.expect("no error").expect("a chunk");
    }
    let now = world.clock.now();
    world.verifier.revocations().insert(Revocation {
        kind: Kind::Sid,
        id: "s1".to_owned(),
        not_before: now + time::Duration::SECOND,
        keep_until: now + time::Duration::HOUR,
        renew: false,
    });
    let start = tokio::time::Instant::now();
    let error = chunks.message().await.expect_err("revoked");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Unauthenticated, "CREDENTIAL_INVALID"));
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_stream_that_the_client_leaves_is_counted_as_canceled() {
    let (metrics, _guard) = Metrics::install();
    let world = World::new();
    let _server = world.serve_pipe();
    let mut chunks =
        FileServiceClient::new(world.channel()).read_file(endless(&world)).await.expect("it begins").into_inner();
    chunks.message().await.expect("no error").expect("a chunk");
    drop(chunks);
    let mut counted = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while counted.is_empty() && tokio::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
        counted = metrics.counters("grpc_server_handled_total");
    }
    assert_eq!(
        counted,
        [("code=CANCELLED method=ReadFile service=workos.file.v1.FileService type=server_stream".to_owned(), 1)]
    );
}

#[tokio::test]
async fn the_first_message_of_a_client_stream_names_the_resource_and_none_is_lost() {
    let world = World::new();
    let _server = world.serve_pipe();
    let messages = |name: String| {
        let start = Step::Start(Start { name, offset_bytes: 0 });
        let steps = [
            start,
            Step::Chunk(vec![1; 100_000].into()),
            Step::Chunk(vec![2; 100_000].into()),
            Step::Finish(Finish {}),
        ];
        stream::iter(steps.map(|step| AppendUploadRequest { step: Some(step) }))
    };
    let answer = world.uploads().append_upload(messages(world.upload())).await.expect("an editor's own").into_inner();
    assert_eq!(answer.name, "4 messages");
    assert_eq!(world.handler.last().context().resource, world.upload());
    let foreign = format!("organizations/{}/uploads/{}", Id::ZERO, Id::ZERO);
    let error = world.uploads().append_upload(messages(foreign)).await.expect_err("another organization's");
    assert_eq!(error.code(), Code::PermissionDenied);
    assert_eq!(world.handler.seen().len(), 1);
}

#[tokio::test]
async fn an_empty_client_stream_is_refused() {
    let world = World::new();
    let _server = world.serve_pipe();
    let error = world.uploads().append_upload(stream::iter([])).await.expect_err("nothing sent");
    assert_eq!(error.code(), Code::InvalidArgument);
}
