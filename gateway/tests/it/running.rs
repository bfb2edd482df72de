//! Streams while they run, and limits that need more than a line of YAML.
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, Full};
use serde_json::json;

use crate::{
    client,
    upstream::Answer,
    world::{World, until},
};

/// The head of an answer and its body, still to be read, over HTTP/1.1.
async fn open(world: &World, path: &str, accept: &str) -> http::Response<hyper::body::Incoming> {
    let request = client::request(world.address, 1, "GET", path).header(header::ACCEPT, accept);
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    client::begin(world.address, 1, request).await.expect("the edge answers")
}

#[tokio::test]
async fn gw_s08_a_reader_that_stops_stops_the_upstream() {
    let world = World::start("").await;
    let rounds = 4_000;
    let text = "x".repeat(64 * 1024);
    world.upstream.answers(Answer {
        messages: Some(vec![json!({"text": text})]),
        rounds: Some(rounds),
        ..Answer::default()
    });
    let mut response = open(&world, "/v1/watch", "application/x-ndjson").await;
    let first = response.body_mut().frame().await.expect("a message").expect("it is whole");
    assert!(first.into_data().is_ok());
    let (mut before, mut quiet) = (0, 0);
    until("the upstream stands still", || {
        let sent = world.upstream.sent();
        quiet = if sent == before { quiet + 1 } else { 0 };
        before = sent;
        std::future::ready(quiet > 25)
    })
    .await;
    assert!(before < rounds / 4, "{before} of {rounds} messages were taken though nobody reads");
    drop(response);
    until("the upstream's call ends", || std::future::ready(world.upstream.seen()[0].cancelled)).await;
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_call() {
    let world = World::start("").await;
    for (path, accept) in
        [("/v1/watch", "application/json"), ("/v1/watch", "text/event-stream"), ("/v1/download", "*/*")]
    {
        let message = if path == "/v1/watch" { json!({"text": "a"}) } else { json!({"data": "YQ=="}) };
        world.upstream.answers(Answer {
            messages: Some(vec![message.clone(), message]),
            gap: 60_000,
            ..Answer::default()
        });
        let mut response = open(&world, path, accept).await;
        response.body_mut().frame().await.expect("a message").expect("it is whole");
        drop(response);
        until("the upstream's call ends", || std::future::ready(world.upstream.seen()[0].cancelled)).await;
    }
    // The same before the answer has begun.
    world.upstream.answers(Answer { delay: 60_000, ..Answer::default() });
    let waiting = tokio::time::timeout(Duration::from_millis(500), open(&world, "/v1/query", "*/*")).await;
    assert!(waiting.is_err(), "the upstream has not answered");
    until("the upstream's call ends", || std::future::ready(world.upstream.seen()[0].cancelled)).await;
}

#[tokio::test]
async fn gw_q22_parameters_are_bounded() {
    let world = World::start("").await;
    let pairs = |count: usize| vec!["rs=x"; count].join("&");
    let deep = format!("{}s=x", "child.".repeat(64));
    for (query, status) in [(pairs(1_000), 200), (pairs(1_001), 400), (deep, 400)] {
        world.upstream.answers(Answer::default());
        let request = client::request(world.address, 1, "GET", &format!("/v1/query?{query}"));
        let reply = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
        assert_eq!(reply.status, status, "{}", String::from_utf8_lossy(&reply.body));
        assert_eq!(world.upstream.seen().is_empty(), status == 400);
    }
}

#[tokio::test]
async fn gw_j12_what_is_unknown_is_skipped_where_that_is_set() {
    let body = json!({
        "s": "x",
        "unknown": {"deep": [1, null]},
        "sub": {"a": "b", "none": 1},
        "e": "NONESUCH",
        "re": ["RED", "NONESUCH"],
        "me": {"a": "NONESUCH", "b": "RED"},
    });
    for (settings, status) in [("", 400), ("ignore_unknown = true", 200)] {
        let world = World::start(settings).await;
        for (verb, target, body, seen) in [
            ("POST", "/v1/echo", &body, json!({"s": "x", "sub": {"a": "b"}, "re": ["RED"], "me": {"b": "RED"}})),
            ("GET", "/v1/query?s=x&unknown=1", &json!(null), json!({"s": "x"})),
        ] {
            world.upstream.answers(Answer::default());
            let request = client::request(world.address, 1, verb, target).header("content-type", "application/json");
            let text = if body.is_null() { String::new() } else { body.to_string() };
            let reply = client::send(world.address, 1, request.body(Full::new(text.into())).expect("a request")).await;
            assert_eq!(reply.status, status, "{target}: {}", String::from_utf8_lossy(&reply.body));
            let arrived: Vec<_> = world.upstream.seen().into_iter().flat_map(|seen| seen.messages).collect();
            assert_eq!(arrived, if status == 200 { vec![seen] } else { Vec::new() }, "{target}");
        }
    }
}

#[tokio::test]
async fn gw_s02_each_line_is_sent_when_it_is_there() {
    let world = World::start("").await;
    world.upstream.answers(Answer {
        messages: Some(vec![json!({"text": "a"}), json!({"text": "b"})]),
        gap: 60_000,
        ..Answer::default()
    });
    let mut response = open(&world, "/v1/watch", "application/x-ndjson").await;
    let first = response.body_mut().frame().await.expect("a message").expect("it is whole").into_data();
    assert_eq!(first.expect("data"), "{\"text\":\"a\"}\n");
}

#[tokio::test]
async fn gw_e14_what_is_left_of_the_time_goes_upstream() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let request = client::request(world.address, 1, "GET", "/v1/query").header("grpc-timeout", "5S");
    client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
    let seen = world.upstream.seen();
    let left = seen[0].metadata["grpc-timeout"].to_str().expect("ASCII");
    let micros: u64 = left.trim_end_matches('u').parse().expect("microseconds");
    assert!((3_000_000..=5_000_000).contains(&micros), "{left}");
}
