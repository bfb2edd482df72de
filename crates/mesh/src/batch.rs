//! Fewer system calls for an HTTP/2 connection: small writes are held back until everybody who is ready has had a turn, so that
//! one call carries the frames of many streams, and HEADERS with their DATA; and a read takes all that has come.
//!
//! HTTP/2 libraries flush as soon as one stream has written, and read a frame at a time; under load each stream is a task, and
//! each would cost calls of its own. What must hold: nothing waits for a clock, only for tasks that are ready now; what is held
//! is bounded, and a connection that rests holds nothing; a write that has failed is reported by the next one.
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Most bytes that are held back.
const HELD: usize = 64 * 1024;
/// Most bytes of a write that is held back. Larger ones go out at once, together with what was held back before them: to copy them costs as
/// much as a call.
const SMALL: usize = 16 * 1024;
/// Most bytes that are read at once.
const AHEAD: usize = 64 * 1024;
/// Room of the reader that is filled straight, without a copy: the rest of a large frame.
const ROOM: usize = 16 * 1024;
/// Slices of one vectored write.
const SLICES: usize = 16;

/// A connection whose small writes are gathered, and whose reads are large.
pub struct Batched<T> {
    inner: T,
    /// What is to be written.
    held: BytesMut,
    /// What was read and nobody has asked for yet.
    ahead: BytesMut,
    /// Others had their turn since the last flush was asked for.
    turned: bool,
}

impl<T> Batched<T> {
    /// For a connection that speaks HTTP/2.
    pub fn http2(inner: T) -> Self {
        Self { inner, held: BytesMut::new(), ahead: BytesMut::new(), turned: false }
    }
}

impl<T: AsyncWrite + Unpin> Batched<T> {
    /// Writes everything that is held back.
    fn drained(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &self.held))?;
            self.advance(written)?;
        }
        self.held = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held.advance(written);
        Ok(())
    }

    /// Writes what is held back and these bytes; gives how many of these were taken.
    fn through(&mut self, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.held.len();
            if held == 0 {
                return Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
            }
            let mut all = [IoSlice::new(&[]); SLICES];
            let count = bytes.len().min(SLICES - 1);
            all[0] = IoSlice::new(&self.held);
            all[1..=count].copy_from_slice(&bytes[..count]);
            let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, &all[..=count]))?;
            self.advance(written.min(held))?;
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> Batched<T> {
    /// Reads what has come; nothing at the end.
    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead.reserve(AHEAD);
        let read = poll_read_buf(Pin::new(&mut self.inner), context, &mut self.ahead);
        if self.ahead.is_empty() {
            // Who waits holds no buffer.
            self.ahead = BytesMut::new();
        }
        read.map_ok(drop)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Batched<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            if into.remaining() > ROOM {
                return Pin::new(&mut this.inner).poll_read(context, into);
            }
            ready!(this.fill(context))?;
        }
        let count = this.ahead.len().min(into.remaining());
        into.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Batched<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let length = bytes.iter().map(|each| each.len()).sum::<usize>();
        if length > SMALL || this.held.len() + length > HELD {
            return this.through(context, bytes);
        }
        for each in bytes {
            this.held.extend_from_slice(each);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.held.is_empty() {
            if !std::mem::replace(&mut this.turned, true) {
                // Asked again after those that are ready now.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(this.drained(context))?;
        }
        this.turned = false;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.drained(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Counts writes.
    struct Counted(Vec<u8>, usize);

    impl AsyncWrite for Counted {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            self.1 += 1;
            // Never all at once.
            let taken = data.len().div_ceil(2).max(1).min(data.len());
            self.0.extend_from_slice(&data[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn small_writes_wait_for_a_turn_and_large_ones_take_them_along() {
        let mut batched = Batched::http2(Counted(Vec::new(), 0));
        batched.write_all(b"one").await.expect("it is taken");
        batched.write_all(b"two").await.expect("it is taken");
        assert_eq!(batched.inner.1, 0, "nothing is written before the flush");
        batched.flush().await.expect("it is written");
        assert_eq!(batched.inner.0, b"onetwo");
        batched.write_all(b"three").await.expect("it is taken");
        let large = vec![b'x'; 3 * HELD];
        batched.write_all(&large).await.expect("it is written");
        batched.flush().await.expect("it is written");
        assert_eq!(batched.inner.0, [b"onetwothree", &large[..]].concat());
        batched.write_all(b"last").await.expect("it is taken");
        batched.shutdown().await.expect("it is written");
        assert!(batched.inner.0.ends_with(b"last"));
    }

    #[tokio::test]
    async fn what_is_left_of_a_large_write_is_not_copied() {
        let (small, large) = ([b'a'; 100], [b'b'; 60 * 1024]);
        let mut batched = Batched::http2(Counted(Vec::new(), 0));
        batched.write_all(&small).await.expect("it is taken");
        assert_eq!(batched.inner.1, 0, "what is little waits for the flush");
        batched.write_all(&large).await.expect("it is taken");
        assert!(batched.held.len() <= SMALL, "{} bytes are held back", batched.held.len());
        batched.flush().await.expect("it is written");
        assert_eq!(batched.inner.0, [&small[..], &large].concat());
    }

    #[tokio::test]
    async fn what_has_come_is_read_at_once_and_given_as_it_is_asked_for() {
        let (mut other, ours) = duplex(3 * AHEAD);
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(2 * AHEAD).collect();
        other.write_all(&sent).await.expect("there is room");
        let mut batched = Batched::http2(ours);
        let (mut read, mut piece) = (Vec::new(), [0; 1000]);
        while read.len() < sent.len() {
            let count = batched.read(&mut piece).await.expect("it came");
            read.extend_from_slice(&piece[..count]);
            assert!(batched.ahead.len() <= AHEAD);
        }
        assert_eq!(read, sent);
        assert_eq!(batched.ahead.capacity(), 0, "nothing is held for nobody");
        drop(other);
        assert_eq!(batched.read(&mut piece).await.expect("the end"), 0);
    }
}
