//! How long the edge waits for whom (gateway.md 4.18). Limits are short here, and nothing is measured: what must end, ends.
use http_body_util::Full;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    client::{self, Talk},
    soon,
    upstream::Answer,
    world::World,
};

#[tokio::test]
async fn gw_4_18_connections_that_say_nothing_or_half_a_head_are_closed() {
    let world = World::start("head_timeout = \"100ms\"").await;
    for begin in ["", "G", "PRI * HTTP/2.0\r\n", "GET /v1/query HTTP/1.1\r\nhost: a\r\nx-slow: a"] {
        let mut stream = TcpStream::connect(world.address).await.expect("the edge listens");
        stream.write_all(begin.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "{begin:?}");
    }
}

#[tokio::test]
async fn gw_4_18_silent_bodies_are_408() {
    let world = World::start("body_idle = \"100ms\"\nupload_idle = \"100ms\"").await;
    world.upstream.answers(Answer::default());
    for (target, kind, setting) in [
        ("/v1/echo", "application/json", "gateway.body_idle"),
        ("/v1/collect", "application/x-ndjson", "gateway.body_idle"),
        ("/v1/send/n", "image/png", "gateway.upload_idle"),
        ("/v1/send/n", "multipart/form-data; boundary=XX", "gateway.upload_idle"),
    ] {
        let request = client::request(world.address, 1, "POST", target).header("content-type", kind);
        let mut talk = Talk::begin(world.address, 1, request).await;
        talk.say("{\"s\":").await;
        let mut heard = talk.heard().await;
        assert_eq!(heard.status, 408, "{target} {kind}");
        let text = heard.all().await;
        assert!(text.contains(setting), "{target} {kind}: {text}");
    }
}

#[tokio::test]
async fn gw_4_18_silent_upstreams_end_streams_but_not_events() {
    let world = World::start("stream_idle = \"300ms\"").await;
    world.upstream.goes_live();
    let open = async |accept: &str| {
        let request = client::request(world.address, 1, "GET", "/v1/watch").header("accept", accept);
        let mut talk = Talk::begin(world.address, 1, request).await;
        talk.finish();
        let mut call = world.upstream.next_live().await;
        call.send(&json!({"text": "a"}));
        (talk.heard().await, call)
    };
    let (mut events, mut kept) = open("text/event-stream").await;
    let (mut lines, call) = open("application/x-ndjson").await;
    let text = lines.all().await;
    assert!(text.contains("UNAVAILABLE") && text.contains("gateway.stream_idle"), "{text}");
    call.cancelled().await;
    kept.send(&json!({"text": "still here"}));
    kept.end(0);
    let text = events.all().await;
    assert!(text.contains(":\n\n") && text.contains("still here") && text.contains("event: end"), "{text}");
}

#[tokio::test]
async fn gw_4_18_a_connection_of_http2_that_answers_no_ping_is_closed() {
    let world = World::start("keep_alive = \"100ms\"").await;
    let mut stream = TcpStream::connect(world.address).await.expect("the edge listens");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    // The head of a PING: eight bytes, type 6, no flags, the connection itself.
    assert!(answer.windows(9).any(|head| head == [0, 0, 8, 6, 0, 0, 0, 0, 0]), "it was asked: {answer:?}");
}

