//! The frames of a request that is one message in gRPC's own form. The mesh holds it whole, to send it again, so its memory is
//! reserved as it comes, and no more is taken than a body may have.
use std::{
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame};
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

/// What was reserved; it goes back when this is dropped, not when the body was read.
pub(crate) type Reserved = Arc<Mutex<Option<Share>>>;

/// The same body under the limits of one at this address, and what is to be kept until the call is answered.
pub(crate) fn metered(edge: &Edge, address: IpAddr, inlet: Inlet) -> (Inlet, Reserved) {
    let Inlet { body, fault } = inlet;
    let reserved = Reserved::default();
    let metered = Metered {
        inner: body,
        fault: fault.clone(),
        most: edge.config.message_max(),
        read: 0,
        share: Some(edge.bodies.share(address)),
        growing: None,
        reserved: reserved.clone(),
    };
    (Inlet { body: Body::new(metered), fault }, reserved)
}

type Growing = BoxFuture<'static, (Share, Bytes, Result<(), Refusal>)>;

struct Metered {
    inner: Body,
    fault: Fault,
    most: usize,
    read: usize,
    /// `None` while it grows, and once the body has ended.
    share: Option<Share>,
    growing: Option<Growing>,
    reserved: Reserved,
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
                *this.reserved.lock().unwrap_or_else(PoisonError::into_inner) = this.share.take();
                return Poll::Ready(None);
            }
        };
        this.read += data.len();
        if this.read > this.most.saturating_add(HEAD) {
            return Poll::Ready(Some(Err(this.refused(too_large(this.most as u64)))));
        }
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
