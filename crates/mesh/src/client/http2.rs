//! HTTP/2 as a client, straight on `h2`: a call is a stream, and who awaits its answer is woken by the connection itself.
//!
//! A client library above would put a queue, a task and a channel between the two for every call (docs/adr/0028). What must
//! hold: dropping the answer cancels the call upstream at once; a connection that nobody can use any more ends when its last
//! stream has ended; one that is silent while calls run is given up.
use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::poll_fn;
use h2::{Reason, RecvStream, SendStream, client};
use http::{HeaderValue, Request, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    task::JoinSet,
};
use tonic::body::Body;

use crate::{
    batch::Batched,
    http2::{CONNECTION_WINDOW, FRAME, STREAM_WINDOW},
    pipe::Straight,
};

/// While calls run, the other end is asked so often whether it is there.
const BEAT: Duration = Duration::from_secs(30);
/// So long it may take to say so.
const SILENCE: Duration = Duration::from_secs(10);
/// Largest list of headers or trailers that is taken, in bytes.
const HEADERS_MAX: u32 = 16 * 1024;
/// Streams that are opened before the server has said how many it takes (RFC 9113 section 6.5.2 recommends no fewer).
const STREAMS_AT_FIRST: usize = 100;

/// The open end of a connection. Cheap to clone; the connection ends when all are dropped and their calls are over.
#[derive(Clone)]
pub(super) struct Requests {
    streams: client::SendRequest<Bytes>,
    /// The way past the connection, within a process.
    straight: Option<Straight>,
    end: Arc<End>,
}

/// What is sent after the headers.
pub(super) enum Payload {
    /// The only message, framed: it can be sent again.
    Whole(Bytes),
    /// A stream: sent once.
    Once(Body),
}

/// Why there is no answer.
pub(super) enum Failed {
    /// The connection takes no more requests: here it is again, unsent.
    Unsent(Box<(Request<()>, Payload)>, h2::Error),
    /// It was sent, or may have been.
    Lost(h2::Error),
}

/// Driving the connection; its end is the connection's.
pub(super) type Driver = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Shared by all ends of a connection; the last one tells the driver, for `h2` does not.
struct End(Arc<Life>);

/// What the driver and the ends know of each other.
#[derive(Default)]
struct Life {
    ended: AtomicBool,
    running: AtomicUsize,
    left: Notify,
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

/// A call that runs; held until its answer has ended.
struct Running(Arc<Life>);

impl Running {
    fn begin(life: &Arc<Life>) -> Self {
        life.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(life))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Speaks HTTP/2 over a connection that has just been opened.
pub(super) async fn handshake(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<(Requests, Driver)> {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .initial_max_send_streams(STREAMS_AT_FIRST)
        .max_header_list_size(HEADERS_MAX)
        // What a service had sent before it heard that a call was left comes late, and is no fault of it: h2 would end the connection
        // after 1,024 such frames, with the calls of others on it.
        .max_local_error_reset_streams(None);
    let (streams, connection) = builder.handshake(Batched::http2(io)).await.map_err(io::Error::other)?;
    let life = Arc::new(Life::default());
    let driver = Box::pin(drive(connection, Arc::clone(&life)));
    Ok((Requests { streams, straight: None, end: Arc::new(End(life)) }, driver))
}

async fn drive<T>(mut connection: client::Connection<T>, life: Arc<Life>) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let pings = connection.ping_pong();
    let mut silent = pin!(silence(pings, &life));
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut connection => break ended.map_err(io::Error::other),
            // Polled again, the connection sees that nobody can use it any more.
            () = life.left.notified() => {}
            () = &mut silent => break Err(io::ErrorKind::TimedOut.into()),
        }
    };
    life.ended.store(true, Ordering::Relaxed);
    ended
}

