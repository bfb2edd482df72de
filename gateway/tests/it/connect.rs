//! Connect (case E16).
use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    client::{self, Reply, Talk, framed, frames, gunzip},
    contract,
    upstream::Answer,
    world::World,
};

const ECHO: &str = "/library.v1.Library/Echo";
const QUERY: &str = "/library.v1.Library/Query";
const WATCH: &str = "/library.v1.Library/Watch";

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn send(world: &World, verb: &str, target: &str, headers: Headers<'_>, body: impl Into<Bytes>) -> Reply {
    let mut request = client::request(world.address, 1, verb, target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client::send(world.address, 1, request.body(Full::new(body.into())).expect("a request")).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("no JSON: {:?}", reply.body))
}

fn wire(json: &Value) -> Vec<u8> {
    contract::wire(&contract::method(ECHO).expect("a method").input(), json)
}

#[tokio::test]
async fn gw_e16_unary_calls_are_plain_http() {
    let world = World::start("").await;
    world.upstream.answers(Answer {
        headers: BTreeMap::from([("x-lead".to_owned(), "1".to_owned())]),
        trailers: BTreeMap::from([("x-trail".to_owned(), Some("2".to_owned()))]),
        ..Answer::default()
    });
    let headers = [
        ("content-type", "application/json"),
        ("connect-protocol-version", "1"),
        ("connect-timeout-ms", "9000"),
        ("x-mine", "m"),
    ];
    let reply = send(&world, "POST", ECHO, &headers, r#"{"s":"hello","l":"7"}"#).await;
    assert_eq!((reply.status.as_u16(), json_of(&reply)), (200, json!({"s": "hello", "l": "7"})));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["x-lead"], "1");
    assert_eq!(reply.headers["trailer-x-trail"], "2");
    assert!(reply.headers.keys().all(|name| !name.as_str().contains("grpc-")));
    let seen = world.upstream.seen().pop().expect("a call");
    assert_eq!(seen.metadata["x-mine"], "m");
    assert!(seen.metadata.keys().all(|name| !name.as_str().starts_with("connect-")));
    let left = seen.metadata["grpc-timeout"].to_str().expect("text").trim_end_matches('u').parse::<u64>();
    assert!(left.expect("microseconds") <= 9_000_000);

    let sent = wire(&json!({"s": "hello"}));
    let reply = send(&world, "POST", ECHO, &[("content-type", "application/proto")], sent.clone()).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &sent[..]));
    assert_eq!(reply.headers["content-type"], "application/proto");
}

