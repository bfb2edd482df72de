//! The upstream: plain HTTP/2 frames, below any gRPC library, so that it can answer wrongly too. It answers as it is told
//! and remembers what it saw.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{client::framed, contract, live::LiveCall, soon};

/// How to answer. The default is an echo where request and answer are of one type, else an empty message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Answer {
    /// Messages as ProtoJSON.
    pub(crate) messages: Option<Vec<Value>>,
    /// Messages as hexadecimal wire bytes, instead.
    pub(crate) wire: Option<Vec<String>>,
    /// Whole frames as hexadecimal bytes, instead.
    pub(crate) frames: Option<Vec<String>>,
    /// Leading metadata.
    pub(crate) headers: BTreeMap<String, String>,
    /// Trailing metadata; `grpc-status: null` leaves the status out.
    pub(crate) trailers: BTreeMap<String, Option<String>>,
    /// Status code.
    pub(crate) status: i32,
    /// `grpc-message` as it stands on the wire.
    pub(crate) message: Option<String>,
    /// Details of the status, as `google.protobuf.Any` in ProtoJSON.
    pub(crate) details: Vec<Value>,
    /// Status in the headers, no body.
    pub(crate) trailers_only: bool,
    /// HTTP status.
    pub(crate) http: Option<u16>,
    /// Resets the stream with this code at the end.
    pub(crate) reset: Option<u32>,
    /// Sends its messages so many times, each when the edge takes it.
    pub(crate) rounds: Option<usize>,
    /// Waits before it answers, in milliseconds.
    pub(crate) delay: u64,
    /// Waits between messages and before a reset, in milliseconds.
    pub(crate) gap: u64,
    /// The test answers itself: [`Upstream::next_live`].
    pub(crate) live: bool,
}

/// A call that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// `:authority`.
    pub(crate) authority: String,
    pub(crate) metadata: HeaderMap,
    /// The messages as ProtoJSON.
    pub(crate) messages: Vec<Value>,
    /// The stream was reset by the edge before the answer was complete.
    pub(crate) cancelled: bool,
}

/// The upstream of one edge.
#[derive(Clone, Default)]
pub(crate) struct Upstream(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answer: Answer,
    seen: Vec<Seen>,
    live: Vec<LiveCall>,
    sent: usize,
}

impl Upstream {
    /// From now on the test answers calls itself.
    pub(crate) fn goes_live(&self) {
        self.answers(Answer { live: true, ..Answer::default() });
    }

    /// The next call in the hands of the test.
    pub(crate) async fn next_live(&self) -> LiveCall {
        soon(async {
            loop {
                if let Some(call) = self.0.lock().expect("no panic holds it").live.pop() {
                    return call;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Listens on a free port.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let upstream = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().connection(stream));
            }
        });
        (upstream, address)
    }

    /// From now on it answers so, and has seen nothing.
    pub(crate) fn answers(&self, answer: Answer) {
        *self.0.lock().expect("no panic holds it") = State { answer, ..State::default() };
    }

    /// What it saw.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().expect("no panic holds it").seen.clone()
    }

    /// Messages that the edge took.
    pub(crate) fn sent(&self) -> usize {
        self.0.lock().expect("no panic holds it").sent
    }

    async fn connection(self, stream: TcpStream) {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((request, respond))) = connection.accept().await {
            let upstream = self.clone();
            tokio::spawn(async move {
                upstream.call(request, respond).await;
            });
        }
    }

    async fn call(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<()> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let authority = head.uri.authority().map(ToString::to_string).unwrap_or_default();
        let method = contract::method(&path);
        let (answer, index) = {
            let mut state = self.0.lock().expect("no panic holds it");
            let seen = Seen { path, authority, metadata: head.headers, messages: Vec::new(), cancelled: false };
            state.seen.push(seen);
            (state.answer.clone(), state.seen.len() - 1)
        };
        if answer.live {
            let mut state = self.0.lock().expect("no panic holds it");
            let metadata = state.seen[index].metadata.clone();
            state.live.push(LiveCall::new(metadata, method?, body, respond));
            return None;
        }
        let received = read(body).await;
        let input = method.as_ref().map(prost_reflect::MethodDescriptor::input);
        let shown = received.iter().filter_map(|wire| Some(contract::json(input.as_ref()?, wire))).collect();
        if let Some(seen) = self.0.lock().expect("no panic holds it").seen.get_mut(index) {
            seen.messages = shown;
        }
        if answer.delay > 0 {
            let late = tokio::time::timeout(
                Duration::from_millis(answer.delay),
                std::future::poll_fn(|context| respond.poll_reset(context)),
            );
            if late.await.is_ok() {
                self.0.lock().expect("no panic holds it").seen.get_mut(index)?.cancelled = true;
                return None;
            }
        }
        let messages = answer.frames(method.as_ref(), &received);
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(answer.http.unwrap_or(200)).expect("a status");
        let headers = response.headers_mut();
        if answer.http.is_none() {
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        }
        headers.extend(answer.headers.iter().map(|(name, value)| header(name, value)));
        if answer.trailers_only {
            response.headers_mut().extend(answer.trailers());
            respond.send_response(response, true).ok()?;
            return Some(());
        }
        let mut stream = respond.send_response(response, false).ok()?;
        let taken = || self.0.lock().expect("no panic holds it").sent += 1;
        let whole = match answer.rounds {
            Some(rounds) => answer.flood(rounds, &messages, &mut stream, taken).await,
            None => answer.send(messages, &mut stream).await?,
        };
        if !whole {
            self.0.lock().expect("no panic holds it").seen.get_mut(index)?.cancelled = true;
        }
        Some(())
    }
}

