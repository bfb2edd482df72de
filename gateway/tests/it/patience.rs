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
    for (target, kind) in [
        ("/v1/echo", "application/json"),
        ("/v1/collect", "application/x-ndjson"),
        ("/v1/send/n", "image/png"),
        ("/v1/send/n", "multipart/form-data; boundary=XX"),
    ] {
        let request = client::request(world.address, 1, "POST", target).header("content-type", kind);
        let mut talk = Talk::begin(world.address, 1, request).await;
        talk.say("{\"s\":").await;
        let heard = talk.heard().await;
        assert_eq!(heard.status, 408, "{target} {kind}");
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
    call.push(crate::grpc_web::framed(0, &event).repeat(64).into()).await;
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
    let stream = TcpStream::connect(world.address).await.expect("the edge listens");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let ended = tokio::spawn(connection);
    for _ in 0..5_000 {
        let Ok(mut sender) = sender.clone().ready().await else { break };
        let request = http::Request::get(format!("http://{}/v1/query", world.address)).body(()).expect("a request");
        let Ok((_, mut stream)) = sender.send_request(request, true) else { break };
        stream.send_reset(h2::Reason::CANCEL);
    }
    drop(sender);
    let _ = soon(ended).await;
    world.upstream.answers(Answer::default());
    let request = client::request(world.address, 1, "GET", "/v1/query?s=a").body(Full::default()).expect("a request");
    assert_eq!(client::send(world.address, 1, request).await.status, 200);
}
