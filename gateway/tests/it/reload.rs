//! The schema changes while the edge serves: nothing fails, nothing bad gets in, and what is new needs no edit at the edge.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;

use crate::{
    client::{self, Reply},
    contract::{LIBRARY, compiled},
    reflecting::{Reflecting, Version},
    soon,
    world::{World, until},
};

const ANNEX: [&str; 2] = ["annex.v1.Annex", "grpc.reflection.v1.ServerReflection"];

/// Settings of an edge that looks for changes all the time.
const QUICK: &str = "look = \"20ms\"\nask = \"50ms\"";

async fn get(world: &World, path: &str) -> Reply {
    let request = client::request(world.address, 1, "GET", path).body(Full::default()).expect("a request");
    client::send(world.address, 1, request).await
}

async fn status(world: &World, path: &str) -> u16 {
    get(world, path).await.status.as_u16()
}

fn page(world: &World, path: &str) -> Value {
    let request = Request::builder().uri(path).body(Bytes::new()).expect("a request");
    serde_json::from_slice(world.gateway.admin(&request).body()).expect("pages are JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_under_load_fails_no_call() {
    let world = Arc::new(World::start_with("", QUICK, &[]).await);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (world, stop, calls) = (world.clone(), stop.clone(), calls.clone());
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let reply = get(&world, "/v1/p/s/x").await;
                    calls.fetch_add(1, Ordering::Relaxed);
                    if reply.status != 200 || reply.broken {
                        failed.push(reply.status);
                    }
                }
                failed
            })
        })
        .collect();
    let bigger = [LIBRARY.as_slice(), &compiled("wing.proto")].concat();
    for round in 1..=6 {
        world.write(if round % 2 == 1 { &bigger } else { &LIBRARY });
        until("the file is read", || async { page(&world, "/schema")["swaps"] == round }).await;
        assert_eq!(status(&world, "/v1/wing/x").await != 404, round % 2 == 1);
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        assert_eq!(task.await.expect("no panic"), Vec::<http::StatusCode>::new());
    }
    assert!(calls.load(Ordering::Relaxed) > 50);
}

#[tokio::test]
async fn a_bad_set_is_refused_and_the_old_one_stays() {
    let world = World::start_with("", QUICK, &[]).await;
    let before = page(&world, "/schema");
    let rival = [LIBRARY.as_slice(), &compiled("rival.proto")].concat();
    let torn = &LIBRARY[..LIBRARY.len() / 2];
    for (bad, expected) in
        [(rival.as_slice(), "/rival.v1.Rival/Take"), (torn, "descriptor set"), (b"\xff\xff", "descriptor set")]
    {
        world.write(bad);
        let told = || async {
            page(&world, "/schema")["sources"][0]["error"].as_str().is_some_and(|text| text.contains(expected))
        };
        until(expected, told).await;
        assert_eq!(page(&world, "/schema")["hash"], before["hash"]);
        assert_eq!(status(&world, "/v1/query?s=x").await, 200);
    }
    world.write(&LIBRARY);
    until("the error goes with its cause", || async { page(&world, "/schema")["sources"][0]["error"].is_null() }).await;
    assert_eq!(page(&world, "/schema")["swaps"], 0);
}

#[tokio::test]
async fn a_method_without_access_refuses_the_set() {
    let upstream = Reflecting::start(Version::V1, &compiled("annex.proto"), &ANNEX).await;
    let world = World::start_with("", QUICK, &[("annex", None, upstream.address)]).await;
    let told = || async {
        page(&world, "/schema")["sources"][1]["error"].as_str().is_some_and(|text| text.contains("who may call"))
    };
    until("the refusal", told).await;
    assert_eq!(status(&world, "/v1/annex/x").await, 404);
}

#[tokio::test]
async fn a_new_service_appears_by_reflection_and_a_new_method_with_it() {
    for version in [Version::V1, Version::V1Alpha] {
        let upstream = Reflecting::start(version, &compiled("annex.proto"), &ANNEX).await;
        let world = World::start_with("", QUICK, &[("annex", Some("public"), upstream.address)]).await;
        until("the service", || async { status(&world, "/v1/annex/x").await == 200 }).await;
        assert_eq!(status(&world, "/v1/annexes/all").await, 404);
        assert_eq!(
            page(&world, "/explain?path=/v1/query")["rpc"],
            "library.v1.Library/Query",
            "it binds what it lists"
        );
        upstream.tells(version, &compiled("annex_more.proto"), &ANNEX);
        until("the method", || async { status(&world, "/v1/annexes/all").await == 200 }).await;
        let schema = page(&world, "/schema");
        let came = "+ GET /v1/annexes/all -> /annex.v1.Annex/List";
        assert!(schema["difference"].as_array().expect("a list").iter().any(|line| line == came), "{schema}");
    }
}

#[tokio::test]
async fn a_reflected_service_cannot_take_a_route() {
    let listed = ["rival.v1.Rival"];
    let upstream = Reflecting::start(Version::V1, &compiled("rival.proto"), &listed).await;
    let world = World::start_with("", QUICK, &[("annex", Some("public"), upstream.address)]).await;
    let told = || async {
        page(&world, "/schema")["sources"][1]["error"].as_str().is_some_and(|text| text.contains("Library/Query"))
    };
    until("the refusal", told).await;
    assert_eq!(page(&world, "/explain?path=/v1/query")["rpc"], "library.v1.Library/Query");
}

