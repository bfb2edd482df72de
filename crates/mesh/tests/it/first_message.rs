//! What is read of a request before its handler: large, compressed, contradictory and broken ones.
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use mesh::{Compression, Settings};
use prost::Message;
use proto::{
    Role,
    file::v1::{CreateUploadRequest, GetUploadRequest, Upload},
};
use tonic::{
    Code, Status,
    body::Body,
    metadata::{MetadataMap, MetadataValue},
    transport::Endpoint,
};
use tower::ServiceExt;

use crate::support::{World, reason};

/// Sends a body as it is, past our own client, with this token as many times as said.
async fn raw(world: &World, rpc: &'static str, body: Vec<u8>, tokens: usize) -> Status {
    let connector = world.network.connector("file", "gateway");
    let connect = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move { connector.connect().await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://mesh").connect_with_connector_lazy(connect);
    let mut request = http::Request::post(format!("http://mesh/workos.file.v1.UploadService/{rpc}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(Bytes::from(body))))
        .expect("a request");
    let mut metadata = MetadataMap::new();
    for _ in 0..tokens {
        metadata.append_bin(mesh::TOKEN_KEY, MetadataValue::from_bytes(&world.token(Some(Role::Editor))));
    }
    request.headers_mut().extend(metadata.into_headers());
    let (parts, body) = channel.oneshot(request).await.expect("an answer").into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers) {
        return status;
    }
    let collected = body.collect().await.expect("a body");
    Status::from_header_map(collected.trailers().expect("trailers")).expect("a status")
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("small").to_be_bytes();
    [&[0], &length[..], message].concat()
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_with_the_limit() {
    let world = World::with(Settings { message_bytes_max: 64 * 1024, ..Settings::default() });
    let _server = world.serve_pipe();
    let upload = Upload { name: "x".repeat(65_000), ..Upload::default() };
    let request =
        |upload| CreateUploadRequest { parent: world.organization.name(), upload: Some(upload), ..Default::default() };
    world.uploads().create_upload(request(upload.clone())).await.expect("just below");
    let larger = Upload { name: "x".repeat(66_000), ..upload };
    let error = world.uploads().create_upload(request(larger)).await.expect_err("above");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn eight_mebibytes_travel_in_both_directions_of_a_pipe() {
    let world = World::new();
    let _server = world.serve_pipe();
    let upload = Upload { name: "x".repeat(8_000_000), ..Upload::default() };
    let request = CreateUploadRequest { parent: world.organization.name(), upload: Some(upload), ..Default::default() };
    world.uploads().create_upload(request).await.expect("within the limit");
}

#[tokio::test]
async fn a_compressed_request_is_authorized_by_what_it_says() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut uploads = world.uploads().send_compressed(Compression::Gzip).accept_compressed(Compression::Gzip);
    assert_eq!(uploads.get_upload(world.get()).await.expect("an editor").into_inner().name, world.upload());
    let foreign = GetUploadRequest { name: format!("organizations/{}/uploads/x", api::Id::ZERO) };
    assert_eq!(uploads.get_upload(foreign).await.expect_err("another organization's").code(), Code::PermissionDenied);
    let create = CreateUploadRequest { parent: world.organization.name(), ..Default::default() };
    uploads.create_upload(create).await.expect("an editor");
    assert!(!world.handler.last().request_id_field.is_empty(), "the id is filled into compressed requests too");
}

#[tokio::test]
async fn a_name_sent_twice_is_refused_because_the_handler_might_see_the_other_one() {
    let world = World::new();
    let _server = world.serve_pipe();
    let foreign = GetUploadRequest { name: format!("organizations/{}/uploads/x", api::Id::ZERO) };
    let twice = [foreign.encode_to_vec(), world.get().encode_to_vec()].concat();
    let status = raw(&world, "GetUpload", framed(&twice), 1).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    assert!(world.handler.seen().is_empty());
}

#[tokio::test]
async fn broken_requests_are_invalid_and_reach_no_handler() {
    let world = World::new();
    let _server = world.serve_pipe();
    let whole = framed(&world.get().encode_to_vec());
    for (what, body) in [
        ("empty", Vec::new()),
        ("half a frame", whole[..3].to_vec()),
        ("half a message", whole[..whole.len() - 1].to_vec()),
        ("two messages", [whole.clone(), whole.clone()].concat()),
        ("no protobuf", framed(&[0xff; 12])),
        ("not UTF-8", framed(&[0x0a, 2, 0xff, 0xfe])),
    ] {
        assert_eq!(raw(&world, "GetUpload", body, 1).await.code(), Code::InvalidArgument, "{what}");
    }
    assert!(world.handler.seen().is_empty());
}

#[tokio::test]
async fn exactly_one_token_is_a_token() {
    let world = World::new();
    let _server = world.serve_pipe();
    let body = framed(&world.get().encode_to_vec());
    assert_eq!(raw(&world, "GetUpload", body.clone(), 1).await.code(), Code::Ok);
    for (tokens, expected) in [(0, "CREDENTIAL_MISSING"), (2, "CREDENTIAL_INVALID")] {
        let status = raw(&world, "GetUpload", body.clone(), tokens).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, expected));
    }
}

#[tokio::test]
async fn a_request_without_a_message_is_refused_before_it_leaves() {
    let world = World::new();
    let request =
        http::Request::post("/workos.file.v1.UploadService/GetUpload").body(Body::empty()).expect("a request");
    let response = world.channel().oneshot(request).await.expect("a channel answers");
    assert_eq!(Status::from_header_map(response.headers()).expect("a status").code(), Code::InvalidArgument);
}
