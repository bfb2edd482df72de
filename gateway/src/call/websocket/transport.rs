//! What a WebSocket travels on, over either version of HTTP.
//!
//! What must hold: who does not read is not read. Pings could otherwise be answered without end into a buffer that nobody
//! empties. A write that stands still for too long ends the socket: over HTTP/2 the guard of the connection does not see it.
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::Stall;

/// A connection under back-pressure.
pub(super) struct Transport<T> {
    inner: T,
    stall: Stall,
    /// Who wants to read on when a write has gone through.
    reader: Option<Waker>,
}

impl<T> Transport<T> {
    /// Writes stand still for at most `stall`.
    pub(super) fn new(inner: T, stall: Duration) -> Self {
        Self { inner, stall: Stall::new(stall), reader: None }
    }

    fn written<R>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        let poll = self.stall.written(context, poll);
        if poll.is_ready()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        poll
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Transport<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stall.is_on() {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Transport<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(context, data);
        self.written(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(context);
        self.written(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_shutdown(context);
        self.written(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures::task::noop_waker;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_not_read_and_is_cut_in_the_end() {
        let (mut other, ours) = duplex(4);
        let mut ours = Transport::new(ours, Duration::from_secs(9));
        other.write_all(b"ping").await.expect("there is room");
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut ours).poll_write(&mut context, b"pong").is_ready());
        assert!(Pin::new(&mut ours).poll_write(&mut context, b"pong").is_pending());
        let mut buffer = [0; 4];
        assert!(Pin::new(&mut ours).poll_read(&mut context, &mut ReadBuf::new(&mut buffer)).is_pending());
        let mut taken = [0; 4];
        other.read_exact(&mut taken).await.expect("the first answer");
        ours.write_all(b"pong").await.expect("there is room again");
        ours.read_exact(&mut buffer).await.expect("it is read again");
        assert_eq!((&taken, &buffer), (b"pong", b"ping"));
        let error = ours.write_all(b"pong").await.expect_err("nobody takes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