#[tokio::test]
async fn a_service_config_gives_rules_and_is_watched_too() {
    let mut world = World::start_with("", QUICK, &[]).await;
    world.rules("http: {rules: [{selector: library.v1.Library.Plain, get: '/v1/plain/{s}'}]}");
    world.restart("", QUICK, &[]).await;
    assert_eq!(status(&world, "/v1/plain/x").await, 200);
    world.rules("http: {rules: [{selector: library.v1.Library.Plain, get: '/v1/bare/{s}'}]}");
    until("the rule", || async { status(&world, "/v1/bare/x").await == 200 }).await;
    assert_eq!(status(&world, "/v1/plain/x").await, 404);
    world.rules("http: {rules: [{selector: library.v1.Library.None, get: /v1/none}]}");
    let told = || async {
        page(&world, "/schema")["sources"][0]["error"].as_str().is_some_and(|text| text.contains("no RPC"))
    };
    until("the refusal", told).await;
    assert_eq!(status(&world, "/v1/bare/x").await, 200);
}

#[tokio::test]
async fn a_set_that_came_with_broken_rules_is_not_lost() {
    let mut world = World::start_with("", QUICK, &[]).await;
    let rules = "http: {rules: [{selector: library.v1.Library.Plain, get: '/v1/plain/{s}'}]}";
    world.rules(rules);
    let bigger = [LIBRARY.as_slice(), &compiled("wing.proto")].concat();
    world.restart("", QUICK, &[]).await;
    // Both before one look.
    world.write(&bigger);
    world.rules("http: {rules: [{gett: /x}]}");
    let told = || async { !page(&world, "/schema")["sources"][0]["error"].is_null() };
    until("the fault", told).await;
    world.rules(rules);
    until("the set", || async { status(&world, "/v1/wing/x").await != 404 }).await;
    assert_eq!(status(&world, "/v1/plain/x").await, 200);
}

#[tokio::test]
async fn a_stop_waits_for_no_silent_upstream() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("it is bound");
    let mut world = World::start_with("", QUICK, &[("annex", Some("public"), address)]).await;
    let _asked = soon(silent.accept()).await.expect("the edge asks");
    // Time runs by itself when nobody has anything to do: a wait would be seen.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    world.stop();
    world.stopped().await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_restart_needs_no_upstream() {
    let upstream = Reflecting::start(Version::V1, &compiled("annex.proto"), &ANNEX).await;
    let address = upstream.address;
    let mut world = World::start_with("", QUICK, &[("annex", Some("public"), address)]).await;
    until("the service", || async { status(&world, "/v1/annex/x").await == 200 }).await;
    drop(upstream);
    world.restart("", QUICK, &[("annex", Some("public"), address)]).await;
    assert_eq!(status(&world, "/v1/annex/x").await, 503, "the route is known, its upstream is away");
}

#[tokio::test]
async fn the_document_can_be_had_of_one_service() {
    let upstream = Reflecting::start(Version::V1, &compiled("annex.proto"), &ANNEX).await;
    let world = World::start_with("", QUICK, &[("annex", Some("public"), upstream.address)]).await;
    until("the service", || async { status(&world, "/v1/annex/x").await == 200 }).await;
    let paths = |reply: &Reply| {
        let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let paths = document["paths"].as_object().expect("paths").keys().cloned().collect::<Vec<_>>();
        (paths.iter().any(|path| path.starts_with("/v1/annex")), paths.iter().any(|path| path == "/v1/echo"))
    };
    for (query, (annex, library)) in [
        ("", (true, true)),
        ("?service=annex", (true, false)),
        ("?service=annex.v1.Annex", (true, false)),
        ("?service=library.v1.Library", (false, true)),
    ] {
        let path = format!("/openapi.json{query}");
        let reply = get(&world, &path).await;
        assert_eq!((reply.status.as_u16(), paths(&reply)), (200, (annex, library)), "{query}");
        let request = client::request(world.address, 1, "GET", &path).header("if-none-match", &reply.headers["etag"]);
        let again = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
        assert_eq!(again.status, 304, "{query}");
    }
    assert_eq!(status(&world, "/openapi.json?service=nobody").await, 404);
}

#[tokio::test]
async fn admin_pages_say_where_a_request_goes_and_change_nothing() {
    let world = World::start("").await;
    let explained = page(&world, "/explain?method=GET&path=/v1/p/s/p%2520q");
    assert_eq!((&explained["rpc"], &explained["bindings"]["s"]), (&"library.v1.Library/Path".into(), &"p%20q".into()));
    assert_eq!(page(&world, "/explain?method=PUT&path=/v1/query")["answer"]["error"]["code"], 405);
    assert!(page(&world, "/routes")["routes"].as_array().expect("a list").len() > 50);
    assert_eq!(page(&world, "/clusters")[0]["name"], "library");
    assert_eq!(page(&world, "/clusters")[0]["upstream"], serde_json::Value::Null, "not called yet");
    assert_eq!(status(&world, "/v1/query").await, 200);
    let upstream = &page(&world, "/clusters")[0]["upstream"];
    assert_eq!(upstream["endpoints"].as_array().map(Vec::len), Some(1), "{upstream}");
    assert_eq!(upstream["requests"]["active"], 0, "{upstream}");
    assert_eq!(page(&world, "/server_info")["state"], "LIVE");
    let drain = |method: Method| {
        let request = Request::builder().method(method).uri("/drain_listeners").body(Bytes::new()).expect("a request");
        world.gateway.admin(&request).status().as_u16()
    };
    assert_eq!(drain(Method::GET), 405);
    assert_eq!(status(&world, "/v1/query").await, 200);
    assert_eq!(drain(Method::POST), 200);
    let refused = || async { tokio::net::TcpStream::connect(world.address).await.is_err() };
    until("the socket is closed", refused).await;
}