#[tokio::test]
async fn gw_e16_errors_have_connects_form_and_status() {
    let world = World::start("").await;
    let details =
        vec![json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "GONE", "domain": "library"})];
    world.upstream.answers(Answer { status: 5, message: Some("none".to_owned()), details, ..Answer::default() });
    let reply = send(&world, "POST", ECHO, &[("content-type", "application/json")], "{}").await;
    let error = json_of(&reply);
    assert_eq!((reply.status.as_u16(), &error["code"], &error["message"]), (404, &json!("not_found"), &json!("none")));
    assert_eq!(error["details"][0]["type"], "google.rpc.ErrorInfo");
    assert_eq!(error["details"][0]["debug"]["reason"], "GONE");
    assert!(!error["details"][0]["value"].as_str().expect("base64").contains('='));
    for (status, code, http) in [
        (1, "canceled", 499),
        (8, "resource_exhausted", 429),
        (9, "failed_precondition", 400),
        (16, "unauthenticated", 401),
    ] {
        world.upstream.answers(Answer { status, ..Answer::default() });
        let reply = send(&world, "POST", ECHO, &[("content-type", "application/proto")], "").await;
        assert_eq!((reply.status.as_u16(), json_of(&reply)["code"].clone()), (http, json!(code)));
        assert_eq!(reply.headers["content-type"], "application/json");
    }
    // The edge's own.
    world.upstream.answers(Answer::default());
    let kind = ("content-type", "application/json");
    let cases: [(&str, Headers<'_>, &str, u16); 5] = [
        (ECHO, &[kind], r#"{"s":"#, 400),
        (ECHO, &[kind], r#"{"wrong":1}"#, 400),
        (ECHO, &[kind, ("connect-protocol-version", "2")], "{}", 400),
        (ECHO, &[("content-type", "text/plain")], "{}", 415),
        (WATCH, &[kind], "{}", 415),
    ];
    for (path, headers, body, http) in cases {
        let reply = send(&world, "POST", path, headers, body).await;
        assert_eq!(
            (reply.status.as_u16(), json_of(&reply)["code"].clone()),
            (http, json!("invalid_argument")),
            "{body}"
        );
    }
    assert!(world.upstream.seen().is_empty());
}

#[tokio::test]
async fn gw_e16_reads_may_be_sent_by_get() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let sent = wire(&json!({"s": "a b"}));
    let packed = zstd(&sent);
    let targets = [
        "encoding=json&message=%7B%22s%22%3A%22a+b%22%7D&connect=v1".to_owned(),
        format!("connect=v1&encoding=proto&base64=1&message={}", URL_SAFE_NO_PAD.encode(&sent)),
        format!("encoding=proto&base64=1&compression=zstd&message={}", URL_SAFE_NO_PAD.encode(packed)),
    ];
    for target in targets {
        let reply = send(&world, "GET", &format!("{QUERY}?{target}"), &[], "").await;
        assert_eq!(reply.status, 200, "{target}: {:?}", reply.body);
        assert_eq!(world.upstream.seen().pop().expect("a call").messages, [json!({"s": "a b"})]);
    }
    let reply = send(&world, "GET", &format!("{ECHO}?encoding=json&message=%7B%7D"), &[], "").await;
    assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"POST".parse().expect("a header")));
    for bad in [
        "encoding=json",
        "message=%7B%7D",
        "encoding=json&message=%7",
        "encoding=json&message=%7B%7D&connect=v2",
        "encoding=proto&base64=1&message=*",
    ] {
        let reply = send(&world, "GET", &format!("{QUERY}?{bad}"), &[], "").await;
        assert_eq!((reply.status.as_u16(), json_of(&reply)["code"].clone()), (400, json!("invalid_argument")), "{bad}");
    }
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).expect("memory")
}

