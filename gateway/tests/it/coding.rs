//! Content codings of answers, of requests, and of upstreams (gateway.md 4.7, 4.11, 4.12; case B09).
use std::{collections::BTreeMap, io::Write as _};

use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use crate::{
    client::{self, Reply, Talk, coded, gunzip, gzip},
    contract,
    upstream::{Answer, unhex},
    world::World,
};

async fn get(world: &World, target: &str, accept: &str, coding: &str) -> Reply {
    let request =
        client::request(world.address, 1, "GET", target).header("accept", accept).header("accept-encoding", coding);
    client::send(world.address, 1, request.body(Full::default()).expect("a request")).await
}

#[tokio::test]
async fn gw_4_11_answers_are_coded_as_the_caller_prefers() {
    let world = World::start("").await;
    let text = "long ".repeat(1000);
    world.upstream.answers(Answer { messages: Some(vec![json!({"s": text})]), ..Answer::default() });
    let plain = get(&world, "/v1/query", "*/*", "identity").await;
    assert!(!plain.headers.contains_key("content-encoding"));
    assert!(plain.headers.get_all("vary").iter().any(|name| name == "Accept-Encoding"));
    let zstd = get(&world, "/v1/query", "*/*", "gzip, deflate, br, zstd").await;
    assert_eq!(zstd.headers["content-encoding"], "zstd");
    assert_eq!(zstd::decode_all(&zstd.body[..]).expect("zstd"), plain.body);
    let gzip = get(&world, "/v1/query", "*/*", "zstd;q=0.2, gzip").await;
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    assert!(gunzip(&gzip.body) == plain.body && gzip.body.len() < 500);
    assert!(
        !gzip.headers.contains_key("content-length")
            || gzip.headers["content-length"] != plain.headers["content-length"]
    );
    // Errors too, when they are long; what is tiny or coded already stays.
    world.upstream.answers(Answer { status: 5, message: Some("far".repeat(500)), ..Answer::default() });
    let error = get(&world, "/v1/query", "*/*", "gzip").await;
    assert_eq!((error.status.as_u16(), &error.headers["content-encoding"]), (404, &"gzip".parse().expect("a header")));
    assert!(String::from_utf8(gunzip(&error.body)).expect("text").contains("farfar"));
    world.upstream.answers(Answer { messages: Some(vec![json!({"s": "tiny"})]), ..Answer::default() });
    assert!(!get(&world, "/v1/query", "*/*", "gzip").await.headers.contains_key("content-encoding"));
    let raw = json!({"contentType": "image/png", "data": "QUFB".repeat(1000)});
    world.upstream.answers(Answer { messages: Some(vec![raw]), ..Answer::default() });
    assert!(!get(&world, "/v1/fetch", "*/*", "gzip").await.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn gw_4_7_coded_streams_are_flushed_message_by_message() {
    let world = World::start("").await;
    for (accept, expected) in [
        ("application/x-ndjson", "{\"text\":\"a\"}\n"),
        ("text/event-stream", "data: {\"text\":\"a\"}\n\n"),
        ("application/json", "[{\"text\":\"a\"}"),
    ] {
        for coding in ["gzip", "zstd"] {
            world.upstream.goes_live();
            let request = client::request(world.address, 1, "GET", "/v1/watch")
                .header("accept", accept)
                .header("accept-encoding", coding);
            let mut talk = Talk::begin(world.address, 1, request).await;
            talk.finish();
            let mut call = world.upstream.next_live().await;
            call.send(&json!({"text": "a"}));
            let mut heard = talk.heard().await;
            assert_eq!(heard.headers["content-encoding"], coding);
            let mut decoder = Decoder::new(coding);
            while decoder.text().len() < expected.len() {
                assert!(heard.more().await, "{accept} in {coding}: the message is held back");
                decoder.take(&std::mem::take(&mut heard.rest));
            }
            assert_eq!(decoder.text(), expected);
            call.end(10);
            while heard.more().await {}
            decoder.take(&heard.rest);
            assert!(decoder.text().contains("ABORTED"), "{accept} in {coding}: {}", decoder.text());
            assert_eq!(heard.broken, accept == "application/json");
        }
    }
}

enum Decoder {
    Gzip(flate2::write::GzDecoder<Vec<u8>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

impl Decoder {
    fn new(coding: &str) -> Self {
        match coding {
            "gzip" => Self::Gzip(flate2::write::GzDecoder::new(Vec::new())),
            _ => Self::Zstd(zstd::stream::write::Decoder::new(Vec::new()).expect("memory")),
        }
    }

    fn take(&mut self, data: &[u8]) {
        match self {
            Self::Gzip(decoder) => decoder.write_all(data).and_then(|()| decoder.flush()).expect("gzip"),
            Self::Zstd(decoder) => decoder.write_all(data).and_then(|()| decoder.flush()).expect("zstd"),
        }
    }

    fn text(&self) -> String {
        let data = match self {
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
        };
        String::from_utf8_lossy(data).into_owned()
    }
}

async fn post(world: &World, target: &str, kind: &str, coding: &str, body: Vec<u8>) -> Reply {
    let request = client::request(world.address, 1, "POST", target)
        .header("content-type", kind)
        .header("content-encoding", coding);
    client::send(world.address, 1, request.body(Full::new(Bytes::from(body))).expect("a request")).await
}

#[tokio::test]
async fn gw_b09_streams_of_requests_are_decoded() {
    let world = World::start("").await;
    let lines = "{\"s\":\"a\"}\n{\"s\":\"b\"}\n";
    for coding in ["gzip", "zstd", "br"] {
        world.upstream.answers(Answer::default());
        let body = coded(coding, lines.as_bytes());
        let reply = post(&world, "/v1/collect", "application/x-ndjson", coding, body.clone()).await;
        assert_eq!(reply.status, 200, "{coding}: {:?}", reply.body);
        assert_eq!(world.upstream.seen().pop().expect("a call").messages, [json!({"s": "a"}), json!({"s": "b"})]);
        let cut = body[..body.len() - 4].to_vec();
        let cut = post(&world, "/v1/collect", "application/x-ndjson", coding, cut).await;
        assert_eq!(cut.status, 400, "{coding}: {:?}", cut.body);
    }
    let reply = post(&world, "/v1/collect", "application/x-ndjson", "lzw", Vec::new()).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["accept-encoding"]),
        (415, &"gzip, zstd, br".parse().expect("a header"))
    );
}

/// `{"s":"0..0"}` with 16 MiB of zeros and a line's end in 51 bytes, as Google's encoder writes it at its best.
const BROTLI_BOMB: &str =
    "cbffff3ff88dd460cd9863a588ce5ec1ccc56d81c0d9fbbf15fcffff835f02200e8b0074efff800010303030303030227d0a03";

#[tokio::test]
async fn gw_b09_bombs_are_refused_in_every_coding_and_alone_and_in_streams() {
    // The limit lies beyond the bombs: it is the ratio that refuses them.
    let world = World::start("body_max = \"64MiB\"").await;
    world.upstream.answers(Answer::default());
    let text = format!("{{\"s\":\"{}\"}}\n", "0".repeat(16 << 20));
    for coding in ["gzip", "zstd", "br"] {
        let bomb = if coding == "br" { unhex(BROTLI_BOMB).to_vec() } else { coded(coding, text.as_bytes()) };
        assert!(bomb.len() < text.len() / 100, "{coding}");
        for (target, kind) in [("/v1/echo", "application/json"), ("/v1/collect", "application/x-ndjson")] {
            let reply = post(&world, target, kind, coding, bomb.clone()).await;
            let said = String::from_utf8_lossy(&reply.body).into_owned();
            assert_eq!(reply.status, 413, "{target} {coding}: {said}");
            assert!(said.contains("BODY_TOO_LARGE") && said.contains("a hundredfold"), "{target} {coding}: {said}");
            assert!(world.upstream.seen().is_empty(), "{target} {coding}");
        }
    }
}

#[tokio::test]
async fn gw_b09_what_is_decoded_is_bounded_as_what_is_not() {
    let text = json!({"s": "x".repeat(60_000)}).to_string();
    for (settings, status) in [("", 200), ("body_max = \"50KiB\"", 413)] {
        let world = World::start(settings).await;
        world.upstream.answers(Answer::default());
        for coding in ["identity", "gzip", "zstd", "br"] {
            let body = if coding == "identity" { text.clone().into_bytes() } else { coded(coding, text.as_bytes()) };
            let reply = post(&world, "/v1/echo", "application/json", coding, body).await;
            let said = String::from_utf8_lossy(&reply.body).into_owned();
            assert_eq!(reply.status, status, "{coding}: {said}");
            assert_eq!(said.contains("gateway.body_max"), status == 413, "{coding}: {said}");
        }
    }
}

#[tokio::test]
async fn gw_4_12_messages_of_the_upstream_are_decoded() {
    let world = World::start("").await;
    let output = contract::method("/library.v1.Library/Query").expect("a method").output();
    let message = contract::wire(&output, &json!({"s": "coded"}));
    let zstd = zstd::encode_all(&message[..], 1).expect("memory");
    for (coding, data) in [("gzip", gzip(&message)), ("zstd", zstd)] {
        let headers = BTreeMap::from([("grpc-encoding".to_owned(), coding.to_owned())]);
        let raw = client::framed(1, &data);
        world.upstream.answers(Answer { headers, frames: Some(vec![hex(&raw)]), ..Answer::default() });
        let reply = get(&world, "/v1/query", "*/*", "identity").await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &br#"{"s":"coded"}"#[..]), "{coding}");
        assert!(!reply.headers.contains_key("grpc-encoding"));
    }
    for (coding, data, status, said) in [
        ("snappy", gzip(&message), "INTERNAL", "compressed a message in a way that is not known here"),
        ("gzip", b"no gzip".to_vec(), "INTERNAL", "cannot be decompressed"),
        ("gzip", gzip(&vec![0; 32 << 20]), "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE"),
    ] {
        let headers = BTreeMap::from([("grpc-encoding".to_owned(), coding.to_owned())]);
        let raw = client::framed(1, &data);
        world.upstream.answers(Answer { headers, frames: Some(vec![hex(&raw)]), ..Answer::default() });
        let reply = get(&world, "/v1/query", "*/*", "identity").await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 500 && text.contains(status) && text.contains(said), "{coding}: {text}");
    }
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
