//! The body of a response under watch, on both sides: it ends in time, it is counted when it ends, a panic in it is an
//! answer, and a stream whose token was revoked ends within a second.
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use api::Error;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};
use tonic::{Code, Status, body::Body};

use crate::observe::Measure;

/// How often a running stream asks whether its token still stands.
const RECHECK: std::time::Duration = std::time::Duration::from_millis(500);

/// What a running stream asks from time to time.
pub(crate) type Check = Box<dyn Fn() -> Result<(), Error> + Send + Sync>;

/// What is given back when the body has ended: a permit, a place on an endpoint.
pub(crate) type Held = Box<dyn Any + Send + Sync>;

/// A response body under watch.
pub(crate) struct Watched {
    inner: Body,
    measure: Measure,
    /// When it ends; the clock is set by the first wait.
    deadline: Option<(Instant, Option<Pin<Box<Sleep>>>)>,
    check: Option<(Check, Interval)>,
    ended: bool,
    held: Option<Held>,
}

impl Watched {
    pub(crate) fn new(inner: Body, measure: Measure) -> Self {
        Self { inner, measure, deadline: None, check: None, ended: false, held: None }
    }

    /// Ends the body at this time.
    pub(crate) fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some((deadline, None));
        self
    }

    /// Ends the body when the check fails.
    pub(crate) fn while_standing(mut self, check: Check) -> Self {
        let mut interval = tokio::time::interval(RECHECK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.check = Some((check, interval));
        self
    }

    /// Keeps a permit until the body has ended.
    pub(crate) fn holding(mut self, held: Option<Held>) -> Self {
        self.held = held;
        self
    }

    fn cut(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let status = Status::from(error);
        self.ended = true;
        self.held = None;
        self.inner = Body::empty();
        self.measure.finish(status.code(), Some(&status));
        Poll::Ready(Some(Ok(Frame::trailers(trailers_of(&status)))))
    }

    /// What ends the body now. Who `waits` is woken by it.
    fn cause_to_end(&mut self, context: &mut Context<'_>, waits: bool) -> Option<Error> {
        if let Some((at, clock)) = &mut self.deadline {
            let at = *at;
            let is_over = match waits {
                true => clock
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)))
                    .as_mut()
                    .poll(context)
                    .is_ready(),
                false => at <= Instant::now(),
            };
            if is_over {
                return Some(Error::deadline());
            }
        }
        if let Some((check, interval)) = &mut self.check {
            while interval.poll_tick(context).is_ready() {
                if let Err(error) = check() {
                    return Some(error);
                }
            }
        }
        None
    }

    fn note(&mut self, trailers: &HeaderMap) {
        if trailers.get("grpc-status").is_some_and(|code| code == "0") {
            return self.measure.finish(Code::Ok, None);
        }
        let status = Status::from_header_map(trailers);
        let code = status.as_ref().map_or(Code::Unknown, Status::code);
        self.measure.finish(code, status.as_ref().filter(|_| code != Code::Ok));
    }
}

/// The status as trailers.
pub(crate) fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // It fails only for a message that is no header value, which the encoding rules out; then the code alone would be lost.
    let _ = status.add_header(&mut trailers);
    trailers
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = {
            let _entered = this.measure.span().enter();
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.inner).poll_frame(context)))
        };
        let Ok(polled) = polled else {
            return this.cut(Error::fault("a fault on our side; it is logged under the request id"));
        };
        // What is there in time is given, and then no clock was set for it. A body that never pauses is asked all the same.
        let is_over = matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_trailers());
        if !is_over && let Some(error) = this.cause_to_end(context, polled.is_pending()) {
            return this.cut(error);
        }
        match ready!(polled) {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.ended = true;
                    this.note(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(status)) => {
                this.ended = true;
                this.measure.finish(status.code(), Some(&status));
                Poll::Ready(Some(Err(status)))
            }
            None => {
                this.ended = true;
                this.measure.finish(Code::Unknown, None);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
