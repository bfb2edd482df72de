//! Who takes the answers of an HTTP/2 connection. Its flow control is per stream: a caller can stop reading one answer, keep
//! the connection alive by answering pings, and no write to the socket ever stands still.
//!
//! What must hold: an answer of which nobody takes 16 KiB for as long as the limit is let go, with its upstream call, and the
//! connection is cut once nothing else runs on it. Who takes little is not cut, and neither is who waits for us.
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

/// What is handed to HTTP/2 at once, which is a DATA frame of the usual size: progress is seen in steps of it.
const PIECE: usize = 16 * 1024;
/// Looks within one limit.
const LOOKS: u32 = 4;

/// The answers of one connection.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Number of the current look.
    look: AtomicU64,
    /// Something was begun, taken or ended since the last look.
    stirred: AtomicBool,
    answers: Mutex<(u64, HashMap<u64, Arc<Answer>>)>,
}

/// One request at work, then its answer.
#[derive(Default)]
struct Answer {
    /// After which look the last piece was handed over; 0 while the caller waits for us.
    given: AtomicU64,
    /// `None` before there is one, and once it was let go.
    body: Mutex<Option<Body>>,
}

/// A request or its answer is at work for as long as this lives.
pub(crate) struct AtWork {
    readers: Readers,
    key: u64,
    answer: Arc<Answer>,
}

impl Readers {
    /// A request begins.
    pub(crate) fn begin(&self) -> AtWork {
        self.0.stirred.store(true, Ordering::Relaxed);
        let answer = Arc::<Answer>::default();
        let mut answers = locked(&self.0.answers);
        answers.0 += 1;
        let key = answers.0;
        answers.1.insert(key, Arc::clone(&answer));
        drop(answers);
        AtWork { readers: self.clone(), key, answer }
    }

    /// Ends when the connection is to be cut: everything that runs on it was let go, or it is told to end and nothing has
    /// moved on it for `limit` (HTTP/2 still holds the last pieces of answers).
    pub(crate) async fn gone(&self, limit: Duration, ending: &CancellationToken) {
        let mut looks = interval(limit / LOOKS);
        looks.tick().await;
        let mut still = 0;
        loop {
            looks.tick().await;
            still = if self.0.stirred.swap(false, Ordering::Relaxed) { 0 } else { still + 1 };
            if self.look() || (still > LOOKS && ending.is_cancelled()) {
                return;
            }
        }
    }

    /// Lets go what nobody takes; whether that is all there is.
    fn look(&self) -> bool {
        let look = self.0.look.fetch_add(1, Ordering::Relaxed) + 1;
        let mut left = Vec::new();
        let answers = locked(&self.0.answers);
        let mut gone = !answers.1.is_empty();
        for answer in answers.1.values() {
            let given = answer.given.load(Ordering::Relaxed);
            if given == 0 || look <= given + u64::from(LOOKS) {
                gone = false;
            } else {
                left.push(locked(&answer.body).take());
            }
        }
        drop(answers);
        // What a body holds is dropped outside of the lock.
        drop(left);
        gone
    }
}

impl AtWork {
    /// The answer, whose body is watched from now on.
    pub(crate) fn answered(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| {
            if body.is_end_stream() {
                return body;
            }
            *locked(&self.answer.body) = Some(body);
            Body::new(Watched { at_work: self, rest: Bytes::new() })
        })
    }

    fn stir(&self, given: u64) {
        self.answer.given.store(given, Ordering::Relaxed);
        self.readers.0.stirred.store(true, Ordering::Relaxed);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.readers.0.stirred.store(true, Ordering::Relaxed);
        let left = locked(&self.readers.0.answers).1.remove(&self.key);
        drop(left);
    }
}

/// A body that tells when it is asked for more.
struct Watched {
    at_work: AtWork,
    /// Of the last frame, still to be handed over.
    rest: Bytes,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            this.at_work.stir(0);
            let mut body = locked(&this.at_work.answer.body);
            let Some(inner) = body.as_mut() else {
                let left = api::Error::unavailable("this answer (nobody took it for too long, setting gateway.stream_idle)");
                return Poll::Ready(Some(Err(left.into())));
            };
            let Some(frame) = ready!(Pin::new(inner).poll_frame(context)).transpose()? else { return Poll::Ready(None) };
            drop(body);
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        // Looks are counted from 1, so that 0 means what it does.
        this.at_work.stir(this.at_work.readers.0.look.load(Ordering::Relaxed) + 1);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && locked(&self.at_work.answer.body).as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let Some(inner) = locked(&self.at_work.answer.body).as_ref().map(HttpBody::size_hint) else {
            return SizeHint::default();
        };
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn answer(readers: &Readers, bytes: usize) -> Body {
        let body = Body::new(Full::new(Bytes::from(vec![b'a'; bytes])));
        readers.begin().answered(Response::new(body)).into_body()
    }

    #[tokio::test]
    async fn what_nobody_takes_is_let_go_and_what_is_taken_is_not() {
        let readers = Readers::default();
        let (mut slow, mut left) = (answer(&readers, 4 * PIECE), answer(&readers, 4 * PIECE));
        assert!(left.frame().await.expect("a frame").is_ok());
        for _ in 0..3 {
            assert!(slow.frame().await.expect("a frame").is_ok());
            assert!((0..LOOKS).all(|_| !readers.look()), "the slow one is at work");
        }
        assert!(!readers.look(), "the slow one was given its last piece four looks ago");
        assert!(slow.frame().await.expect("a frame").is_ok() && slow.frame().await.is_none());
        drop(slow);
        assert!(readers.look(), "only the one that was left is there");
        while let Some(Ok(_)) = left.frame().await {}
        drop(left);
        assert!(!readers.look(), "nothing is at work");
    }

    #[tokio::test]
    async fn a_request_without_an_answer_waits_for_us() {
        let readers = Readers::default();
        let _at_work = readers.begin();
        assert!((0..3 * LOOKS).all(|_| !readers.look()));
    }

    #[tokio::test]
    async fn pieces_are_the_whole_body() {
        let body = answer(&Readers::default(), 3 * PIECE + 1);
        assert_eq!(body.size_hint().exact(), Some(3 * PIECE as u64 + 1));
        assert_eq!(body.collect().await.expect("a body").to_bytes().len(), 3 * PIECE + 1);
    }
}
