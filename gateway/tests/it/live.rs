//! A call that the test itself answers, message by message.
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use prost_reflect::MethodDescriptor;
use serde_json::Value;

use crate::{client::framed, contract, soon};

/// A call in the hands of the test.
pub(crate) struct LiveCall {
    pub(crate) metadata: HeaderMap,
    method: MethodDescriptor,
    body: RecvStream,
    received: BytesMut,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    rest: Bytes,
}

impl LiveCall {
    pub(crate) fn new(
        metadata: HeaderMap,
        method: MethodDescriptor,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        Self { metadata, method, body, received: BytesMut::new(), respond, stream: None, rest: Bytes::new() }
    }

    /// The next message as ProtoJSON; `None` at the end, or when the caller broke off.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        soon(async {
            loop {
                if let Some(head) = self.received.first_chunk::<5>() {
                    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                    if self.received.len() >= 5 + length {
                        let frame = self.received.split_to(5 + length);
                        return Some(contract::json(&self.method.input(), &frame[5..]));
                    }
                }
                let data = self.body.data().await?.ok()?;
                let _ = self.body.flow_control().release_capacity(data.len());
                self.received.extend_from_slice(&data);
            }
        })
        .await
    }

    /// Trailers of the request.
    pub(crate) async fn trailers(&mut self) -> Option<HeaderMap> {
        soon(self.body.trailers()).await.expect("the call stands").filter(|trailers| !trailers.is_empty())
    }

    /// The caller's end was clean.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.is_end_stream()
    }

    fn open(&mut self) -> &mut SendStream<Bytes> {
        self.stream.get_or_insert_with(|| {
            let response = Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
            self.respond.send_response(response, false).expect("the call is open")
        })
    }

    /// Sends the headers alone.
    pub(crate) fn begin(&mut self) {
        self.open();
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, json: &Value) {
        let message = contract::wire(&self.method.output(), json);
        self.send_raw(0, &message);
    }

    /// Sends a message as it is, with these flags.
    pub(crate) fn send_raw(&mut self, flags: u8, message: &[u8]) {
        self.open().send_data(framed(flags, message).into(), false).expect("the call is open");
    }

    /// Sends data as fast as the edge takes it, until it takes no more for a while, or all has gone. What is left is kept
    /// for [`LiveCall::push_rest`].
    pub(crate) async fn push(&mut self, data: Bytes) -> usize {
        self.rest = data;
        let begin = self.rest.len();
        let patience = std::time::Duration::from_millis(500);
        while !self.rest.is_empty() && tokio::time::timeout(patience, self.push_some()).await == Ok(true) {}
        begin - self.rest.len()
    }

    /// Sends what is left.
    pub(crate) async fn push_rest(&mut self) {
        while !self.rest.is_empty() {
            assert!(soon(self.push_some()).await, "the call is open");
        }
    }

    /// Sends some of what is left; false when the edge broke the call off.
    async fn push_some(&mut self) -> bool {
        let length = self.rest.len().min(16 * 1024);
        self.open().reserve_capacity(length);
        let stream = self.open();
        let Some(Ok(given)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else { return false };
        let data = self.rest.split_to(given.min(self.rest.len()));
        self.open().send_data(data, false).is_ok()
    }

    /// Ends the call.
    pub(crate) fn end(mut self, status: i32) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(status));
        self.open().send_trailers(trailers).expect("the call is open");
    }

    /// Waits until the edge breaks the call off.
    pub(crate) async fn cancelled(self) {
        soon(self.cancelled_whenever()).await;
    }

    /// The same, however long it takes.
    pub(crate) async fn cancelled_whenever(mut self) {
        let stream = self.open();
        std::future::poll_fn(|context| stream.poll_reset(context)).await.expect("it is reset");
    }
}
