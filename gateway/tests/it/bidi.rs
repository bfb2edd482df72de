//! Client and bidirectional streams over a request body (gateway.md 4.7), and what breaks them off.
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    client::{self, Talk},
    upstream::Answer,
    world::World,
};

fn chat(world: &World, version: u8, kind: &str) -> http::request::Builder {
    client::request(world.address, version, "POST", "/v1/chat")
        .header("content-type", kind)
        .header("accept", "application/x-ndjson")
}

#[tokio::test]
async fn gw_4_7_lines_go_both_ways_at_the_same_time() {
    for version in [2, 1] {
        let world = World::start("").await;
        world.upstream.goes_live();
        let mut talk = Talk::begin(world.address, version, chat(&world, version, "application/x-ndjson")).await;
        talk.say("{\"s\":\"one\"}\n{\"s\":").await;
        let mut call = world.upstream.next_live().await;
        assert_eq!(call.next().await, Some(json!({"s": "one"})));
        call.send(&json!({"text": "first"}));
        let mut heard = talk.heard().await;
        assert_eq!(heard.line().await, r#"{"text":"first"}"#);
        talk.say("\"two\"}\n").await;
        assert_eq!(call.next().await, Some(json!({"s": "two"})));
        call.send(&json!({"text": "second"}));
        assert_eq!(heard.line().await, r#"{"text":"second"}"#);
        talk.finish();
        assert_eq!(call.next().await, None);
        assert!(call.is_whole());
        call.end(0);
        assert_eq!((heard.all().await, heard.broken), (String::new(), false), "HTTP/{version}");
    }
}

#[tokio::test]
async fn gw_4_7_the_elements_of_an_array_are_sent_when_complete() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 1, "POST", "/v1/collect").header("content-type", "application/json");
    let mut talk = Talk::begin(world.address, 1, request).await;
    talk.say("[{\"s\":\"one\"},{\"s\"").await;
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    talk.say(":\"two\"}]").await;
    assert_eq!(call.next().await, Some(json!({"s": "two"})));
    talk.finish();
    assert_eq!(call.next().await, None);
    call.send(&json!({"s": "three"}));
    call.end(0);
    let mut heard = talk.heard().await;
    assert_eq!((heard.status.as_u16(), heard.all().await), (200, r#"{"s":"three"}"#.to_owned()));
}

#[tokio::test]
async fn gw_4_7_a_message_at_fault_breaks_the_call_and_is_told() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 1, "POST", "/v1/collect").header("content-type", "application/json");
    let mut talk = Talk::begin(world.address, 1, request).await;
    talk.say("[{\"s\":\"one\"},").await;
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    talk.say("{\"wrong\":1},").await;
    let mut heard = talk.heard().await;
    assert_eq!(heard.status, 400);
    assert!(heard.all().await.contains("wrong"));
    assert_eq!(call.next().await, None);
    assert!(!call.is_whole(), "the upstream must not take the call for complete");
}

#[tokio::test]
async fn gw_4_7_what_is_wrong_from_the_beginning_reaches_nobody() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    for (kind, body, status) in [
        ("application/json", r#"{"s":"no array"}"#, 400),
        ("application/json", "[{]", 400),
        ("application/x-ndjson", "{\"wrong\":1}\n", 400),
        ("text/plain", "a", 415),
    ] {
        let request = client::request(world.address, 1, "POST", "/v1/collect").header("content-type", kind);
        let reply =
            client::send(world.address, 1, request.body(Full::new(Bytes::from(body))).expect("a request")).await;
        assert_eq!(reply.status, status, "{body}");
        assert!(world.upstream.seen().is_empty(), "{body}");
    }
}

#[tokio::test]
async fn gw_s08_a_client_that_leaves_cancels_upstream() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 2, "GET", "/v1/watch").header("accept", "application/x-ndjson");
    let mut talk = Talk::begin(world.address, 2, request).await;
    talk.finish();
    let mut call = world.upstream.next_live().await;
    call.send(&json!({"text": "a"}));
    let mut heard = talk.heard().await;
    heard.line().await;
    drop(heard);
    drop(talk);
    call.cancelled().await;
}

#[tokio::test]
async fn gw_s08_a_slow_reader_stops_the_upstream() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 1, "GET", "/v1/watch").header("accept", "application/x-ndjson");
    let mut talk = Talk::begin(world.address, 1, request).await;
    talk.finish();
    let mut call = world.upstream.next_live().await;
    // Far more than all buffers on the way: the client reads none of it.
    let event = crate::contract::wire(
        &crate::contract::method("/library.v1.Library/Watch").expect("a method").output(),
        &json!({"text": "x".repeat(1 << 20)}),
    );
    let all: Bytes = client::framed(0, &event).repeat(64).into();
    let taken = call.push(all).await;
    assert!(taken < 32 << 20, "the edge took {taken} bytes into its memory");
    let mut heard = talk.heard().await;
    let mut lines = 0;
    let read = async {
        while heard.more().await {
            lines += heard.rest.iter().filter(|byte| **byte == b'\n').count();
            heard.rest.clear();
        }
    };
    let pushed = async {
        call.push_rest().await;
        call.end(0);
    };
    tokio::join!(read, pushed);
    assert_eq!(lines, 64);
}

#[tokio::test]
async fn gw_s03_headers_of_events_do_not_wait_for_the_first() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 1, "GET", "/v1/watch")
        .header("accept", "text/event-stream")
        .header("last-event-id", "41");
    let mut talk = Talk::begin(world.address, 1, request).await;
    talk.finish();
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.metadata["last-event-id"], "41");
    // The service has not even begun its answer.
    let mut heard = talk.heard().await;
    assert_eq!(heard.headers["content-type"], "text/event-stream");
    assert_eq!(heard.headers["cache-control"], "no-store");
    assert_eq!(heard.headers["x-accel-buffering"], "no");
    call.send(&json!({"text": "a", "sequence": "42"}));
    assert_eq!(
        (heard.line().await, heard.line().await),
        ("id: 42".to_owned(), r#"data: {"text":"a","sequence":"42"}"#.to_owned())
    );
    call.end(14);
    let rest = heard.all().await;
    assert!(rest.contains("event: error\n") && !rest.contains("event: end"), "{rest}");
}

#[tokio::test]
async fn gw_s06_the_error_record_is_always_seen() {
    let world = World::start("").await;
    for version in [1, 2] {
        for _ in 0..10 {
            world.upstream.answers(Answer {
                messages: Some(vec![json!({"text": "a"})]),
                status: 13,
                ..Answer::default()
            });
            let request = client::request(world.address, version, "GET", "/v1/watch").body(Full::default());
            let reply = client::send(world.address, version, request.expect("a request")).await;
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(reply.broken && text.contains(r#""status":"INTERNAL""#), "HTTP/{version}: {text}");
            assert!(serde_json::from_str::<Value>(&text).is_err(), "the array must not look complete");
        }
    }
}