impl Answer {
    fn frames(&self, method: Option<&prost_reflect::MethodDescriptor>, received: &[Bytes]) -> Vec<Bytes> {
        if let Some(wire) = self.frames.as_ref().or(self.wire.as_ref()) {
            return wire.iter().map(|text| unhex(text)).collect();
        }
        let Some(method) = method else { return Vec::new() };
        match &self.messages {
            Some(messages) => messages.iter().map(|json| contract::wire(&method.output(), json).into()).collect(),
            None if self.status != 0 || self.http.is_some() => Vec::new(),
            None if method.input() == method.output() => received.last().cloned().into_iter().collect(),
            None => vec![Bytes::new()],
        }
    }

    fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(self.status));
        if let Some(message) = &self.message {
            trailers.insert("grpc-message", HeaderValue::from_bytes(message.as_bytes()).expect("a header"));
        }
        if !self.details.is_empty() {
            let status = json!({"code": self.status, "message": self.message, "details": self.details});
            trailers.insert("grpc-status-details-bin", details(&status));
        }
        for (name, value) in &self.trailers {
            match value {
                Some(value) => trailers.extend([header(name, value)]),
                None => drop(trailers.remove(name)),
            }
        }
        trailers
    }

    /// Sends what is left of the answer; false when the edge reset the stream meanwhile.
    async fn send(&self, messages: Vec<Bytes>, stream: &mut SendStream<Bytes>) -> Option<bool> {
        for (index, message) in messages.into_iter().enumerate() {
            if self.gap > 0 && index > 0 {
                let gap = Duration::from_millis(self.gap);
                if tokio::time::timeout(gap, std::future::poll_fn(|context| stream.poll_reset(context))).await.is_ok() {
                    return Some(false);
                }
            }
            let frame = if self.frames.is_some() { message } else { framed(0, &message).into() };
            stream.send_data(frame, false).ok()?;
        }
        match self.reset {
            Some(code) => {
                // What stands before a reset is lost unless it had time to leave.
                let gap = Duration::from_millis(self.gap);
                let _ = tokio::time::timeout(gap, std::future::poll_fn(|context| stream.poll_reset(context))).await;
                stream.send_reset(code.into());
            }
            None => stream.send_trailers(self.trailers()).ok()?,
        }
        Some(true)
    }
}

impl Answer {
    /// Sends as fast as the edge takes it, and not faster; false when the edge reset the stream meanwhile.
    async fn flood(&self, rounds: usize, messages: &[Bytes], stream: &mut SendStream<Bytes>, taken: impl Fn()) -> bool {
        for message in messages.iter().cycle().take(rounds * messages.len()) {
            let mut rest = Bytes::from(framed(0, message));
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                let Some(Ok(capacity)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
                    return false;
                };
                if stream.send_data(rest.split_to(capacity.min(rest.len())), false).is_err() {
                    return false;
                }
            }
            taken();
        }
        stream.send_trailers(self.trailers()).is_ok()
    }
}

/// The messages of a request.
async fn read(mut body: RecvStream) -> Vec<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        whole.extend_from_slice(&data);
    }
    let mut messages = Vec::new();
    while whole.len() >= 5 {
        let head = whole.split_to(5);
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        messages.push(whole.split_to(length.min(whole.len())).freeze());
    }
    messages
}

fn details(status: &Value) -> HeaderValue {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    let pool = prost_reflect::DescriptorPool::decode(proto::CONTRACT).expect("the contract");
    let message = pool.get_message_by_name("google.rpc.Status").expect("it is in the contract");
    HeaderValue::from_str(&STANDARD_NO_PAD.encode(contract::wire(&message, status))).expect("base64")
}

fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (name.parse().expect("a header name"), HeaderValue::from_str(value).expect("a header value"))
}

/// Bytes from hexadecimal digits; what else stands between them is skipped.
pub(crate) fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("pairs of digits"))
        .collect()
}