/// Ends when the other end does not answer while calls run.
async fn silence(pings: Option<h2::PingPong>, life: &Life) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tokio::time::sleep(BEAT).await;
        if life.running.load(Ordering::Relaxed) == 0 {
            continue;
        }
        match tokio::time::timeout(SILENCE, pings.ping(h2::Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection itself says what ended it.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

impl Requests {
    /// It takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.end.0.ended.load(Ordering::Relaxed)
    }

    /// With a way past the connection.
    pub(super) fn with(self, straight: Option<Straight>) -> Self {
        Self { straight, ..self }
    }

    /// Sends a request; gives the answer once its headers are there. Dropping it, or the answer, cancels the call. A `unary` one goes
    /// straight where it can.
    ///
    /// # Errors
    /// [`Failed`] says whether anybody can have seen the request.
    pub(super) async fn send(
        mut self,
        mut head: Request<()>,
        payload: Payload,
        unary: bool,
    ) -> Result<Response<Incoming>, Failed> {
        if let (true, Some(straight), Payload::Whole(message)) = (unary, &self.straight, &payload) {
            match straight.call(head, message.clone()) {
                // Who was broken off with his server knows no more than who lost a connection.
                Ok(answering) => {
                    let answer = answering.answer().await.ok_or_else(|| Failed::Lost(Reason::CANCEL.into()))?;
                    return Ok(answer.map(Incoming::Straight));
                }
                Err(back) => head = *back,
            }
        }
        let running = Running::begin(&self.end.0);
        if let Err(error) = poll_fn(|context| self.streams.poll_ready(context)).await {
            return Err(Failed::Unsent(Box::new((head, payload)), error));
        }
        if let Payload::Whole(bytes) = &payload {
            head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        let (answer, mut stream) = self.streams.send_request(head, false).map_err(Failed::Lost)?;
        let pump = match payload {
            Payload::Whole(bytes) => {
                // It fails only if the stream is reset by now: the answer says by what.
                let _ = stream.send_data(bytes, true);
                drop(stream);
                None
            }
            // A task of its own: either direction goes on while nobody polls the other.
            Payload::Once(body) => {
                let mut pumps = JoinSet::new();
                pumps.spawn(pump(body, stream));
                Some(pumps)
            }
        };
        let answer = answer.await.map_err(Failed::Lost)?;
        let answer = answer.map(|stream| Stream { stream, data_ended: false, _pump: pump, _running: running });
        Ok(answer.map(Incoming::Stream))
    }
}

/// Sends a body as fast as the other end takes it.
async fn pump(mut body: Body, mut stream: SendStream<Bytes>) {
    loop {
        let frame = tokio::select! {
            biased;
            // Nobody wants the rest.
            _ = poll_fn(|context| stream.poll_reset(context)) => return,
            frame = body.frame() => frame,
        };
        let sent = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => piece(&mut stream, data).await,
            Some(Ok(Err(frame))) => {
                let _ = stream.send_trailers(frame.into_trailers().unwrap_or_default());
                return;
            }
            // The caller broke off: what was sent so far is no whole request.
            Some(Err(_)) => return stream.send_reset(Reason::CANCEL),
            None => {
                let _ = stream.send_data(Bytes::new(), true);
                return;
            }
        };
        if sent.is_none() {
            return;
        }
    }
}

/// Sends a piece within the window; `None` when the stream has ended.
async fn piece(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|context| stream.poll_capacity(context)).await?.ok()?;
        let some = data.split_to(room.min(data.len()));
        if !some.is_empty() {
            stream.send_data(some, false).ok()?;
        }
    }
    Some(())
}

/// The body of an answer: messages, then trailers.
pub(super) enum Incoming {
    /// Over the connection.
    Stream(Stream),
    /// As the server made it.
    Straight(Body),
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        match self.get_mut() {
            Self::Stream(stream) => stream.poll_frame(context),
            // What the server would reset the stream with.
            Self::Straight(body) => {
                let polled = Pin::new(body).poll_frame(context);
                polled.map(|frame| frame.map(|frame| frame.map_err(|_| Reason::INTERNAL_ERROR.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.stream.is_end_stream(),
            Self::Straight(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A body that comes over the connection.
pub(super) struct Stream {
    stream: RecvStream,
    data_ended: bool,
    /// Ends with the answer.
    _pump: Option<JoinSet<()>>,
    _running: Running,
}

impl Stream {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => {
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(broken_off(error)),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(context)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => broken_off(error),
        })
    }
}

/// A reset without an error is an end (RFC 9113 section 8.1): without trailers, if there were none.
fn broken_off(error: h2::Error) -> Option<Result<Frame<Bytes>, h2::Error>> {
    (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(error))
}
