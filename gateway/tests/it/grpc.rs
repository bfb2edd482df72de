//! Native gRPC through the edge, and what all drivers have in common where they read an upstream's frames.
use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use crate::{
    client::{self, Reply, Talk, framed, frames},
    contract,
    upstream::Answer,
    world::{World, until},
};

const ECHO: &str = "/library.v1.Library/Echo";
const WATCH: &str = "/library.v1.Library/Watch";
const COLLECT: &str = "/library.v1.Library/Collect";

fn builder(world: &World, path: &str, kind: &str) -> http::request::Builder {
    client::request(world.address, 2, "POST", path).header("content-type", kind).header("te", "trailers")
}

fn sent() -> Vec<u8> {
    let input = contract::method(ECHO).expect("a method").input();
    framed(0, &contract::wire(&input, &json!({"s": "hello"})))
}

async fn call(world: &World, path: &str) -> Reply {
    let request = builder(world, path, "application/grpc").body(Full::new(Bytes::from(sent())));
    client::send(world.address, 2, request.expect("a request")).await
}

#[tokio::test]
async fn gw_4_9_the_platforms_own_metadata_stays_inside_in_headers_and_trailers() {
    let world = World::start("").await;
    let answer = Answer {
        headers: ["x-workos-peer", "workos-content-length", "x-lead"]
            .map(|name| (name.to_owned(), "1".to_owned()))
            .into(),
        trailers: ["x-workos-cost", "workos-page", "x-trail"]
            .map(|name| (name.to_owned(), Some("2".to_owned())))
            .into(),
        ..Answer::default()
    };
    for trailers_only in [false, true] {
        world.upstream.answers(Answer { trailers_only, ..answer.clone() });
        let reply = call(&world, ECHO).await;
        let told = if trailers_only { &reply.headers } else { &reply.trailers };
        assert_eq!(
            (&reply.headers["x-lead"], &told["x-trail"], &told["grpc-status"]),
            (&"1".parse().expect("a header"), &"2".parse().expect("a header"), &"0".parse().expect("a header"))
        );
        for name in reply.headers.keys().chain(reply.trailers.keys()) {
            assert!(!name.as_str().contains("workos"), "{name}");
        }
    }
}

#[tokio::test]
async fn gw_4_9_trailers_of_a_request_reach_nobody() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let mut talk = Talk::begin(world.address, 2, builder(&world, COLLECT, "application/grpc")).await;
    talk.say(sent()).await;
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "hello"})));
    talk.finish_with([("x-workos-biscuit-bin", "AAAA"), ("x-mine", "m")]).await;
    assert_eq!(call.next().await, None);
    assert_eq!(call.trailers().await, None);
    call.end(0);
    assert_eq!(talk.heard().await.status, 200);
}

#[tokio::test]
async fn gw_w06_a_message_that_is_cut_is_no_clean_end() {
    let world = World::start("").await;
    let whole = "00 00 00 00 03 0a 01 61";
    for frames in [vec!["00 00 00 00 05 0a"], vec![whole, "00 00 00"]] {
        let frames = Some(frames.into_iter().map(str::to_owned).collect());
        world.upstream.answers(Answer { frames, ..Answer::default() });
        let request = client::request(world.address, 1, "GET", "/v1/query").body(Full::default()).expect("a request");
        let reply = client::send(world.address, 1, request).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 500 && text.contains("cut"), "{text}");
        let request = client::request(world.address, 1, "GET", "/v1/watch").header("accept", "application/x-ndjson");
        let reply = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(text.contains("INTERNAL") && text.contains("cut"), "{text}");
    }
    // An error that the service told stands.
    let frames = Some(vec!["00 00 00 00 05 0a".to_owned()]);
    world.upstream.answers(Answer { frames, status: 5, ..Answer::default() });
    let request = client::request(world.address, 1, "GET", "/v1/query").body(Full::default()).expect("a request");
    assert_eq!(client::send(world.address, 1, request).await.status, 404);
}

/// A stream of each RPC protocol, its first message read.
async fn streams(world: &World) -> Vec<(client::Heard, crate::live::LiveCall)> {
    let mut open = Vec::new();
    for kind in ["application/grpc", "application/grpc-web+proto", "application/connect+proto"] {
        let mut talk = Talk::begin(world.address, 2, builder(world, WATCH, kind)).await;
        talk.say(sent()).await;
        talk.finish();
        let mut call = world.upstream.next_live().await;
        call.send(&json!({"text": "a"}));
        let mut heard = talk.heard().await;
        while heard.rest.is_empty() {
            assert!(heard.more().await, "{kind}");
        }
        open.push((heard, call));
    }
    open
}

