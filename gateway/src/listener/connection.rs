//! One connection: what its requests may know of it, and the guard around its socket.
//!
//! The guard ends a connection whose first bytes do not come, and one that for as long as a limit takes nothing of what is to
//! be written: it would hold a stream's memory for nobody. Who takes little is not cut. At the end it reads on for a moment
//! (RFC 9112 section 9.6): a socket that is closed with unread bytes is reset, and a caller who is still sending would never
//! see the answer that refused him.
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Sleep,
};
use tokio_util::sync::CancellationToken;

use super::readers::Readers;

/// Bytes of the shortest head that is of use; HTTP/2's preface has as many.
const FIRST_BYTES: usize = 24;
/// Longest time, and most bytes, that are read and dropped after the last answer.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 64 * 1024 * 1024);

/// What a request knows of its connection.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// It is to end now: what still streams says UNAVAILABLE and ends.
    pub(crate) ending: CancellationToken,
    /// What has left this process.
    pub(crate) flushed: Flushed,
    /// Who takes its answers, over HTTP/2.
    pub(crate) readers: Readers,
}

/// Counts how often everything written so far was handed to the network.
#[derive(Clone, Default)]
pub(crate) struct Flushed(Arc<(AtomicU64, Notify)>);

impl Flushed {
    /// A moment, to be waited for.
    pub(crate) fn mark(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Waits until what was written before the mark has left, as far as the transport had it then.
    pub(crate) async fn passed(&self, mark: u64) {
        loop {
            let notified = self.0.1.notified();
            if self.mark() != mark {
                return;
            }
            notified.await;
        }
    }

    fn note(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        self.0.1.notify_waiters();
    }
}

/// Ends writes that stand still for longer than a limit.
pub(crate) struct Stall {
    /// Runs while the other end takes nothing.
    until: Option<Pin<Box<Sleep>>>,
    longest: Duration,
}

impl Stall {
    /// Writes stand still for so long at most.
    pub(crate) fn new(longest: Duration) -> Self {
        Self { until: None, longest }
    }

    /// The other end takes nothing at present.
    pub(crate) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// What a write gave, or `TimedOut`.
    pub(crate) fn written<R>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            self.until = None;
            return poll;
        }
        let longest = self.longest;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        until.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A socket under guard.
pub(crate) struct Guarded<T> {
    inner: T,
    flushed: Flushed,
    /// Bytes that are still to come before the first head counts as begun, and until when.
    first: Option<(usize, Pin<Box<Sleep>>)>,
    stall: Stall,
    /// Runs once our side is closed, with the bytes that may still be dropped.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<T> Guarded<T> {
    /// A socket whose first bytes come within `first` and whose writes never stand still for longer than `stall`.
    pub(crate) fn new(inner: T, flushed: Flushed, first: Duration, stall: Duration) -> Self {
        let first = Some((FIRST_BYTES, Box::pin(tokio::time::sleep(first))));
        Self { inner, flushed, first, stall: Stall::new(stall), lingering: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        let poll = Pin::new(&mut this.inner).poll_read(context, into);
        let Some((missing, until)) = &mut this.first else { return poll };
        *missing = missing.saturating_sub(into.filled().len() - before);
        if *missing == 0 {
            this.first = None;
            return poll;
        }
        if poll.is_pending() && until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        poll
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(context, data);
        self.stall.written(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(context, data);
        self.stall.written(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(context);
        if poll.is_ready() {
            self.flushed.note();
        }
        self.stall.written(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let poll = Pin::new(&mut self.inner).poll_shutdown(context);
            ready!(self.stall.written(context, poll))?;
            self.lingering = Some((Box::pin(tokio::time::sleep(LINGER.0)), LINGER.1));
        }
        self.linger(context).map(Ok)
    }
}

impl<T: AsyncRead + Unpin> Guarded<T> {
    /// Reads and drops until the other end closes, or the limit is reached.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((until, left)) = &mut self.lingering else { return Poll::Ready(()) };
        let mut buffer = [0; 16 * 1024];
        while *left > 0 && until.as_mut().poll(context).is_pending() {
            let mut into = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut self.inner).poll_read(context, &mut into)) {
                Ok(()) if !into.filled().is_empty() => *left = left.saturating_sub(into.filled().len()),
                _ => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}
