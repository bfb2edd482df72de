//! A call under way at one endpoint, and the body of its answer: whatever becomes of it, the endpoint learns of it once.
//!
//! The outcome of a call is that of its end, not of its first bytes: a server that begins answers and breaks them off is
//! broken. A call that runs out of time before its answer began is a failure of the endpoint if it had time enough.
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;

use super::{
    connection::Connection,
    endpoint::Endpoint,
    fault::{self, Outcome},
    http2::Incoming,
    upstream::Upstream,
};

/// A call that an endpoint carries; keeps the endpoint, and with it the connection, until the body has ended.
pub(super) struct Flight {
    upstream: Arc<Upstream>,
    endpoint: Arc<Endpoint>,
    /// It is a stream.
    streams: bool,
    start: Instant,
    deadline: Instant,
    /// Time that must have passed before running out of it says something.
    proof: Duration,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Waiting,
    Answering,
    Over,
}

impl Flight {
    /// Begins a call that waits for its answer until `deadline`.
    pub(super) fn begin(
        upstream: &Arc<Upstream>,
        (endpoint, streams): (Arc<Endpoint>, bool),
        deadline: Instant,
        proof: Duration,
    ) -> Self {
        endpoint.begun();
        let (upstream, start) = (Arc::clone(upstream), Instant::now());
        Self { upstream, endpoint, streams, start, deadline, proof, stage: Stage::Waiting }
    }

    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// It is one message each way.
    pub(super) fn is_unary(&self) -> bool {
        !self.streams
    }

    /// The connection that it goes over.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        self.endpoint.connection_of(self.streams)
    }

    /// The answer begins.
    pub(super) fn answered(&mut self) {
        let now = Instant::now();
        self.endpoint.answered(now - self.start, now);
        if self.stage == Stage::Waiting {
            self.stage = Stage::Answering;
        }
    }

    /// The call ended.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.stage, Stage::Over) != Stage::Over {
            self.upstream.ended(&self.endpoint, outcome);
        }
    }

    /// The call ended with the status in these headers, if they have one.
    pub(super) fn ended_by(&mut self, headers: &HeaderMap) {
        match headers.get("grpc-status") {
            Some(ok) if ok == "0" => self.ended(Outcome::Succeeded),
            Some(_) => {
                if let Some(status) = Status::from_header_map(headers) {
                    self.ended_with(&status);
                }
            }
            None => {}
        }
    }

    /// The call ended with this status. One that came too late counts as if nothing had come; in the trailers of a stream it
    /// only says that the stream had its time.
    fn ended_with(&mut self, status: &Status) {
        let waited = self.stage == Stage::Waiting;
        if waited && status.code() == tonic::Code::DeadlineExceeded && self.start.elapsed() >= self.proof {
            return self.timed_out();
        }
        self.ended(Outcome::of(status));
    }

    fn timed_out(&mut self) {
        self.endpoint.note(|known| known.timed_out += 1);
        self.ended(Outcome::Failed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.stage == Stage::Waiting {
            let now = Instant::now();
            self.endpoint.waited(now - self.start, now);
            if now >= self.deadline && now - self.start >= self.proof {
                self.timed_out();
            }
        }
        self.endpoint.over();
    }
}

/// The body of an answer.
pub(super) struct Answer {
    inner: Incoming,
    flight: Flight,
}

impl Answer {
    pub(super) fn new(inner: Incoming, flight: Flight) -> Self {
        Self { inner, flight }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let polled = ready!(Pin::new(&mut this.inner).poll_frame(context));
        Poll::Ready(match polled {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.flight.ended_by(trailers);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let (code, _, outcome) = fault::read(&error);
                this.flight.ended(outcome);
                Some(Err(fault::error(this.flight.upstream.service(), code, error).into()))
            }
            None => {
                // No trailers: it was broken off.
                this.flight.ended(Outcome::Failed);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