/// What each protocol says in the end: gRPC in trailers, the others in a last frame.
async fn told(world: &World, said: &str) {
    for (mut heard, call) in streams(world).await {
        while heard.more().await {}
        let last = frames(&heard.rest).pop().expect("a message").1;
        let kind = heard.headers["content-type"].to_str().expect("text").to_owned();
        let text = match heard.trailers.get("grpc-status") {
            Some(status) => {
                assert_eq!(status, "14", "{kind}");
                heard.trailers["grpc-message"].to_str().expect("text").to_owned()
            }
            None => String::from_utf8_lossy(&last).into_owned(),
        };
        assert!(text.contains(said) && !heard.broken, "{kind}: {text}");
        call.cancelled().await;
    }
}

#[tokio::test]
async fn gw_4_18_silent_upstreams_end_streams_of_every_protocol() {
    let world = World::start("stream_idle = \"300ms\"").await;
    world.upstream.goes_live();
    told(&world, "gateway.stream_idle").await;
    // Who answers once may take his time: that is what a deadline is for.
    let mut talk = Talk::begin(world.address, 2, builder(&world, COLLECT, "application/grpc")).await;
    talk.say(sent()).await;
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "hello"})));
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    tokio::time::resume();
    talk.finish();
    assert_eq!(call.next().await, None);
    call.send(&json!({"s": "late"}));
    call.end(0);
    let mut heard = talk.heard().await;
    while heard.more().await {}
    assert_eq!(heard.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn gw_4_18_streams_of_every_protocol_are_told_when_their_connection_is_old() {
    let world = World::start("connection_age = \"300ms\"\nconnection_grace = \"200ms\"").await;
    world.upstream.goes_live();
    told(&world, "ends now").await;
}

#[tokio::test]
async fn gw_4_18_draining_cuts_no_running_call_and_no_raw_body() {
    let world = World::start("connection_grace = \"100ms\"").await;
    world.upstream.goes_live();
    let get = |path: &str| client::request(world.address, 1, "GET", path).header("accept", "application/x-ndjson");
    let mut lines = Talk::begin(world.address, 1, get("/v1/watch")).await;
    lines.finish();
    let mut watched = world.upstream.next_live().await;
    watched.send(&json!({"text": "a"}));
    let mut lines = lines.heard().await;
    let mut bytes = Talk::begin(world.address, 1, client::request(world.address, 1, "GET", "/v1/download")).await;
    bytes.finish();
    let mut download = world.upstream.next_live().await;
    download.send(&json!({"data": "YQ=="}));
    let mut bytes = bytes.heard().await;
    let mut unary = Talk::begin(world.address, 2, builder(&world, ECHO, "application/grpc")).await;
    unary.say(sent()).await;
    unary.finish();
    let mut echo = world.upstream.next_live().await;
    let drain = http::Request::post("/drain_listeners").body(Bytes::new()).expect("a request");
    assert_eq!(world.gateway.admin(&drain).status(), 200);
    let text = lines.all().await;
    assert!(text.contains("UNAVAILABLE"), "the grace time is over: {text}");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    tokio::time::resume();
    // The cut of a connection would be seen by its upstream call.
    until("all that was to happen has", || std::future::ready(true)).await;
    download.send(&json!({"data": "Yg=="}));
    download.end(0);
    assert_eq!((bytes.all().await, bytes.broken), ("ab".to_owned(), false));
    assert_eq!(echo.next().await, Some(json!({"s": "hello"})));
    echo.send(&json!({"s": "whole"}));
    echo.end(0);
    let mut heard = unary.heard().await;
    while heard.more().await {}
    assert_eq!((heard.trailers["grpc-status"].to_str().expect("text"), heard.broken), ("0", false));
}

#[tokio::test]
async fn gw_e16_get_stands_in_allow_where_connect_reads() {
    let reads = "/library.v1.Library/Query";
    for (settings, path, expected) in
        [("", reads, "GET, OPTIONS, POST"), ("", ECHO, "OPTIONS, POST"), ("connect = false\n", reads, "OPTIONS, POST")]
    {
        let world = World::start(&format!("{settings}cors_origins = [\"https://app.example\"]")).await;
        let options = || client::request(world.address, 1, "OPTIONS", path);
        let preflight =
            options().header("origin", "https://app.example").header("access-control-request-method", "POST");
        let headers = BTreeMap::from([("allow", options()), ("access-control-allow-methods", preflight)]);
        for (name, request) in headers {
            let reply = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
            assert_eq!((reply.status.as_u16(), reply.headers[name].to_str().expect("text")), (204, expected), "{path}");
        }
    }
}

#[tokio::test]
async fn messages_compressed_in_an_unknown_way_are_unimplemented_and_bombs_are_resource_exhausted() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let zeros = vec![0; 32 << 20];
    let zstd = zstd::encode_all(&zeros[..], 1).expect("memory");
    for (coding, message, status) in [("zstd", zstd, "12"), ("gzip", client::gzip(&zeros), "8")] {
        let request = builder(&world, ECHO, "application/grpc").header("grpc-encoding", coding);
        let request = request.body(Full::new(Bytes::from(framed(1, &message)))).expect("a request");
        let reply = client::send(world.address, 2, request).await;
        let told = reply.headers.get("grpc-status").or(reply.trailers.get("grpc-status")).expect("a status");
        assert_eq!(told, status, "{coding}");
    }
    assert!(world.upstream.seen().iter().all(|seen| seen.messages.is_empty()));
}