#[tokio::test]
async fn gw_e16_streams_travel_in_envelopes_and_end_with_a_message() {
    let world = World::start("").await;
    for (kind, json) in [("application/connect+json", true), ("application/connect+proto", false)] {
        let request = if json { framed(0, br#"{"s":"x"}"#) } else { framed(0, &wire(&json!({"s": "x"}))) };
        let trailers = BTreeMap::from([("x-trail".to_owned(), Some("t".to_owned()))]);
        let answer =
            Answer { messages: Some(vec![json!({"text": "a"}), json!({"text": "b"})]), trailers, ..Answer::default() };
        world.upstream.answers(answer.clone());
        let reply = send(&world, "POST", WATCH, &[("content-type", kind)], request.clone()).await;
        assert_eq!((reply.status.as_u16(), &reply.headers["content-type"]), (200, &kind.parse().expect("a header")));
        let found = frames(&reply.body);
        assert_eq!(found.iter().map(|(flags, _)| *flags).collect::<Vec<_>>(), [0, 0, 2]);
        if json {
            assert_eq!(found[0].1, br#"{"text":"a"}"#);
        }
        let end: Value = serde_json::from_slice(&found[2].1).expect("JSON");
        assert_eq!((&end["metadata"]["x-trail"], &end["error"]), (&json!(["t"]), &Value::Null));

        world.upstream.answers(Answer { status: 10, message: Some("late".to_owned()), ..answer });
        let reply = send(&world, "POST", WATCH, &[("content-type", kind)], request).await;
        let found = frames(&reply.body);
        let end: Value = serde_json::from_slice(&found[2].1).expect("JSON");
        assert_eq!(
            (found.len(), &end["error"]["code"], &end["error"]["message"]),
            (3, &json!("aborted"), &json!("late"))
        );
    }
}

#[tokio::test]
async fn gw_e16_bad_envelopes_and_coded_ones() {
    let world = World::start("").await;
    let kind = ("content-type", "application/connect+json");
    world.upstream.answers(Answer { messages: Some(vec![]), ..Answer::default() });
    let coded = framed(1, &zstd(br#"{"s":"coded"}"#));
    send(&world, "POST", WATCH, &[kind, ("connect-content-encoding", "zstd")], coded.clone()).await;
    assert_eq!(world.upstream.seen().pop().expect("a call").messages, [json!({"s": "coded"})]);
    let cases: [(Headers<'_>, Vec<u8>, &str); 4] = [
        (&[kind], coded, "invalid_argument"),
        (&[kind], framed(2, b"{}"), "invalid_argument"),
        (&[kind], vec![0, 0, 0, 0, 9, b'{'], "invalid_argument"),
        (&[kind, ("connect-content-encoding", "lzw")], framed(0, b"{}"), "unimplemented"),
    ];
    for (headers, body, code) in cases {
        let reply = send(&world, "POST", WATCH, headers, body).await;
        let found = frames(&reply.body);
        let end: Value = serde_json::from_slice(&found[0].1).expect("JSON");
        assert_eq!((reply.status.as_u16(), found[0].0, &end["error"]["code"]), (200, 2, &json!(code)), "{end}");
    }
}

#[tokio::test]
async fn gw_e16_long_answers_are_coded_as_the_caller_asks() {
    let world = World::start("").await;
    let long = "a long text ".repeat(1000);
    let messages = Some(vec![json!({"text": long}), json!({"text": "short"})]);
    world.upstream.answers(Answer { messages, ..Answer::default() });
    let kind = ("content-type", "application/connect+json");
    for (asked, coding) in [("gzip", "gzip"), ("br, zstd", "zstd"), ("br", ""), ("", "")] {
        let headers = [kind, ("connect-accept-encoding", asked)];
        let reply = send(&world, "POST", WATCH, &headers, framed(0, b"{}")).await;
        let told = reply.headers.get("connect-content-encoding").map_or("", |name| name.to_str().expect("ASCII"));
        let found = frames(&reply.body);
        let flags: Vec<_> = found.iter().map(|(flags, _)| *flags).collect();
        assert_eq!((told, flags), (coding, vec![u8::from(!coding.is_empty()), 0, 2]), "{asked}");
        let message = match coding {
            "gzip" => gunzip(&found[0].1),
            "zstd" => zstd::decode_all(&found[0].1[..]).expect("zstd"),
            _ => found[0].1.clone(),
        };
        assert_eq!(serde_json::from_slice::<Value>(&message).expect("JSON"), json!({"text": long}));
        assert!(coding.is_empty() || found[0].1.len() < 1000, "{asked}");
    }
}

#[tokio::test]
async fn gw_e16_an_empty_message_is_not_coded_and_unknown_codings_are_unimplemented() {
    let world = World::start("").await;
    let proto = ("content-type", "application/proto");
    let streams = ("content-type", "application/connect+proto");
    world.upstream.answers(Answer { messages: Some(vec![]), ..Answer::default() });
    for coding in ["gzip", "zstd", "br"] {
        let reply = send(&world, "POST", WATCH, &[streams, ("connect-content-encoding", coding)], framed(1, b"")).await;
        assert_eq!(frames(&reply.body).iter().map(|(flags, _)| *flags).collect::<Vec<_>>(), [2], "{coding}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("error"), "{coding}: {:?}", reply.body);
    }
    world.upstream.answers(Answer::default());
    for coding in ["gzip", "zstd", "br"] {
        let reply = send(&world, "POST", ECHO, &[proto, ("content-encoding", coding)], "").await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0), "{coding}: {:?}", reply.body);
        let target = format!("{QUERY}?encoding=proto&compression={coding}&message=");
        assert_eq!(send(&world, "GET", &target, &[], "").await.status, 200, "{coding}");
    }
    // Elsewhere an empty body is cut.
    let rest = [("content-type", "application/json"), ("content-encoding", "zstd")];
    let packed = zstd(b"");
    assert_eq!(send(&world, "POST", "/v1/echo", &rest, packed[..packed.len() - 1].to_vec()).await.status, 400);
    let coded =
        send(&world, "POST", ECHO, &[proto, ("content-encoding", "zstd")], zstd(&wire(&json!({"s": "x"})))).await;
    assert_eq!((coded.status.as_u16(), &coded.body[..]), (200, &wire(&json!({"s": "x"}))[..]));
    for (verb, target, headers) in [
        ("POST", ECHO.to_owned(), &[proto, ("content-encoding", "lzw")][..]),
        ("POST", ECHO.to_owned(), &[proto, ("content-encoding", "gzip, zstd")]),
        ("GET", format!("{QUERY}?encoding=proto&compression=lzw&message="), &[]),
    ] {
        let reply = send(&world, verb, &target, headers, "").await;
        assert_eq!((reply.status.as_u16(), json_of(&reply)["code"].clone()), (501, json!("unimplemented")), "{target}");
    }
}

#[tokio::test]
async fn gw_e16_both_sides_stream_at_the_same_time() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let request = client::request(world.address, 2, "POST", "/library.v1.Library/Chat")
        .header("content-type", "application/connect+json");
    let mut talk = Talk::begin(world.address, 2, request).await;
    talk.say(framed(0, br#"{"s":"one"}"#)).await;
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    call.send(&json!({"text": "first"}));
    let mut heard = talk.heard().await;
    assert!(heard.more().await);
    assert_eq!(frames(&heard.rest), [(0, br#"{"text":"first"}"#.to_vec())]);
    talk.say(framed(0, br#"{"s":"two"}"#)).await;
    assert_eq!(call.next().await, Some(json!({"s": "two"})));
    talk.finish();
    assert_eq!(call.next().await, None);
    call.end(0);
    while heard.more().await {}
    assert_eq!(frames(&heard.rest)[1].0, 2);
}

#[tokio::test]
async fn gw_r15_connect_is_served_where_enabled() {
    let world = World::start("connect = false").await;
    for kind in ["application/json", "application/proto", "application/connect+json"] {
        assert_eq!(send(&world, "POST", ECHO, &[("content-type", kind)], "{}").await.status, 404, "{kind}");
    }
    assert!(world.upstream.seen().is_empty());
}

#[tokio::test]
async fn gw_4_18_messages_that_become_too_large_are_resource_exhausted() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let bomb = client::gzip(&vec![0; 32 << 20]);
    let headers = [("content-type", "application/connect+proto"), ("connect-content-encoding", "gzip")];
    let reply = send(&world, "POST", "/library.v1.Library/Collect", &headers, framed(1, &bomb)).await;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("resource_exhausted") && text.contains("MESSAGE_TOO_LARGE"), "{text}");
    let headers = [("content-type", "application/proto"), ("content-encoding", "gzip")];
    let reply = send(&world, "POST", ECHO, &headers, bomb).await;
    assert_eq!((reply.status.as_u16(), &json_of(&reply)["code"]), (413, &json!("resource_exhausted")));
    // The same without a coding.
    let reply = send(&world, "POST", ECHO, &headers[..1], vec![0; (8 << 20) + 1]).await;
    assert_eq!((reply.status.as_u16(), &json_of(&reply)["code"]), (413, &json!("resource_exhausted")));
    assert!(world.upstream.seen().iter().all(|seen| seen.messages.is_empty()));
}
