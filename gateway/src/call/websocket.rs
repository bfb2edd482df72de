//! WebSocket (RFC 6455 over HTTP/1.1, RFC 8441 over HTTP/2) at the bindings of streaming methods.
//!
//! | of the caller | meaning |
//! |---|---|
//! | text frame, or binary frame in `workos.proto.v1` | one message; path and query bind into the first |
//! | empty text frame | no message follows |
//! | first frame `{"@headers":{"authorization":..,"grpc-timeout":..}}` | headers that the client could not set |
//!
//! | of the edge | meaning |
//! |---|---|
//! | text or binary frame | one message |
//! | text frame `{"error":{..}}`, close 4000 + gRPC code | the call failed |
//! | close 1000, 1001 | it ended well; the edge stops or the connection is too old |
mod frames;
mod handshake;
mod session;
mod transport;

use std::{net::IpAddr, sync::Arc};

use http::Response;
use proto::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;
use transcode::Match;

use crate::{edge::Edge, filter::Passage, refusal::Refusal};

pub(crate) use handshake::is_upgrade;
use session::Session;

/// The WebSockets of the edge.
pub(crate) struct Sockets {
    tracker: TaskTracker,
    draining: CancellationToken,
    places: Arc<Semaphore>,
}

impl Sockets {
    /// So many at most.
    pub(crate) fn new(most: usize) -> Self {
        Self { tracker: TaskTracker::new(), draining: CancellationToken::new(), places: Arc::new(Semaphore::new(most)) }
    }

    /// Closes all of them and waits for their end.
    pub(crate) async fn drain(&self) {
        self.draining.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = self.places.clone().try_acquire_owned();
        place.map_err(|_| api::Error::unavailable("a place for one more WebSocket (setting gateway.websockets)").into())
    }
}

/// Answers the upgrade; the session goes on by itself.
pub(crate) fn open(
    edge: &Arc<Edge>,
    mut passage: Passage,
    matched: Match,
    method: &'static Method,
    address: IpAddr,
) -> Result<Response<Body>, Refusal> {
    let place = edge.sockets.place()?;
    let (response, upgrade) = handshake::answer(&mut passage.head)?;
    let proto = handshake::is_proto(&response);
    let draining = edge.sockets.draining.clone();
    let session = Session::new(edge.clone(), passage, (matched, method), proto, address)?;
    edge.sockets.tracker.spawn(async move {
        let _place = place;
        match upgrade.await {
            Ok(upgraded) => session.run(upgraded, draining).await,
            Err(error) => tracing::debug!(%error, "a WebSocket did not come about"),
        }
    });
    Ok(response)
}
