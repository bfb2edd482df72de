//! The frames of a request that is one message in gRPC's own form. The mesh holds it whole, to send it again, so its memory is
//! reserved as it comes, and no more is taken than a body may have. It is kept until the call is answered, to be sent once more when the
//! internal token was stale.
use std::{
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{future::BoxFuture, stream};
use http_body::{Body as HttpBody, Frame};
use http_body_util::StreamBody;
use tonic::{Status, body::Body};

use crate::{
    call::{
        body::too_large,
        budget::{FREE, Share},
        inlet::{Fault, Inlet},
    },
    edge::Edge,
    refusal::Refusal,
};

/// Flag and length before a message (gRPC over HTTP/2).
const HEAD: usize = 5;

/// What was read, and the memory reserved for it; it goes back when this is dropped, not when the body was read.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<(Vec<Bytes>, Option<Share>)>>);

impl Kept {
    /// The body once more; empty unless it was read to its end.
    pub(crate) fn again(&self) -> Body {
        let frames = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0);
        Body::new(StreamBody::new(stream::iter(frames.into_iter().map(|data| Ok::<_, Status>(Frame::data(data))))))
    }
}

/// The same body under the limits of one at this address, and what is to be kept until the call is answered.
pub(crate) fn metered(edge: &Edge, address: IpAddr, inlet: Inlet) -> (Inlet, Kept) {
    let Inlet { body, fault } = inlet;
    let kept = Kept::default();
    let metered = Metered {
        inner: body,
        fault: fault.clone(),
        most: edge.config.message_max(),
        read: 0,
        frames: Vec::new(),
        share: Some(edge.bodies.share(address)),
        growing: None,
        kept: kept.clone(),
    };
    (Inlet { body: Body::new(metered), fault }, kept)
}

type Growing = BoxFuture<'static, (Share, Bytes, Result<(), Refusal>)>;

struct Metered {
    inner: Body,
    fault: Fault,
    most: usize,
    read: usize,
    frames: Vec<Bytes>,
    /// `None` while it grows, and once the body has ended.
    share: Option<Share>,
    growing: Option<Growing>,
    kept: Kept,
}

impl Metered {
    fn refused(&mut self, refusal: Refusal) -> Status {
        self.fault.tell(refusal);
        Status::from(api::Error::fault("the caller's message is at fault"))
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(growing) = &mut this.growing {
            let (share, data, grown) = ready!(growing.as_mut().poll(context));
            (this.share, this.growing) = (Some(share), None);
            return Poll::Ready(Some(grown.map(|()| Frame::data(data)).map_err(|refusal| this.refused(refusal))));
        }
        let data = match ready!(Pin::new(&mut this.inner).poll_frame(context)).transpose()?.map(Frame::into_data) {
            Some(Ok(data)) => data,
            // gRPC knows no trailers of a request.
            Some(Err(_)) => Bytes::new(),
            None => {
                let read = (std::mem::take(&mut this.frames), this.share.take());
                *this.kept.0.lock().unwrap_or_else(PoisonError::into_inner) = read;
                return Poll::Ready(None);
            }
        };
        this.read += data.len();
        if this.read > this.most.saturating_add(HEAD) {
            return Poll::Ready(Some(Err(this.refused(too_large(this.most as u64)))));
        }
        this.frames.push(data.clone());
        let Some(mut share) = (this.read > FREE).then(|| this.share.take()).flatten() else {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        };
        let read = this.read;
        this.growing = Some(Box::pin(async move {
            let grown = share.cover(read).await;
            (share, data, grown)
        }));
        self.poll_frame(context)
    }
}
