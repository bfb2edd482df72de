//! What callers learn about the contract: merged reflection in both versions, the OpenAPI document.
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::Full;
use prost::Message;
use prost_reflect::DescriptorPool;
use serde_json::Value;
use tonic_reflection::pb::{v1, v1alpha};

use crate::{
    client::{self, framed, frames},
    grpc_web::decoded,
    world::World,
};

/// Asks version 1 once.
async fn ask(world: &World, asked: v1::server_reflection_request::MessageRequest) -> v1::ServerReflectionResponse {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", world.address)).expect("an address");
    let channel = channel.connect().await.expect("the edge listens");
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.expect("it answers").into_inner();
    answers.message().await.expect("no error").expect("an answer")
}

#[tokio::test]
async fn callers_reflect_what_they_may_call_with_its_options() {
    use v1::{server_reflection_request::MessageRequest, server_reflection_response::MessageResponse};
    let world = World::start("").await;
    let list = ask(&world, MessageRequest::ListServices(String::new())).await;
    let Some(MessageResponse::ListServicesResponse(list)) = list.message_response else { panic!("{list:?}") };
    assert_eq!(list.service.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["library.v1.Library"]);
    let mut pool = DescriptorPool::new();
    for file in [
        "google/protobuf/descriptor.proto",
        "google/protobuf/any.proto",
        "google/protobuf/duration.proto",
        "google/protobuf/field_mask.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/timestamp.proto",
        "google/protobuf/wrappers.proto",
        "google/api/http.proto",
        "google/api/annotations.proto",
        "google/api/field_behavior.proto",
        "google/api/httpbody.proto",
        "workos/api/v1/access.proto",
        "library.proto",
    ] {
        let answer = ask(&world, MessageRequest::FileByFilename(file.to_owned())).await;
        let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else { panic!("{file}") };
        pool.decode_file_descriptor_proto(files.file_descriptor_proto[0].as_slice()).expect("in order of imports");
    }
    let service = pool.get_service_by_name("library.v1.Library").expect("it is there");
    assert!(service.methods().any(|method| method.name() == "Own"));
    assert!(service.methods().all(|method| method.name() != "Inner"), "methods of workloads are not shown");
    let http = pool.get_extension_by_name("google.api.http").expect("its file came");
    let echo = service.methods().find(|method| method.name() == "Echo").expect("it is there");
    assert!(echo.options().has_extension(&http), "options are kept");
}

#[tokio::test]
async fn older_callers_reflect_too() {
    use v1alpha::{server_reflection_request::MessageRequest, server_reflection_response::MessageResponse};
    let world = World::start("").await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", world.address)).expect("an address");
    let channel = channel.connect().await.expect("the edge listens");
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let asked = Some(MessageRequest::FileContainingSymbol("library.v1.Everything".to_owned()));
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: asked };
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.expect("it answers").into_inner();
    let answer = answers.message().await.expect("no error").expect("an answer");
    assert!(matches!(answer.message_response, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
}

#[tokio::test]
async fn callers_reflect_in_whatever_protocol_they_speak() {
    use v1::{server_reflection_request::MessageRequest, server_reflection_response::MessageResponse};
    let world = World::start("").await;
    let asked = Some(MessageRequest::ListServices(String::new()));
    let wire = framed(0, &v1::ServerReflectionRequest { host: String::new(), message_request: asked }.encode_to_vec());
    let text = STANDARD.encode(&wire).into_bytes();
    let json = framed(0, br#"{"listServices":""}"#);
    for service in ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"] {
        for (kind, body) in [
            ("application/grpc-web+proto", &wire),
            ("application/grpc-web-text", &text),
            ("application/connect+proto", &wire),
            ("application/connect+json", &json),
        ] {
            let request = client::request(world.address, 1, "POST", &format!("/{service}/ServerReflectionInfo"));
            let request = request.header("content-type", kind).body(Full::from(body.clone())).expect("a request");
            let reply = client::send(world.address, 1, request).await;
            let body = if kind.ends_with("text") { decoded(&reply.body) } else { reply.body.to_vec() };
            let found = frames(&body);
            assert_eq!((reply.status.as_u16(), found.len()), (200, 2), "{kind}: {body:?}");
            let (end, last) = (found[1].0, String::from_utf8_lossy(&found[1].1));
            let names: Vec<String> = if kind.ends_with("json") {
                let answer: Value = serde_json::from_slice(&found[0].1).expect("JSON");
                let list = answer["listServicesResponse"]["service"].as_array().cloned().unwrap_or_default();
                list.iter().filter_map(|service| service["name"].as_str().map(str::to_owned)).collect()
            } else {
                let answer = v1::ServerReflectionResponse::decode(&found[0].1[..]).expect("both versions are the same");
                let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
                    panic!("{kind}")
                };
                list.service.into_iter().map(|service| service.name).collect()
            };
            assert_eq!(names, ["library.v1.Library"], "{kind}");
            let good = if kind.contains("web") {
                end == 0x80 && last.contains("grpc-status: 0")
            } else {
                (end, &*last) == (2, "{}")
            };
            assert!(good, "{kind}: {end} {last}");
        }
    }
}

#[tokio::test]
async fn the_document_describes_the_schema_in_force() {
    let world = World::start("").await;
    let get = |etag: &str| client::request(world.address, 1, "GET", "/openapi.json").header("if-none-match", etag);
    let reply = client::send(world.address, 1, get("x").body(Full::default()).expect("a request")).await;
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/query"]["get"].is_object());
    assert!(document["paths"]["/v1/inner/all"].is_null(), "methods of workloads are not shown");
    let etag = reply.headers["etag"].to_str().expect("ASCII");
    let again = client::send(world.address, 1, get(etag).body(Full::default()).expect("a request")).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
}
