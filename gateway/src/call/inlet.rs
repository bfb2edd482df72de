//! The caller's messages on their way up: a stream of them as the body of the upstream's call.
//!
//! Polled only as fast as the upstream takes them, so back-pressure reaches the caller. A message at fault breaks the
//! upstream's call off, and the caller hears of the fault, not of the broken call.
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::Notify;
use tonic::body::Body;
use transcode::frame::Framed;

use crate::refusal::Refusal;

/// A body, and what may be wrong with it.
pub(crate) struct Inlet {
    /// The body of the upstream's call.
    pub(crate) body: Body,
    /// Where a message at fault is told.
    pub(crate) fault: Fault,
}

/// The caller's own fault, found while his messages are sent.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Found>);

#[derive(Default)]
struct Found {
    refusal: Mutex<Option<Refusal>>,
    told: Notify,
}

impl Inlet {
    /// One message.
    pub(crate) fn one(message: Framed) -> Self {
        Self { body: crate::upstream::one_message(message), fault: Fault::default() }
    }

    /// Messages.
    pub(crate) fn messages(messages: impl Stream<Item = Result<Framed, Refusal>> + Send + 'static) -> Self {
        Self::frames(messages.map(|message| message.map(Framed::into_frame)))
    }

    /// Frames as they are.
    pub(crate) fn frames(frames: impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static) -> Self {
        let fault = Fault::default();
        let told = fault.clone();
        let frames = frames.map(move |frame| {
            frame.map(Frame::data).map_err(|refusal| {
                told.tell(refusal);
                tonic::Status::from(api::Error::fault("the caller's messages are at fault"))
            })
        });
        Self { body: Body::new(StreamBody::new(frames)), fault }
    }
}

impl Fault {
    /// Tells of a fault; the first one counts.
    pub(crate) fn tell(&self, refusal: Refusal) {
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refusal);
        self.0.told.notify_one();
    }

    /// What was told, once.
    pub(crate) fn take(&self) -> Option<Refusal> {
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the upstream says, unless the caller is at fault meanwhile.
    pub(crate) async fn or<T>(&self, answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                () = self.0.told.notified() => {
                    if let Some(refusal) = self.take() {
                        return Err(refusal);
                    }
                }
                // A call that was broken off for the caller's fault may have an answer of its own: that it was broken off.
                answer = &mut answer => return self.take().map_or(answer, Err),
            }
        }
    }
}
