//! What one address may hold and what all may, and how long a body may take (gateway.md 4.10, 4.11 filter 4, 4.18). Callers
//! stand behind a proxy that is trusted, so that each test has several addresses.
use std::future::ready;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    client::{self, Reply, Talk, framed},
    soon,
    upstream::Answer,
    world::{World, until},
};

/// A body of JSON with so many bytes.
fn body(length: usize) -> String {
    let text = format!("{{\"s\":\"{}\"}}", "x".repeat(length - 8));
    assert_eq!(text.len(), length);
    text
}

fn from(world: &World, address: &str, path: &str) -> http::request::Builder {
    client::request(world.address, 1, "POST", path)
        .header("content-type", "application/json")
        .header("x-forwarded-for", address)
}

async fn echo(world: &World, address: &str, body: impl Into<Bytes>) -> Reply {
    let request = from(world, address, "/v1/echo").body(Full::new(body.into())).expect("a request");
    client::send(world.address, 1, request).await
}

fn refused(reply: &Reply, status: u16, reason: &str, setting: &str) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, status, "{text}");
    assert!(text.contains(reason) && text.contains(setting), "{text}");
    assert_eq!(reply.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{text}");
}

/// Sends a head, and then one space after the other until the edge closes; its answer.
async fn trickled(world: &World, head: &str) -> String {
    let stream = TcpStream::connect(world.address).await.expect("the edge listens");
    let (mut read, mut write) = stream.into_split();
    write.write_all(head.as_bytes()).await.expect("sent");
    let dripping = tokio::spawn(async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
        while write.write_all(b"1\r\n \r\n").await.is_ok() {
            tick.tick().await;
        }
    });
    // Who is closed upon while he sends may see a reset after the answer.
    let mut answer = Vec::new();
    let _ = soon(read.read_to_end(&mut answer)).await;
    dripping.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn gw_4_10_a_body_that_trickles_ends_with_the_time_of_its_call() {
    let chunked = "host: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n";
    for (settings, more) in [("deadline = \"200ms\"", ""), ("", "x-server-timeout: 0.2\r\n")] {
        let world = World::start(settings).await;
        world.upstream.answers(Answer::default());
        // REST, REST with a stream as answer, Connect.
        for (path, code) in [
            ("/v1/echo", "DEADLINE_EXCEEDED"),
            ("/v1/watch", "DEADLINE_EXCEEDED"),
            ("/library.v1.Library/Echo", "deadline_exceeded"),
        ] {
            let answer = trickled(&world, &format!("POST {path} HTTP/1.1\r\n{chunked}{more}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains(code), "{path}: {answer}");
            assert!(answer.contains("BODY_TOO_SLOW") && answer.contains("gateway.deadline"), "{path}: {answer}");
        }
        assert!(world.upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn gw_4_11_connections_of_one_address_are_bounded() {
    let world = World::start("connections_address = 2").await;
    world.upstream.answers(Answer::default());
    let first = TcpStream::connect(world.address).await.expect("the edge listens");
    let _second = TcpStream::connect(world.address).await.expect("the edge listens");
    let mut third = TcpStream::connect(world.address).await.expect("the edge listens");
    assert!(matches!(soon(third.read(&mut [0])).await, Ok(0) | Err(_)), "it is closed");
    drop(first);
    until("a connection that ended makes room", async || {
        let mut next = TcpStream::connect(world.address).await.expect("the edge listens");
        let sent = next.write_all(b"GET /v1/query?s=a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        let mut answer = Vec::new();
        let read = soon(next.read_to_end(&mut answer)).await;
        sent.is_ok() && read.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
    })
    .await;
}

#[tokio::test]
async fn gw_4_11_connections_of_trusted_proxies_are_not_counted_by_address() {
    let world = World::start("connections_address = 1\ntrusted_hops = 1").await;
    world.upstream.answers(Answer::default());
    let _held = TcpStream::connect(world.address).await.expect("the edge listens");
    assert_eq!(echo(&world, "10.0.0.1", "{}").await.status, 200);
}

#[tokio::test]
async fn gw_4_11_requests_at_work_of_one_address_are_bounded() {
    let world = World::start("requests_address = 1\ntrusted_hops = 1").await;
    world.upstream.goes_live();
    let begun = async |address: &str| {
        let mut talk = Talk::begin(world.address, 1, from(&world, address, "/v1/echo")).await;
        talk.say("{}").await;
        talk.finish();
        (talk, world.upstream.next_live().await)
    };
    let (mut first, call) = begun("10.0.0.1").await;
    let reply = echo(&world, "10.0.0.1", "{}").await;
    refused(&reply, 429, "RATE_LIMITED", "gateway.requests_address");
    // Others are served, and so is the first one.
    let (mut second, other) = begun("10.0.0.2").await;
    for (talk, mut call) in [(&mut first, call), (&mut second, other)] {
        call.send(&json!({"s": "a"}));
        call.end(0);
        assert_eq!(talk.heard().await.status, 200);
    }
    let (mut again, mut call) = begun("10.0.0.1").await;
    call.send(&json!({"s": "b"}));
    call.end(0);
    assert_eq!(again.heard().await.status, 200);
}

#[tokio::test]
async fn gw_4_11_streams_of_one_address_are_bounded_to_their_end() {
    let world = World::start("streams_address = 1\ntrusted_hops = 1").await;
    world.upstream.goes_live();
    let get = |address: &str| client::request(world.address, 1, "GET", "/v1/watch").header("x-forwarded-for", address);
    let mut first = Talk::begin(world.address, 1, get("10.0.0.1")).await;
    first.finish();
    let mut call = world.upstream.next_live().await;
    call.send(&json!({"text": "a"}));
    let mut heard = first.heard().await;
    assert_eq!(heard.status, 200);
    until("its answer has begun", || ready(page(&world)["requests"]["at_work"] == 0)).await;
    let request = get("10.0.0.1").body(Full::default()).expect("a request");
    let reply = client::send(world.address, 1, request).await;
    refused(&reply, 429, "RATE_LIMITED", "gateway.streams_address");
    assert_eq!(echo_of(&world, "10.0.0.1").await, 200, "a call is no stream");
    call.end(0);
    heard.all().await;
    until("its end makes room", || ready(page(&world)["streams"]["open"] == 0)).await;
}

/// A call that the test answers; its status.
async fn echo_of(world: &World, address: &str) -> u16 {
    let answered = async {
        let mut call = world.upstream.next_live().await;
        call.send(&json!({"s": "a"}));
        call.end(0);
    };
    let (reply, ()) = tokio::join!(echo(world, address, "{}"), answered);
    reply.status.as_u16()
}

#[tokio::test]
async fn a_message_that_no_service_takes_is_too_large_and_not_too_many() {
    let world = World::start("body_max = \"16 MiB\"").await;
    world.upstream.answers(Answer::default());
    refused(&echo(&world, "10.0.0.1", body(9 << 20)).await, 413, "MESSAGE_TOO_LARGE", "8388608 bytes");
    assert!(world.upstream.seen().is_empty());
}

#[tokio::test]
async fn heads_have_the_limits_that_are_set() {
    let world = World::start("head_max = \"2 KiB\"\nheaders_max = 10\ntarget_max = \"512 B\"").await;
    world.upstream.answers(Answer::default());
    for version in [1, 2] {
        let send = async |request: http::request::Builder| {
            client::send(world.address, version, request.body(Full::default()).expect("a request")).await
        };
        let get = |target: &str| client::request(world.address, version, "GET", target);
        assert_eq!(send(get("/v1/query?s=a").header("x-a", "a".repeat(1_500))).await.status, 200);
        let many = (0..11).fold(get("/v1/query?s=a"), |request, number| request.header(format!("x-{number}"), "a"));
        refused(&send(many).await, 431, "HEADERS_TOO_MANY", "gateway.headers_max");
        refused(
            &send(get(&format!("/v1/query?s={}", "a".repeat(600)))).await,
            414,
            "TARGET_TOO_LONG",
            "gateway.target_max",
        );
    }
    let long = client::request(world.address, 1, "GET", "/v1/query?s=a").header("x-a", "a".repeat(2_100));
    let reply = client::send(world.address, 1, long.body(Full::default()).expect("a request")).await;
    refused(&reply, 431, "HEADERS_TOO_LONG", "gateway.head_max");
}

#[tokio::test]
async fn bodies_of_any_length_and_pieces_come_whole() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let text = body(1_000_000);
    for size in [100_000, 7_777, 999_999] {
        let mut talk = Talk::begin(world.address, 1, from(&world, "10.0.0.1", "/v1/echo")).await;
        for piece in text.as_bytes().chunks(size) {
            talk.say(piece.to_vec()).await;
        }
        talk.finish();
        assert!(talk.heard().await.all().await == text, "in pieces of {size}");
    }
    assert!(echo(&world, "10.0.0.1", text.clone()).await.body == text);
}

/// A request of 10.0.0.1 whose first bytes take the half of `bodies_max` that one address may have: REST with its length
/// announced, REST in pieces, a stream of Connect and one of lines, one message of gRPC.
async fn hoarding(world: &World, kind: &str) -> Talk {
    let half = 1 << 20;
    let (request, said) = match kind {
        "announced" => (from(world, "10.0.0.1", "/v1/echo").header("content-length", half.to_string()), vec![b'{']),
        "pieces" => (from(world, "10.0.0.1", "/v1/echo"), vec![b' '; half]),
        "grpc" | "grpc-web" => {
            let request = client::request(world.address, 1, "POST", "/library.v1.Library/Echo");
            let request = request.header("content-type", format!("application/{kind}"));
            (request.header("x-forwarded-for", "10.0.0.1"), framed(0, &vec![0; half])[..half].to_vec())
        }
        "connect" => {
            let request = client::request(world.address, 1, "POST", "/library.v1.Library/Collect");
            let request = request.header("content-type", "application/connect+proto");
            (request.header("x-forwarded-for", "10.0.0.1"), framed(0, &vec![0; half])[..half].to_vec())
        }
        _ => {
            let request =
                client::request(world.address, 1, "POST", "/v1/collect").header("x-forwarded-for", "10.0.0.1");
            (request.header("content-type", "application/x-ndjson"), vec![b' '; half])
        }
    };
    let talk = Talk::begin(world.address, 1, request).await;
    talk.say(said).await;
    talk
}

#[tokio::test]
async fn gw_4_18_memory_for_bodies_has_a_budget() {
    let world = World::start("trusted_hops = 1\nbody_max = \"1 MiB\"\nbodies_max = \"2 MiB\"").await;
    world.upstream.answers(Answer::default());
    let large = body(128 * 1024);
    for kind in ["announced", "pieces", "connect", "lines", "grpc", "grpc-web"] {
        let talk = hoarding(&world, kind).await;
        until("one address has its half", || ready(page(&world)["bodies"]["reserved"] == 1 << 20)).await;
        refused(&echo(&world, "10.0.0.1", large.clone()).await, 429, "RATE_LIMITED", "gateway.bodies_max");
        // What is small goes through, and others have theirs.
        assert_eq!(echo(&world, "10.0.0.1", body(32 * 1024)).await.status, 200, "{kind}");
        assert_eq!(echo(&world, "10.0.0.2", large.clone()).await.status, 200, "{kind}");
        drop(talk);
        until("it is given back", async || echo(&world, "10.0.0.1", large.clone()).await.status == 200).await;
    }
}

#[tokio::test]
async fn gw_4_18_a_budget_that_is_used_up_is_waited_for_and_then_503() {
    let world = World::start("trusted_hops = 1\nbody_max = \"1 MiB\"\nbodies_max = \"2 MiB\"").await;
    world.upstream.answers(Answer::default());
    let large = body(128 * 1024);
    let _first = hoarding(&world, "announced").await;
    let request = from(&world, "10.0.0.2", "/v1/echo").header("content-length", (1 << 20).to_string());
    let second = Talk::begin(world.address, 1, request).await;
    second.say("{").await;
    until("nothing is left", || ready(page(&world)["bodies"]["reserved"] == 2 << 20)).await;
    refused(&echo(&world, "10.0.0.3", large.clone()).await, 503, "SERVICE_UNAVAILABLE", "gateway.bodies_max");
    assert_eq!(echo(&world, "10.0.0.3", "{}").await.status, 200, "what is small needs none");
    // Who waits gets what is given back.
    let waiting = echo(&world, "10.0.0.3", large.clone());
    let (reply, ()) = tokio::join!(waiting, async { drop(second) });
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn settings_of_the_bounds_are_checked() {
    for (settings, said) in [
        ("connections_address = 0", "at least 1"),
        ("requests_address = 0", "at least 1"),
        ("streams_address = 0", "at least 1"),
        ("bodies_max = \"15 MiB\"", "twice body_max"),
        ("head_max = \"2 MiB\"", "head_max"),
        ("headers_max = 0", "headers_max"),
        ("cors_headers = [\"x y\"]", "not the name of a header"),
    ] {
        let refused = crate::world::refused(settings).await;
        assert!(refused.contains(said), "{settings}: {refused}");
    }
}

/// What is open and at work, by the admin page.
pub(crate) fn page(world: &World) -> Value {
    let page = http::Request::get("/listeners").body(Bytes::new()).expect("a request");
    let page: Value = serde_json::from_slice(world.gateway.admin(&page).body()).expect("JSON");
    page[0].clone()
}

#[tokio::test]
async fn gw_4_18_json_is_as_deep_as_the_operator_allows() {
    let world = World::start("depth_max = 3").await;
    let nested = |levels: usize| r#"{"child":"#.repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    assert_eq!(echo(&world, "10.0.0.1", nested(3)).await.status, 200);
    let reply = echo(&world, "10.0.0.1", nested(4)).await;
    let text = String::from_utf8_lossy(&reply.body);
    assert!(reply.status == 400 && text.contains("TOO_DEEP") && text.contains("more than 3 objects"), "{text}");
}
