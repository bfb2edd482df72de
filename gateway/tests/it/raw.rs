//! Requests as no library of a client would send them, byte by byte: forms of a target (case R16), headers that are not for the
//! caller to set or not to go on (E10, E11), and addresses that he claims (E13).
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{client, framing::exchange, soon, upstream::Answer, world::World};

#[tokio::test]
async fn gw_r16_forms_of_a_target_that_are_none_are_400() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    for line in [
        "GET v1/query",
        "GET ?s=x",
        "GET edge.example",
        "GET edge.example:80",
        "GET *",
        "OPTIONS *x",
        "OPTIONS /v1/../*",
        "CONNECT edge.example:443",
        "GET http://",
        "GET http:///v1/query",
        "GET /v1/query?s=a b",
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = exchange(world.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line}: {answer}");
        assert!(world.upstream.seen().is_empty(), "{line}");
    }
    for (line, status) in [("OPTIONS *", 204), ("GET http://edge.example/v1/query", 200), ("GET /v1/query", 200)] {
        let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = exchange(world.address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
}

#[tokio::test]
async fn gw_e10_pseudo_headers_are_no_headers() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    for name in [":authority", ":path", ":method", ":status", ":x"] {
        let request = format!("GET /v1/query HTTP/1.1\r\nhost: a\r\n{name}: x\r\nconnection: close\r\n\r\n");
        let answer = exchange(world.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        assert!(world.upstream.seen().is_empty(), "{name}");
    }
    // Of a response, unknown, twice, and after a header: each makes the request malformed (RFC 9113 section 8.3).
    for fields in [
        vec![(":status", "200")],
        vec![(":x", "y")],
        vec![(":path", "/v1/query")],
        vec![("x-kept", "1"), (":authority", "b")],
        vec![("connection", "x-hop")],
    ] {
        let ended = malformed(&world, &fields).await;
        assert!(ended, "{fields:?}");
        assert!(world.upstream.seen().is_empty(), "{fields:?}");
    }
}

/// Sends `GET /v1/query` with further fields over HTTP/2; whether its stream, or all of them, was ended for it.
async fn malformed(world: &World, fields: &[(&str, &str)]) -> bool {
    let mut stream = TcpStream::connect(world.address).await.expect("the edge listens");
    // GET and http from the static table, then path and authority.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(":path", "/v1/query"), (":authority", "a")].iter().chain(fields) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    let length = u8::try_from(block.len()).expect("a short block");
    // Preface, empty settings, HEADERS that end their stream.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend([&[0, 0, length, 1, 5, 0, 0, 0, 1][..], &block].concat());
    stream.write_all(&bytes).await.expect("sent");
    soon(async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return true;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.expect("its payload");
            match head[3] {
                // An answer.
                1 => return false,
                // RST_STREAM and GOAWAY.
                3 | 7 => return true,
                _ => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn gw_e11_headers_of_the_connection_end_with_it() {
    let world = World::start("").await;
    world.upstream.answers(Answer::default());
    let body = r#"{"s":"a text that is longer than its message and frame"}"#;
    let request = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: caller.example\r\nconnection: close, keep-alive, te, x-hop\r\nkeep-alive: 5\r\n\
         te: deflate, trailers\r\ntrailer: x-late\r\nproxy-connection: close\r\nproxy-authorization: Basic eA==\r\n\
         proxy-authenticate: Basic\r\nproxy-other: x\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nx-hop: 1\r\nx-kept: 2\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(world.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = world.upstream.seen().pop().expect("a call");
    let metadata = &seen.metadata;
    for name in ["host", "connection", "keep-alive", "trailer", "upgrade", "transfer-encoding", "x-hop"] {
        assert!(!metadata.contains_key(name), "{name}");
    }
    assert!(metadata.keys().all(|name| !name.as_str().starts_with("proxy-")), "{metadata:?}");
    assert_eq!((&metadata["x-kept"], metadata.get_all("te").iter().count()), (&"2".parse().expect("a header"), 1));
    assert_eq!(metadata["te"], "trailers");
    // The upstream is told of its own name and of the length of what it gets, if of any.
    assert_ne!(seen.authority, "caller.example");
    assert!(metadata.get("content-length").is_none_or(|length| *length != *body.len().to_string()), "{metadata:?}");
}

/// Statuses of one call for each of these values of `X-Forwarded-For`.
async fn statuses(world: &World, values: impl Iterator<Item = String>) -> Vec<u16> {
    world.upstream.answers(Answer::default());
    let mut found = Vec::new();
    for value in values {
        let request = client::request(world.address, 1, "GET", "/v1/query").header("x-forwarded-for", value);
        let reply = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
        found.push(reply.status.as_u16());
    }
    for seen in world.upstream.seen() {
        assert!(!seen.metadata.contains_key("x-forwarded-for"), "{:?}", seen.metadata);
    }
    found
}

#[tokio::test]
async fn gw_e13_an_address_is_believed_from_trusted_hops_alone() {
    // One call at once for each network, and so slowly more that the test does not live to see it.
    let world = async |hops: usize| World::start(&format!("trusted_hops = {hops}\nrate_write = 1")).await;
    let many = || (1..=30).map(|number| format!("10.0.{number}.1"));

    // Nobody stands before the edge: whatever is claimed, all come from the socket's address.
    let found = statuses(&world(0).await, many()).await;
    assert!(found.contains(&200) && found.contains(&429), "{found:?}");

    // What the one proxy wrote counts, and what the caller wrote before it does not.
    let one = world(1).await;
    let found = statuses(&one, many().map(|address| format!("203.0.113.7, {address}"))).await;
    assert!(found.iter().all(|status| *status == 200), "{found:?}");
    let found = statuses(&one, many().map(|address| format!("{address}, 203.0.113.7"))).await;
    assert!(found.contains(&200) && found.contains(&429), "{found:?}");

    // Of two proxies the first one saw the caller; where one of them was passed by, nothing is believed.
    let two = world(2).await;
    let found = statuses(&two, many().map(|address| format!("203.0.113.7, {address}, 192.0.2.1"))).await;
    assert!(found.iter().all(|status| *status == 200), "{found:?}");
    let found = statuses(&two, many()).await;
    assert!(found.contains(&200) && found.contains(&429), "{found:?}");
}