#[tokio::test]
async fn a_message_that_is_longer_than_a_body_may_be_is_refused_before_it_is_kept() {
    let world = World::start("body_max = \"1 MiB\"").await;
    world.upstream.answers(Answer::default());
    for (length, status) in [((1 << 20) - 5, "0"), ((1 << 20) - 4, "8")] {
        let text = [b"\x0a", &varint(length - 4)[..], &vec![b'x'; length - 4]].concat();
        assert_eq!(text.len(), length);
        let request = builder(&world, ECHO, "application/grpc").body(Full::new(Bytes::from(framed(0, &text))));
        let reply = client::send(world.address, 2, request.expect("a request")).await;
        let told = reply.trailers.get("grpc-status").or(reply.headers.get("grpc-status"));
        assert_eq!(told.expect("a status"), status, "{length}: {:?}", reply.headers);
    }
}

/// Of three bytes.
fn varint(number: usize) -> [u8; 3] {
    let part = |shift: usize| u8::try_from(number >> shift & 0x7f).expect("seven bits");
    [part(0) | 0x80, part(7) | 0x80, part(14)]
}

#[tokio::test]
async fn an_upstream_that_is_no_service_of_the_platform_is_reached_beside_it_in_one_process() {
    let world = World::in_process().await;
    world.upstream.answers(Answer::default());
    let reply = call(&world, ECHO).await;
    assert_eq!(reply.trailers.get("grpc-status").expect("a status"), "0");
    let seen = |path: &str| world.upstream.seen().iter().filter(|call| call.path == path).count();
    assert_eq!(seen(ECHO), 1);
    // The mesh repeats what reached nobody, as for each other service.
    world.upstream.answers(Answer { trailers_only: true, status: 14, ..Answer::default() });
    let request = client::request(world.address, 1, "GET", "/v1/query?s=a").body(Full::default());
    assert_eq!(client::send(world.address, 1, request.expect("a request")).await.status, 503);
    assert!(seen("/library.v1.Library/Query") > 1, "a read is tried again");
}

#[tokio::test]
async fn the_callers_trace_goes_on_where_it_is_trusted_alone() {
    let asked = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (settings, goes_on) in [("trusted_hops = 1", false), ("trusted_traces = true", true)] {
        let world = World::start(settings).await;
        world.upstream.answers(Answer::default());
        let request = builder(&world, ECHO, "application/grpc").header("traceparent", asked);
        let reply =
            client::send(world.address, 2, request.body(Full::new(Bytes::from(sent()))).expect("a request")).await;
        assert_eq!(reply.trailers.get("grpc-status").expect("a status"), "0");
        let seen = world.upstream.seen().pop().expect("a call");
        let trace = seen.metadata.get("traceparent").expect("each call has one").to_str().expect("text");
        assert_eq!(trace[3..35] == asked[3..35], goes_on, "{trace}");
    }
}
