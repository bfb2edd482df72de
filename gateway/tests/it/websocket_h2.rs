//! WebSocket over HTTP/2 (RFC 8441), below any WebSocket library on the way in.
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::SinkExt as _;
use h2::{RecvStream, SendStream, ext::Protocol};
use http::{Request, Version};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::{
    soon,
    websocket::{close, text},
    world::World,
};

/// A stream of HTTP/2 as a socket.
struct Tunnel {
    send: SendStream<Bytes>,
    receive: RecvStream,
    rest: Bytes,
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.receive.poll_data(context)) {
                Some(Ok(data)) => {
                    let _ = self.receive.flow_control().release_capacity(data.len());
                    self.rest = data;
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(into.remaining());
        into.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.send.send_data(Bytes::copy_from_slice(data), false);
        Poll::Ready(sent.map(|()| data.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}

async fn open(world: &World, path: &str) -> WebSocketStream<Tunnel> {
    let stream = TcpStream::connect(world.address).await.expect("the edge listens");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("the connection stands");
    // Any exchange before: the settings of the edge are known then.
    let probe = Request::get(format!("http://{}/v1/query", world.address)).body(()).expect("a request");
    soon(sender.send_request(probe, true).expect("sent").0).await.expect("an answer");
    assert!(sender.is_extended_connect_protocol_enabled());
    let request = Request::builder()
        .method("CONNECT")
        .version(Version::HTTP_2)
        .uri(format!("http://{}{path}", world.address))
        .extension(Protocol::from("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "workos.json.v1")
        .body(())
        .expect("a request");
    let mut sender = sender.ready().await.expect("the connection stands");
    let (response, send) = sender.send_request(request, false).expect("sent");
    let response = soon(response).await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["sec-websocket-protocol"]),
        (200, &"workos.json.v1".parse().expect("a header"))
    );
    let tunnel = Tunnel { send, receive: response.into_body(), rest: Bytes::new() };
    WebSocketStream::from_raw_socket(tunnel, Role::Client, None).await
}

#[tokio::test]
async fn gw_s10_sockets_run_over_http_2() {
    let world = World::start("").await;
    let mut socket = open(&world, "/v1/chat").await;
    world.upstream.goes_live();
    socket.send(Message::text(r#"{"s":"one"}"#)).await.expect("open");
    let mut call = world.upstream.next_live().await;
    assert_eq!(call.next().await, Some(json!({"s": "one"})));
    call.send(&json!({"text": "first"}));
    assert_eq!(text(&mut socket).await, r#"{"text":"first"}"#);
    socket.send(Message::text("")).await.expect("open");
    assert_eq!(call.next().await, None);
    call.end(7);
    assert!(text(&mut socket).await.contains("PERMISSION_DENIED"));
    assert_eq!(close(&mut socket).await.0, 4007);
}
