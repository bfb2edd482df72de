//! Bodies whose end is unclear, and heads that do not end (gateway.md 4.18), by raw sockets.
use std::net::SocketAddr;

use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{client, soon, upstream::Answer, world::World};

/// Sends bytes and reads until the edge closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the edge listens");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("it closes in order");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn gw_4_18_ambiguous_framing_is_refused_and_the_connection_closed() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let smuggled = "GET /v1/query?s=smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for framing in [
        "content-length: 5\r\ncontent-length: 7\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
    ] {
        let request = format!("POST /v1/echo HTTP/1.1\r\nhost: a\r\n{framing}\r\n0\r\n\r\n{smuggled}");
        let answer = exchange(world.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing}: {answer}");
        assert!(world.upstream.seen().is_empty(), "{framing}");
    }
}

#[tokio::test]
async fn gw_4_18_after_chunks_no_second_request_can_hide() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    // A length beside chunks is dropped by hyper: the connection ends with this request.
    for framing in
        ["transfer-encoding: chunked\r\ncontent-length: 5\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let request = format!(
            "POST /v1/echo HTTP/1.1\r\nhost: a\r\n{framing}\r\n0\r\n\r\nGET /v1/query?s=smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        let answer = exchange(world.address, &request).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(world.upstream.seen().iter().all(|seen| !seen.path.ends_with("Query")));
    }
}

#[tokio::test]
async fn gw_4_18_large_heads_are_431_and_long_targets_414() {
    let world = World::start("").await;
    let many: String = (0..101).map(|number| format!("x-{number}: a\r\n")).collect();
    let request = format!("GET /v1/query HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{many}\r\n");
    let answer = exchange(world.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("HEADERS_TOO_MANY"), "{answer}");
    // So many that hyper refuses them.
    let answer = exchange(world.address, &format!("GET /v1/query HTTP/1.1\r\nhost: a\r\n{many}{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // Fewer bytes than the reader's buffer takes.
    let wide = "y".repeat(17 * 1024);
    let request = format!("GET /v1/query HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {wide}\r\n\r\n");
    let answer = exchange(world.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("HEADERS_TOO_LONG"), "{answer}");
    // Whatever the path leads to, and whatever of it is long.
    let long = "x".repeat(8 * 1024);
    for path in ["/v1/query", "/docs", "/openapi.json", "/library.v1.Library/Echo", "/nothing", "/oauth2/token"] {
        for target in [format!("{path}?s={long}"), format!("{path}/{long}")] {
            let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let answer = exchange(world.address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 414 "), "{path}: {answer}");
        }
    }
    let fits = format!("/v1/query?s={}", &long[..8 * 1024 - "/v1/query?s=".len()]);
    world.upstream.answers(Answer::default());
    let request = format!("GET {fits} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let answer = exchange(world.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn gw_4_18_headers_are_counted_over_http2_too() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    for (count, status) in [(100, 200), (101, 431)] {
        let mut request = client::request(world.address, 2, "GET", "/v1/query");
        for number in 0..count {
            request = request.header(format!("x-{number}"), "a");
        }
        let reply = client::send(world.address, 2, request.body(Full::default()).expect("a request")).await;
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!((reply.status.as_u16(), text.contains("HEADERS_TOO_MANY")), (status, status == 431), "{text}");
    }
    assert_eq!(world.upstream.seen().len(), 1);
}

#[tokio::test]
async fn who_still_sends_sees_the_answer_that_refused_him() {
    let world = World::start("").await;
    let length = 32 * 1024 * 1024;
    let head = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    // Writes all of it before it reads: whoever closes too early resets the connection, and the answer is lost.
    let answer = exchange(world.address, &(head + &" ".repeat(length))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
