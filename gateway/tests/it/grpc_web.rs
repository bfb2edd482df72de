//! gRPC-Web in both forms (case E15).
use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use crate::{
    client::{self, Reply, Talk, framed, frames},
    contract,
    upstream::Answer,
    world::World,
};

const ECHO: &str = "/library.v1.Library/Echo";

fn message(path: &str, json: &serde_json::Value) -> Vec<u8> {
    contract::wire(&contract::method(path).expect("a method").input(), json)
}

async fn call(world: &World, version: u8, path: &str, kind: &str, body: Vec<u8>) -> Reply {
    let request = client::request(world.address, version, "POST", path)
        .header("content-type", kind)
        .header("origin", "https://app.example")
        .header("x-grpc-web", "1");
    client::send(world.address, version, request.body(Full::new(Bytes::from(body))).expect("a request")).await
}

#[tokio::test]
async fn gw_e15_binary_frames_pass_and_trailers_are_the_last_frame() {
    let world = World::start("cors_origins = [\"https://app.example\"]").await;
    for (version, kind) in
        [(1, "application/grpc-web"), (1, "application/grpc-web+proto"), (2, "application/grpc-web+proto")]
    {
        world.upstream.answers(Answer::default());
        let sent = message(ECHO, &json!({"s": "hello"}));
        let reply = call(&world, version, ECHO, kind, framed(0, &sent)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "application/grpc-web+proto");
        let exposed = reply.headers["access-control-expose-headers"].to_str().expect("text");
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            assert!(exposed.contains(name), "{name} is exposed");
        }
        let frames = frames(&reply.body);
        assert_eq!(frames[0], (0, sent));
        assert_eq!(frames[1].0, 0x80);
        assert!(String::from_utf8_lossy(&frames[1].1).contains("grpc-status: 0\r\n"));
        assert_eq!(frames.len(), 2);
    }
}

#[tokio::test]
async fn gw_e15_errors_are_told_in_the_trailers_frame() {
    let world = World::start("").await;
    let late = Answer { status: 5, message: Some("not%20here".to_owned()), ..Answer::default() };
    let early = Answer { trailers_only: true, ..late.clone() };
    for answer in [late, early] {
        world.upstream.answers(answer);
        let reply = call(&world, 1, ECHO, "application/grpc-web", framed(0, b"")).await;
        let frames = frames(&reply.body);
        assert_eq!((reply.status.as_u16(), frames.len(), frames[0].0), (200, 1, 0x80));
        let text = String::from_utf8_lossy(&frames[0].1);
        assert!(text.contains("grpc-status: 5\r\n") && text.contains("grpc-message: not%20here\r\n"), "{text}");
        assert!(reply.headers.get("grpc-status").is_none());
    }
    // What the edge itself refuses has the same form.
    let reply = call(&world, 1, "/library.v1.Library/Nothing", "application/grpc-web-text", Vec::new()).await;
    assert_eq!(reply.headers["content-type"], "application/grpc-web-text+proto");
    let frames = frames(&STANDARD.decode(&reply.body).expect("base64"));
    assert!(String::from_utf8_lossy(&frames[0].1).contains("grpc-status: 12\r\n"));
}

#[tokio::test]
async fn gw_e15_a_length_and_a_page_of_the_upstream_are_not_passed_on() {
    let world = World::start("").await;
    let sent = framed(0, &message(ECHO, &json!({"s": "hello"})));
    let headers = BTreeMap::from([("content-length".to_owned(), sent.len().to_string())]);
    for kind in ["application/grpc-web", "application/grpc-web-text"] {
        world.upstream.answers(Answer { headers: headers.clone(), ..Answer::default() });
        let is_text = kind.ends_with("-text");
        let body = if is_text { STANDARD.encode(&sent).into_bytes() } else { sent.clone() };
        let reply = call(&world, 1, ECHO, kind, body).await;
        let body = if is_text { decoded(&reply.body) } else { reply.body.to_vec() };
        let flags: Vec<_> = frames(&body).into_iter().map(|(flags, _)| flags).collect();
        assert_eq!((flags, reply.broken), (vec![0, 0x80], false), "{kind}");
    }
    let trailers = BTreeMap::from([("grpc-status".to_owned(), None)]);
    let wire = Some(vec!["3c 68 74 6d 6c 3e".to_owned()]);
    world.upstream.answers(Answer { http: Some(404), wire, trailers, ..Answer::default() });
    let reply = call(&world, 1, ECHO, "application/grpc-web", sent).await;
    let frames = frames(&reply.body);
    let text = String::from_utf8_lossy(&frames[0].1).into_owned();
    assert_eq!((reply.status.as_u16(), frames.len(), frames[0].0), (200, 1, 0x80));
    assert!(text.contains("grpc-status: 12\r\n"), "{text}");
}

#[tokio::test]
async fn gw_e15_text_is_padded_piece_by_piece_both_ways() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 1, "POST", "/library.v1.Library/Watch")
        .header("content-type", "application/grpc-web-text+proto");
    let mut talk = Talk::begin(world.address, 1, request).await;
    let frame = framed(0, &message("/library.v1.Library/Watch", &json!({"s": "abcd"})));
    // Each half is padded on its own, and the second is cut within a group.
    let (left, right) = frame.split_at(7);
    let (left, right) = (STANDARD.encode(left), STANDARD.encode(right));
    talk.say(left).await;
    talk.say(right[..3].to_owned()).await;
    talk.say(right[3..].to_owned()).await;
    talk.finish();
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "abcd"})));
    call.begin();
    let mut heard = talk.heard().await;
    let mut whole = Vec::new();
    for (number, text) in ["a", "bc", "def"].into_iter().enumerate() {
        call.send(&json!({"text": text}));
        // It can be read before the next one is sent.
        while frames_so_far(&whole).len() <= number {
            assert!(heard.more().await);
            assert_eq!(heard.rest.len() % 4, 0, "a group waits for the next message");
            whole.extend(decoded(&std::mem::take(&mut heard.rest)));
        }
    }
    call.end(0);
    while heard.more().await {}
    whole.extend(decoded(&heard.rest));
    let frames = frames(&whole);
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[3].0, 0x80);
}

fn frames_so_far(body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut end = 0;
    while let Some(head) = body.get(end..end + 5) {
        let next = end + 5 + u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if next > body.len() {
            break;
        }
        end = next;
    }
    frames(&body[..end])
}

/// Base64 with padding anywhere.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|group| STANDARD.decode(group).expect("base64")).collect()
}

#[tokio::test]
async fn gw_e15_text_that_is_no_base64_is_refused() {
    let world = World::start("").await;
    for bad in ["!!!!", "AAA", "AAAAA"] {
        let reply = call(&world, 1, ECHO, "application/grpc-web-text", bad.as_bytes().to_vec()).await;
        let frames = frames(&STANDARD.decode(&reply.body).expect("base64"));
        let text = String::from_utf8_lossy(&frames[0].1).into_owned();
        assert!(text.contains("grpc-status: 3\r\n"), "{bad}: {text}");
    }
}

#[tokio::test]
async fn gw_e15_a_preflight_of_an_rpc_path_is_answered() {
    let world = World::start("cors_origins = [\"https://app.example\"]").await;
    let request = client::request(world.address, 1, "OPTIONS", ECHO)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-grpc-web");
    let reply = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
    assert_eq!(reply.status, 204);
    assert!(reply.headers["access-control-allow-methods"].to_str().expect("text").contains("POST"));
    assert!(reply.headers["access-control-allow-headers"].to_str().expect("text").contains("x-grpc-web"));
}
