//! One WebSocket from its first frame to its close: the caller's frames go up under back-pressure, the service's messages
//! come down, and whoever ends it says why.
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::header;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use proto::{Method, Rule};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    time::{MissedTickBehavior, interval_at, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;
use transcode::{Match, frame::Framed};

use super::{
    frames::{Form, Said, late_headers},
    transport::Transport,
};
use crate::{
    call::{
        inlet::Inlet,
        stream::{Patience, Source},
    },
    edge::Edge,
    filter::{self, Passage},
    refusal::Refusal,
    upstream::{self, Call},
};

/// Time for a first frame that carries the credential: it stands for a part of the head, which may have less.
const CREDENTIAL_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for a first message where the service may speak first.
const FIRST: Duration = Duration::from_secs(1);
/// How many questions whether the other end is there may stay unanswered.
const UNANSWERED: u32 = 2;
/// Time for the other end to take the close.
const FAREWELL: Duration = Duration::from_secs(5);
/// Longest reason in a close frame (RFC 6455 section 5.5).
const REASON_BYTES: usize = 123;

type Socket = WebSocketStream<Transport<TokioIo<Upgraded>>>;
type Up = mpsc::Sender<Result<Framed, Refusal>>;

/// One WebSocket.
pub(super) struct Session {
    edge: Arc<Edge>,
    passage: Passage,
    form: Form,
    address: IpAddr,
    pulse: Pulse,
}

/// Whether the other end lives.
#[derive(Default)]
struct Pulse {
    unanswered: AtomicU32,
    /// We do not read, so it cannot answer.
    held_back: AtomicBool,
}

/// Why a session ends.
enum End {
    /// The call ended well.
    Done,
    /// The call failed.
    Refused(Refusal),
    /// The other end said goodbye.
    Left,
    /// The other end died.
    Gone,
    /// The edge stops, or the connection is too old.
    Draining,
    /// The other end broke the protocol.
    Broken(CloseCode, &'static str),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Session {
    /// A session whose upgrade was accepted.
    pub(super) fn new(
        edge: Arc<Edge>,
        passage: Passage,
        (matched, method): (Match, &'static Method),
        proto: bool,
        address: IpAddr,
    ) -> Result<Self, Refusal> {
        let query = passage.head.uri.query().map(str::to_owned);
        let options = matched.response_options(query.as_deref())?;
        let form = Form { matched, method, query, options, proto };
        Ok(Self { edge, passage, form, address, pulse: Pulse::default() })
    }

    /// Runs it to its end.
    pub(super) async fn run(mut self, upgraded: Upgraded, draining: CancellationToken) {
        let most = usize::try_from(self.edge.config.websocket_frame_max.bytes()).ok();
        let config = WebSocketConfig::default().max_message_size(most).max_frame_size(most);
        let transport = Transport::new(TokioIo::new(upgraded), self.edge.config.stream_idle);
        let socket = WebSocketStream::from_raw_socket(transport, Role::Server, Some(config)).await;
        // The connection has this at work, also where its answer was only a head (RFC 8441).
        let _at_work = self.passage.connection.readers.begin();
        let (mut sink, mut stream) = socket.split();
        let ending = self.passage.connection.ending.clone();
        let end = tokio::select! {
            end = self.talk(&mut sink, &mut stream) => end,
            () = draining.cancelled() => End::Draining,
            () = ending.cancelled() => End::Draining,
        };
        let _ = timeout(FAREWELL, self.close(end, &mut sink, &mut stream)).await;
        // Closed with unread bytes the socket would be reset, and the other end might never see why it was closed.
        if let Ok(socket) = sink.reunite(stream) {
            let _ = timeout(FAREWELL, socket.into_inner().shutdown()).await;
        }
    }

    async fn talk(&mut self, sink: &mut SplitSink<Socket, Message>, stream: &mut SplitStream<Socket>) -> End {
        match self.greeted(stream).await {
            Err(end) => end,
            Ok(first) => match self.call(first, sink, stream).await {
                Ok(end) | Err(end) => end,
            },
        }
    }

    /// Takes late headers, admits the caller, and gives the first frame that is a message.
    async fn greeted(&mut self, stream: &mut SplitStream<Socket>) -> Result<Option<Message>, End> {
        let method = self.form.method;
        if self.passage.head.headers.contains_key(header::AUTHORIZATION) {
            return self.first(stream).await;
        }
        let public = method.access.as_ref().is_some_and(|access| access.rule == Rule::Public);
        let frame = if public {
            self.first(stream).await?
        } else {
            let wait = timeout(CREDENTIAL_WAIT.min(self.edge.config.head_timeout), next(stream, &self.pulse));
            Some(wait.await.map_err(|_| Refusal::from(api::Error::credential_missing()))??)
        };
        let late = frame.as_ref().map(late_headers).transpose()?.flatten();
        let is_late = late.is_some();
        if let Some(late) = late {
            self.passage.head.headers.extend(late);
            let headers = &self.passage.head.headers;
            self.passage.context.deadline = filter::deadline(&self.edge, headers, Some(method))?;
        }
        if is_late || !public {
            let (headers, context) = (&self.passage.head.headers, &self.passage.context);
            self.passage.principal = filter::admit(&self.edge, headers, method, context, self.address).await?;
        }
        if is_late { self.first(stream).await } else { Ok(frame) }
    }

    /// The first frame of a caller who speaks first; `None` where the call begins without.
    async fn first(&self, stream: &mut SplitStream<Socket>) -> Result<Option<Message>, End> {
        if !self.form.listens() {
            return Ok(None);
        }
        let both = self.form.method.client_streaming && self.form.method.server_streaming;
        let wait = if both { FIRST } else { self.edge.config.stream_idle };
        match timeout(wait, next(stream, &self.pulse)).await {
            Ok(frame) => Ok(Some(frame?)),
            Err(_) if both => Ok(None),
            Err(_) => {
                let message = format!("no message for {} s (setting gateway.stream_idle)", wait.as_secs());
                Err(Refusal::new(408, tonic::Code::DeadlineExceeded, "BODY_TOO_SLOW", message).into())
            }
        }
    }

    /// Makes the call and carries its messages both ways.
    async fn call(
        &mut self,
        first: Option<Message>,
        sink: &mut SplitSink<Socket, Message>,
        stream: &mut SplitStream<Socket>,
    ) -> Result<End, End> {
        let said = first.map(|frame| self.form.read(frame, true)).transpose()?;
        let streams = self.form.method.client_streaming;
        let (up, messages) = mpsc::channel(1);
        let begun = said.is_some();
        let (inlet, up) = match said {
            Some(Said::Message(wire)) if !streams => (Inlet::one(wire), None),
            _ if !streams => (Inlet::one(self.form.alone()?), None),
            Some(Said::HalfClose) => (Inlet::messages(futures::stream::empty()), None),
            said => {
                let first = match said {
                    Some(Said::Message(wire)) => Some(Ok(wire)),
                    _ => None,
                };
                let rest = ReceiverStream::new(messages);
                (Inlet::messages(futures::stream::iter(first).chain(rest)), Some(up))
            }
        };
        let metadata = upstream::metadata(&self.passage.head.headers);
        let call = Call::of(&self.passage, self.form.method)?;
        let call = upstream::prepare(&self.edge, &self.passage.context, call, metadata, inlet.body);
        let limit = self.edge.config.message_max();
        // The session itself watches its end, and pings find out who is dead.
        let source = Source::new(call, limit, inlet.fault, Patience::default());
        tokio::select! {
            biased;
            end = self.listen(stream, up, begun) => Ok(end),
            end = self.speak(sink, source) => Ok(end),
        }
    }

    /// Carries the caller's messages up until he leaves.
    async fn listen(&self, stream: &mut SplitStream<Socket>, mut up: Option<Up>, mut begun: bool) -> End {
        loop {
            let frame = match next(stream, &self.pulse).await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let said = match self.form.read(frame, !begun) {
                Ok(said) => said,
                Err(refusal) => return End::Refused(refusal),
            };
            match (said, &up) {
                (Said::HalfClose, _) => up = None,
                (Said::Message(wire), Some(sender)) => {
                    begun = true;
                    self.pulse.held_back.store(true, Ordering::Relaxed);
                    // A service that reads no more has answered, or will: its answer ends the session. But not for ever.
                    let idle = self.edge.config.stream_idle;
                    let sent = timeout(idle, sender.send(Ok(wire))).await;
                    self.pulse.held_back.store(false, Ordering::Relaxed);
                    if sent.is_err() {
                        let seconds = idle.as_secs();
                        let what =
                            format!("the service (it took no message for {seconds} s, setting gateway.stream_idle)");
                        return End::Refused(api::Error::unavailable(what).into());
                    }
                }
                (Said::Message(_), None) => {
                    let message = "no message can follow here: the call has its only one, or an empty frame ended them";
                    let code = tonic::Code::InvalidArgument;
                    return End::Refused(Refusal::new(400, code, "MESSAGE_UNEXPECTED", message));
                }
            }
        }
    }

    /// Carries the service's messages down until it ends, and asks whether somebody is there.
    async fn speak(&self, sink: &mut SplitSink<Socket, Message>, mut source: Source) -> End {
        let every = self.edge.config.keep_alive;
        let mut ping = interval_at(tokio::time::Instant::now() + every, every);
        // Who was slow to take a message is asked once then, and has time to answer.
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let frame = tokio::select! {
                next = source.next() => match next {
                    Ok(None) => return End::Done,
                    Ok(Some(wire)) => self.form.write(wire),
                    Err(refusal) => Err(refusal),
                },
                _ = ping.tick() => {
                    // A question finds out who is dead also while answers are not read: writing to him fails in the end.
                    let counts = !self.pulse.held_back.load(Ordering::Relaxed);
                    if counts && self.pulse.unanswered.fetch_add(1, Ordering::Relaxed) >= UNANSWERED {
                        return End::Gone;
                    }
                    Ok(Message::Ping(Bytes::new()))
                }
            };
            match frame {
                Err(refusal) => return End::Refused(refusal),
                Ok(frame) => {
                    if sink.send(frame).await.is_err() {
                        return End::Gone;
                    }
                }
            }
        }
    }

    /// Says why it ends, and waits until the other end has heard it.
    async fn close(&self, end: End, sink: &mut SplitSink<Socket, Message>, stream: &mut SplitStream<Socket>) {
        let (code, reason) = match end {
            End::Gone => return,
            // The answer to it is queued; it leaves while the end is awaited (RFC 6455 section 5.5.1).
            End::Left => return while let Some(Ok(_)) = stream.next().await {},
            End::Done => (CloseCode::Normal, String::new()),
            End::Draining => (CloseCode::Away, "this connection ends; open another one".to_owned()),
            End::Broken(code, reason) => (code, reason.to_owned()),
            End::Refused(refusal) => {
                let id = &self.passage.context.request_id;
                let body = refusal.body(&self.passage.schema.contract, Some(&self.form.matched), id);
                let text = String::from_utf8_lossy(&body).into_owned();
                if sink.send(Message::text(text)).await.is_err() {
                    return;
                }
                let code = u16::try_from(refusal.parts.code).ok().filter(|code| *code <= 16).unwrap_or(2);
                (CloseCode::from(4000 + code), refusal.parts.message.clone())
            }
        };
        let mut length = reason.len().min(REASON_BYTES);
        while !reason.is_char_boundary(length) {
            length -= 1;
        }
        let frame = CloseFrame { code, reason: reason[..length].into() };
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    }
}

/// The next data frame; everything that comes is a sign of life.
async fn next(stream: &mut SplitStream<Socket>, pulse: &Pulse) -> Result<Message, End> {
    loop {
        let frame = stream.next().await;
        pulse.unanswered.store(0, Ordering::Relaxed);
        match frame {
            Some(Ok(frame @ (Message::Text(_) | Message::Binary(_)))) => return Ok(frame),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) => return Err(End::Left),
            None => return Err(End::Gone),
            Some(Err(Error::Capacity(_))) => {
                let reason = "a message is longer than gateway.websocket_frame_max; send smaller ones";
                return Err(End::Broken(CloseCode::Size, reason));
            }
            Some(Err(Error::Utf8(_))) => return Err(End::Broken(CloseCode::Invalid, "a text frame is no UTF-8")),
            Some(Err(Error::Protocol(_))) => return Err(End::Broken(CloseCode::Protocol, "a frame is malformed")),
            Some(Err(_)) => return Err(End::Gone),
        }
    }
}
