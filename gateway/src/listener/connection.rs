//! One connection: what its requests may know of it, and the guard around its socket.
//!
//! The guard tells by the first bytes which HTTP is spoken, and ends a connection whose first bytes do not come, and one that for as long as a limit takes nothing of what is to
//! be written: it would hold a stream's memory for nobody. Who takes little is not cut. At the end it reads on for a moment
//! (RFC 9112 section 9.6): a socket that is closed with unread bytes is reset, and a caller who is still sending would never
//! see the answer that refused him.
use std::{
    future::{Future, poll_fn},
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
use crate::edge::Place;

/// What a connection over HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; FIRST_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
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
    /// Its place among the connections. A WebSocket keeps it beyond the upgrade.
    _place: Arc<Place>,
}

impl Connection {
    /// A connection that has just been accepted.
    pub(crate) fn new(peer: SocketAddr, place: Place) -> Self {
        let (ending, flushed) = (CancellationToken::new(), Flushed::default());
        Self { peer, ending, flushed, readers: Readers::default(), _place: Arc::new(place) }
    }
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
    /// What was read of them to tell the protocol, and how much; it is read again.
    seen: ([u8; FIRST_BYTES], usize),
    stall: Stall,
    /// Runs once our side is closed, with the bytes that may still be dropped.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<T> Guarded<T> {
    /// A socket whose first bytes come within `first` and whose writes never stand still for longer than `stall`.
    pub(crate) fn new(inner: T, flushed: Flushed, first: Duration, stall: Duration) -> Self {
        let first = Some((FIRST_BYTES, Box::pin(tokio::time::sleep(first))));
        Self { inner, flushed, first, seen: ([0; FIRST_BYTES], 0), stall: Stall::new(stall), lingering: None }
    }
}

impl<T: AsyncRead + Unpin> Guarded<T> {
    /// Waits for as many bytes as it takes to tell whether HTTP/2 is spoken, without its upgrade. One that ends before speaks HTTP/1.
    ///
    /// Not left to the server of both: it would have the first bytes in a read of their own, and then a buffer of twice the size.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        poll_fn(|context| {
            loop {
                let (mut seen, count) = self.seen;
                if seen[..count] != PREFACE[..count] || count == FIRST_BYTES {
                    return Poll::Ready(Ok(count == FIRST_BYTES && seen == *PREFACE));
                }
                let mut more = ReadBuf::new(&mut seen[count..]);
                ready!(self.take(context, &mut more))?;
                let read = more.filled().len();
                if read == 0 {
                    return Poll::Ready(Ok(false));
                }
                self.seen = (seen, count + read);
            }
        })
        .await
    }

    fn take(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(context, into);
        let Some((missing, until)) = &mut self.first else { return poll };
        *missing = missing.saturating_sub(into.filled().len() - before);
        if *missing == 0 {
            self.first = None;
            return poll;
        }
        if poll.is_pending() && until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        poll
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (mut seen, count) = self.seen;
        let given = count.min(into.remaining());
        into.put_slice(&seen[..given]);
        seen.copy_within(given..count, 0);
        self.seen = (seen, count - given);
        if given == 0 {
            return self.take(context, into);
        }
        // With what is there behind it, in one read. An end or an error is heard by the next.
        if into.remaining() > 0 {
            let _ = self.take(context, into);
        }
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn guarded() -> (Guarded<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (Guarded::new(ours, Flushed::default(), Duration::from_secs(5), Duration::from_secs(5)), theirs)
    }

    #[tokio::test]
    async fn the_protocol_is_told_by_the_first_bytes_and_they_are_read_with_what_follows() {
        for (pieces, http2) in [
            (&["GET / HTTP/1.1\r\nhost: a\r\n\r\n"][..], false),
            (&["PR", "OPFIND / HTTP/1.1\r\n\r\n"], false),
            (&["PRI * HTTP/2.0\r\n", "\r\nSM\r", "\n\r\nframes"], true),
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], true),
            (&["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"], false),
            (&["P"], false),
        ] {
            let (mut guarded, mut theirs) = guarded();
            let sent = async {
                for piece in pieces {
                    theirs.write_all(piece.as_bytes()).await.expect("there is room");
                    tokio::task::yield_now().await;
                }
                drop(theirs);
            };
            let (told, ()) = tokio::join!(guarded.speaks_http2(), sent);
            assert_eq!(told.expect("it is told"), http2, "{pieces:?}");
            let mut read = [0; 1024];
            let count = guarded.read(&mut read).await.expect("good");
            assert_eq!(read[..count], *pieces.concat().as_bytes(), "in one read: {pieces:?}");
            assert_eq!(guarded.read(&mut read).await.expect("the end"), 0);
        }
    }

    #[tokio::test]
    async fn who_reads_little_at_a_time_gets_the_first_bytes_in_order() {
        let (mut guarded, mut theirs) = guarded();
        theirs.write_all(b"GET /somewhere HTTP/1.1\r\n\r\n").await.expect("there is room");
        drop(theirs);
        assert!(!guarded.speaks_http2().await.expect("it is told"));
        let (mut all, mut piece) = (Vec::new(), [0; 5]);
        loop {
            let count = guarded.read(&mut piece).await.expect("good");
            if count == 0 {
                break;
            }
            all.extend_from_slice(&piece[..count]);
        }
        assert_eq!(all, b"GET /somewhere HTTP/1.1\r\n\r\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_byte_that_does_not_come_ends_the_connection() {
        let (mut guarded, mut theirs) = guarded();
        theirs.write_all(b"PRI").await.expect("there is room");
        let error = guarded.speaks_http2().await.expect_err("the rest does not come");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
