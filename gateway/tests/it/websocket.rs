//! WebSocket over HTTP/1.1 (case S10), by a client that others wrote.
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, handshake::client::generate_key, protocol::frame::coding::CloseCode},
};

use crate::{
    bounds, client, contract,
    live::LiveCall,
    soon,
    upstream::Answer,
    world::{World, until},
};

type Socket = WebSocketStream<TcpStream>;

fn upgrade(world: &World, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .uri(format!("ws://{}{target}", world.address))
        .header("host", world.address.to_string())
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

async fn open(world: &World, target: &str, headers: &[(&str, &str)]) -> Socket {
    let stream = TcpStream::connect(world.address).await.expect("the edge listens");
    let (socket, response) =
        soon(tokio_tungstenite::client_async(upgrade(world, target, headers), stream)).await.expect("an upgrade");
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-request-id"));
    socket
}

pub(crate) async fn text<S>(socket: &mut WebSocketStream<S>) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    match soon(socket.next()).await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

pub(crate) async fn close<S>(socket: &mut WebSocketStream<S>) -> (u16, String)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("no close: {other:?}"),
        }
    }
}

#[tokio::test]
async fn gw_s10_both_sides_speak_and_an_empty_frame_is_half_close() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let mut socket = open(&world, "/v1/chat", &[("sec-websocket-protocol", "chat, workos.json.v1")]).await;
    socket.send(Message::text(r#"{"s":"one"}"#)).await.expect("open");
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    call.send(&json!({"text": "first"}));
    assert_eq!(text(&mut socket).await, r#"{"text":"first"}"#);
    socket.send(Message::text(r#"{"s":"two"}"#)).await.expect("open");
    assert_eq!(call.next().await, Some(json!({"s": "two"})));
    socket.send(Message::text("")).await.expect("open");
    assert_eq!(call.next().await, None);
    assert!(call.is_whole());
    call.send(&json!({"text": "last"}));
    call.end(0);
    assert_eq!(text(&mut socket).await, r#"{"text":"last"}"#);
    assert_eq!(close(&mut socket).await.0, 1000);
}

#[tokio::test]
async fn gw_s10_server_and_client_streams_too() {
    let world = World::start("").await;
    let events = Answer { messages: Some(vec![json!({"text": "a"}), json!({"text": "b"})]), ..Answer::default() };
    world.upstream.answers(events);
    // GET binds the query, and nothing is awaited from the client.
    let mut socket = open(&world, "/v1/watch?s=x", &[]).await;
    assert_eq!(
        (text(&mut socket).await, text(&mut socket).await),
        (r#"{"text":"a"}"#.to_owned(), r#"{"text":"b"}"#.to_owned())
    );
    assert_eq!(close(&mut socket).await.0, 1000);
    assert_eq!(world.upstream.seen()[0].messages, [json!({"s": "x"})]);

    world.upstream.answers(Answer::default());
    let mut socket = open(&world, "/v1/collect", &[]).await;
    for frame in [r#"{"s":"one"}"#, r#"{"s":"two"}"#, ""] {
        socket.send(Message::text(frame)).await.expect("open");
    }
    assert_eq!(text(&mut socket).await, r#"{"s":"two"}"#);
    assert_eq!(close(&mut socket).await.0, 1000);
    assert_eq!(world.upstream.seen()[0].messages, [json!({"s": "one"}), json!({"s": "two"})]);
}

#[tokio::test]
async fn gw_s10_protobuf_travels_in_binary_frames() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let method = contract::method("/library.v1.Library/Chat").expect("a method");
    let mut socket = open(&world, "/v1/chat", &[("sec-websocket-protocol", "workos.proto.v1")]).await;
    let sent = contract::wire(&method.input(), &json!({"s": "bytes"}));
    socket.send(Message::binary(sent)).await.expect("open");
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "bytes"})));
    call.send(&json!({"text": "back"}));
    let Some(Ok(Message::Binary(data))) = soon(socket.next()).await else { panic!("no binary frame") };
    assert_eq!(contract::json(&method.output(), &data), json!({"text": "back"}));
    // Text is no message here.
    socket.send(Message::text("{}")).await.expect("open");
    assert!(text(&mut socket).await.contains("FRAME_KIND"));
    assert_eq!(close(&mut socket).await.0, 4003);
    assert_eq!(call.next().await, None);
}

#[tokio::test]
async fn gw_s06_errors_are_a_text_frame_and_a_code_of_their_own() {
    let world = World::start("").await;
    world.upstream.answers(Answer {
        messages: Some(vec![json!({"text": "a"})]),
        status: 10,
        message: Some("late".to_owned()),
        ..Answer::default()
    });
    let mut socket = open(&world, "/v1/watch", &[]).await;
    text(&mut socket).await;
    let error: Value = serde_json::from_str(&text(&mut socket).await).expect("JSON");
    assert_eq!((&error["error"]["status"], &error["error"]["message"]), (&json!("ABORTED"), &json!("late")));
    assert_eq!(close(&mut socket).await, (4010, "late".to_owned()));

    world.upstream.goes_live();
    let mut socket = open(&world, "/v1/chat", &[]).await;
    socket.send(Message::text(r#"{"s":"one"}"#)).await.expect("open");
    let mut call = world.upstream.next_live().await;
    call.next().await;
    socket.send(Message::text(r#"{"wrong":1}"#)).await.expect("open");
    assert!(text(&mut socket).await.contains("wrong"));
    assert_eq!(close(&mut socket).await.0, 4003);
    assert_eq!(call.next().await, None);
    assert!(!call.is_whole());
}

#[tokio::test]
async fn gw_s10_a_client_that_leaves_cancels_upstream() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let (mut socket, mut call) = watched(&world).await;
    call.send(&json!({"text": "a"}));
    text(&mut socket).await;
    drop(socket);
    call.cancelled().await;
}

async fn watched(world: &World) -> (Socket, LiveCall) {
    let socket = open(world, "/v1/watch", &[]).await;
    (socket, world.upstream.next_live().await)
}

#[tokio::test]
async fn gw_s10_headers_may_come_in_the_first_frame() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let mut socket = open(&world, "/v1/chat", &[]).await;
    let late = r#"{"@headers":{"grpc-timeout":"9S","x-mine":"m","x-workos-peer":"forged"}}"#;
    socket.send(Message::text(late)).await.expect("open");
    socket.send(Message::text(r#"{"s":"one"}"#)).await.expect("open");
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    assert_eq!(call.metadata["x-mine"], "m");
    let left = call.metadata["grpc-timeout"].to_str().expect("text").trim_end_matches('u').parse::<u64>();
    assert!(left.expect("microseconds") <= 9_000_000);
    assert!(!call.metadata.contains_key("x-workos-peer"));
    drop(socket);

    world.upstream.answers(Answer::default());
    for (late, code) in
        [(r#"{"@headers":{"authorization":"Bearer nonsense"}}"#, 4016), (r#"{"@headers":{"a b":""}}"#, 4003)]
    {
        let mut socket = open(&world, "/v1/chat", &[]).await;
        socket.send(Message::text(late)).await.expect("open");
        assert!(text(&mut socket).await.contains("\"error\""));
        assert_eq!(close(&mut socket).await.0, code);
    }
    assert!(world.upstream.seen().is_empty());
}

#[tokio::test]
async fn gw_s10_frames_beyond_the_limit_and_malformed_ones_close() {
    let world = World::start("websocket_frame_max = \"4 KiB\"").await;
    world.upstream.goes_live();
    let mut socket = open(&world, "/v1/chat", &[]).await;
    socket.send(Message::text(format!("{{\"s\":\"{}\"}}", "x".repeat(5000)))).await.expect("open");
    assert_eq!(close(&mut socket).await.0, u16::from(CloseCode::Size));
    // Reserved bits, a reserved opcode, no mask, a text that is no UTF-8: four bytes of a mask that changes nothing follow.
    for (frame, code) in [
        (&[0xf1, 0x81, 0, 0, 0, 0, b'a'][..], CloseCode::Protocol),
        (&[0x83, 0x81, 0, 0, 0, 0, b'a'], CloseCode::Protocol),
        (&[0x81, 0x01, b'a'], CloseCode::Protocol),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], CloseCode::Invalid),
    ] {
        let mut socket = open(&world, "/v1/chat", &[]).await;
        socket.get_mut().write_all(frame).await.expect("open");
        assert_eq!(close(&mut socket).await.0, u16::from(code), "{frame:x?}");
    }
}

#[tokio::test]
async fn gw_s10_a_goodbye_is_answered() {
    let world = World::start("").await;
    world.upstream.goes_live();
    for (said, answered) in [(1000, 1000), (4321, 4321), (1005, 1002), (999, 1002)] {
        let mut socket = open(&world, "/v1/chat", &[]).await;
        let goodbye = [&[0x88, 0x82, 0, 0, 0, 0][..], &u16::to_be_bytes(said)].concat();
        socket.get_mut().write_all(&goodbye).await.expect("open");
        assert_eq!(close(&mut socket).await.0, answered, "{said}");
    }
}

#[tokio::test]
async fn gw_s10_draining_says_1001() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let (mut socket, mut call) = watched(&world).await;
    call.send(&json!({"text": "a"}));
    text(&mut socket).await;
    world.stop();
    assert_eq!(close(&mut socket).await.0, 1001);
    call.cancelled().await;
}

#[tokio::test]
async fn gw_s10_upgrades_that_cannot_be_are_refused_by_http() {
    let world = World::start("websockets = 1").await;
    world.upstream.goes_live();
    let refused = async |target: &str, name: &'static str, value: &'static str| {
        let mut request = upgrade(&world, target, &[]);
        request.headers_mut().insert(name, value.parse().expect("a header"));
        *request.uri_mut() = target.parse().expect("a target");
        let reply = client::send(world.address, 1, request.map(|()| Full::default())).await;
        (reply.status.as_u16(), reply.headers)
    };
    let (status, headers) = refused("/v1/watch", "sec-websocket-version", "8").await;
    assert_eq!((status, &headers["sec-websocket-version"]), (426, &"13".parse().expect("a header")));
    assert_eq!(refused("/v1/watch", "sec-websocket-key", "short").await.0, 400);
    assert_eq!(refused("/v1/watch", "sec-websocket-protocol", "chat").await.0, 400);
    assert_eq!(refused("/v1/echo", "x-a", "b").await.0, 400);
    assert_eq!(refused("/nothing/here/at/all", "x-a", "b").await.0, 404);
    assert_eq!(refused("/v1/watch?wrong=1&$alt=nothing", "x-a", "b").await.0, 400);
    // One is open: there is no place for another.
    let (_socket, _call) = watched(&world).await;
    assert_eq!(refused("/v1/watch", "x-a", "b").await.0, 503);
}

#[tokio::test]
async fn gw_4_11_websockets_of_one_address_are_bounded() {
    let world = World::start("websockets_address = 1\ntrusted_hops = 1").await;
    world.upstream.goes_live();
    let _first = open(&world, "/v1/watch", &[("x-forwarded-for", "10.0.0.1")]).await;
    let second = upgrade(&world, "/v1/watch", &[("x-forwarded-for", "10.0.0.1")]);
    let (mut head, ()) = second.into_parts();
    head.uri = "/v1/watch".parse().expect("a target");
    let reply = client::send(world.address, 1, Request::from_parts(head, Full::default())).await;
    let text = String::from_utf8_lossy(&reply.body);
    assert!(reply.status == 429 && text.contains("gateway.websockets_address"), "{text}");
    open(&world, "/v1/watch", &[("x-forwarded-for", "10.0.0.2")]).await;
}

#[tokio::test]
async fn gw_s10_who_answers_no_ping_is_dead() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let (mut socket, mut call) = watched(&world).await;
    call.send(&json!({"text": "a"}));
    text(&mut socket).await;
    // Time runs by itself when nobody has anything to do: the client reads nothing, so it answers nothing.
    tokio::time::pause();
    tokio::time::timeout(Duration::from_secs(600), call.cancelled_whenever()).await.expect("the edge gives up");
    tokio::time::resume();
    // What was sent lies there: pings, then the end of the connection.
    let mut pings = 0;
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Ping(_))) => pings += 1,
            None | Some(Err(Error::Protocol(_) | Error::Io(_) | Error::ConnectionClosed)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, 2);
}

#[tokio::test]
async fn gw_s10_who_is_held_back_is_asked_too_and_not_for_ever() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let mut socket = open(&world, "/v1/chat", &[]).await;
    socket.send(Message::text(r#"{"s":"one"}"#)).await.expect("open");
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    // More than the service's window: it reads none of it.
    for _ in 0..4 {
        socket.send(Message::text(format!("{{\"s\":\"{}\"}}", "x".repeat(200_000)))).await.expect("open");
    }
    // Time runs by itself when nobody has anything to do.
    tokio::time::pause();
    let mut pings = 0;
    let said = loop {
        let next = tokio::time::timeout(Duration::from_secs(3_600), socket.next());
        match next.await.expect("the edge gives up") {
            Some(Ok(Message::Ping(_))) => pings += 1,
            Some(Ok(Message::Text(text))) => break text.to_string(),
            other => panic!("{other:?}"),
        }
    };
    tokio::time::resume();
    assert!(said.contains("UNAVAILABLE") && said.contains("took no message"), "{said}");
    assert!(pings >= 9, "{pings} questions in five minutes");
    assert_eq!(close(&mut socket).await.0, 4014);
    call.cancelled().await;
}

#[tokio::test]
async fn gw_4_18_a_websocket_keeps_its_place_among_the_connections() {
    let world = World::start("").await;
    world.upstream.goes_live();
    let (mut socket, mut call) = watched(&world).await;
    call.send(&json!({"text": "a"}));
    text(&mut socket).await;
    assert_eq!(bounds::page(&world)["connections"]["open"], 1);
    drop(socket);
    until("its place is free", || std::future::ready(bounds::page(&world)["connections"]["open"] == 0)).await;
}