#[tokio::test]
async fn gw_4_18_a_client_that_takes_nothing_is_cut_off() {
    let world = World::start("stream_idle = \"300ms\"").await;
    world.upstream.goes_live();
    let mut stream = TcpStream::connect(world.address).await.expect("the edge listens");
    stream.write_all(b"GET /v1/watch HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    let mut call = world.upstream.next_live().await;
    let event = crate::contract::wire(
        &crate::contract::method("/library.v1.Library/Watch").expect("a method").output(),
        &json!({"text": "x".repeat(1 << 20)}),
    );
    // The client holds the connection and reads nothing: the upstream is told that nobody takes its messages.
    call.push(client::framed(0, &event).repeat(64).into()).await;
    call.cancelled().await;
}

#[tokio::test]
async fn gw_4_18_old_connections_end_and_their_streams_are_told() {
    for version in [1, 2] {
        let world = World::start("connection_age = \"200ms\"\nconnection_grace = \"200ms\"").await;
        world.upstream.goes_live();
        let request =
            client::request(world.address, version, "GET", "/v1/watch").header("accept", "application/x-ndjson");
        let mut talk = Talk::begin(world.address, version, request).await;
        talk.finish();
        let mut call = world.upstream.next_live().await;
        call.send(&json!({"text": "a"}));
        let mut heard = talk.heard().await;
        let text = heard.all().await;
        assert!(text.starts_with("{\"text\":\"a\"}\n") && text.contains("UNAVAILABLE"), "HTTP/{version}: {text}");
        assert!(!heard.broken, "HTTP/{version}");
        call.cancelled().await;
    }
}

#[tokio::test]
async fn gw_4_18_who_asks_nothing_of_reflection_is_not_waited_for() {
    const PATH: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let ended = async |settings: &str, version: u8, kind: &str| {
        let world = World::start(settings).await;
        let request = client::request(world.address, version, "POST", PATH).header("content-type", kind);
        let request = if version == 2 { request.header("te", "trailers") } else { request };
        let mut talk = Talk::begin(world.address, version, request).await;
        let mut heard = talk.heard().await;
        while heard.more().await {}
        heard
    };
    for (version, kind) in [(2, "application/grpc"), (1, "application/grpc-web+proto")] {
        ended("stream_idle = \"100ms\"", version, kind).await;
    }
    let age = "connection_age = \"200ms\"\nconnection_grace = \"200ms\"";
    let heard = ended(age, 2, "application/grpc").await;
    assert_eq!(heard.trailers.get("grpc-status").map(http::HeaderValue::as_bytes), Some(&b"14"[..]));
    let heard = ended(age, 1, "application/grpc-web+proto").await;
    assert!(String::from_utf8_lossy(&heard.rest).contains("grpc-status: 14"), "{:?}", heard.rest);
}

#[tokio::test]
async fn gw_4_18_running_requests_finish_when_the_edge_stops() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 2, "GET", "/v1/watch").header("accept", "application/x-ndjson");
    let mut talk = Talk::begin(world.address, 2, request).await;
    talk.finish();
    let mut call = world.upstream.next_live().await;
    call.send(&json!({"text": "a"}));
    let mut heard = talk.heard().await;
    assert_eq!(heard.line().await, r#"{"text":"a"}"#);
    world.stop();
    call.send(&json!({"text": "b"}));
    call.end(0);
    assert_eq!(heard.line().await, r#"{"text":"b"}"#);
    assert_eq!((heard.all().await, heard.broken), (String::new(), false));
}

#[tokio::test]
async fn gw_4_18_rapid_resets_end_the_connection_not_the_edge() {
    let world = World::start("").await;
    world.upstream.answers(Answer { delay: 2_000, ..Answer::default() });
    let mut stream = TcpStream::connect(world.address).await.expect("the edge listens");
    // By raw frames, so that each request is reset before the edge looks at it: preface and settings, then HEADERS (GET, http,
    // `/`, authority `a`; it ends the stream) and RST_STREAM (CANCEL) of one stream after the other.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1_u32..400).step_by(2).map(u32::to_be_bytes) {
        bytes.extend([&[0, 0, 6, 1, 5][..], &stream, &[0x82, 0x86, 0x84, 0x41, 1, b'a']].concat());
        bytes.extend([&[0, 0, 4, 3, 0][..], &stream, &[0, 0, 0, 8]].concat());
    }
    stream.write_all(&bytes).await.expect("sent");
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert_eq!(ended(&answer), Some(u32::from(h2::Reason::ENHANCE_YOUR_CALM)), "{answer:x?}");
    world.upstream.answers(Answer::default());
    let request = client::request(world.address, 1, "GET", "/v1/query?s=a").body(Full::default()).expect("a request");
    assert_eq!(client::send(world.address, 1, request).await.status, 200);
}

/// The code of the GOAWAY among these frames.
fn ended(mut frames: &[u8]) -> Option<u32> {
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (payload, next) = rest.split_at_checked(length)?;
        if *kind == 7 {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        frames = next;
    }
    None
}
