//! What a batched connection holds back: little, and nothing of what is left of a large write.
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Takes half of each write, and remembers it.
#[derive(Clone, Default)]
struct Halves(Arc<Mutex<Vec<u8>>>);

impl Halves {
    fn taken(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AsyncWrite for Halves {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let taken = data.len().div_ceil(2);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&data[..taken]);
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
async fn what_is_left_of_a_large_write_is_not_copied() {
    let (halves, small, large) = (Halves::default(), [b'a'; 100], [b'b'; 60 * 1024]);
    let mut batched = mesh::Batched::http2(halves.clone());
    batched.write_all(&small).await.expect("it is taken");
    assert!(halves.taken().is_empty(), "what is little waits for the flush");
    batched.write_all(&large).await.expect("it is taken");
    let held = small.len() + large.len() - halves.taken().len();
    assert!(held <= 16 * 1024, "{held} bytes are held back");
    batched.flush().await.expect("it is written");
    assert_eq!(halves.taken(), [&small[..], &large].concat());
}
