//! Calls that come straight, from within the process: each runs in a task of its own, in the name of who opened the pipe, through the same
//! stack as all others.
//!
//! What must hold: a call that was begun is answered or broken off as over a connection. A server that goes away begins no more of them,
//! gives those that run its time to drain, and ends the rest.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{sync::oneshot, task::JoinSet, time::timeout};
use tonic::body::Body;

use super::{Shared, stack};
use crate::{
    call::Peer,
    pipe::{Answering, Door, Straight},
};

/// The calls of one server that came straight. Dropping it ends them.
pub(super) struct Calls {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

/// Those that run; `None` once no more are begun.
type Tasks = Mutex<Option<JoinSet<()>>>;

impl Calls {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), tasks: Arc::new(Mutex::new(Some(JoinSet::new()))) }
    }

    /// The way in of who opened a pipe.
    pub(super) fn door(&self, peer: &Peer) -> Straight {
        let (shared, tasks) = (Arc::downgrade(&self.shared), Arc::downgrade(&self.tasks));
        Straight::new(Arc::new(Entrance { shared, tasks, peer: peer.clone() }))
    }

    /// Begins no more, and waits for those that run, within the time to drain.
    pub(super) async fn drained(&self) {
        let Some(mut running) = lock(&self.tasks).take() else { return };
        let ends = async { while running.join_next().await.is_some() {} };
        if timeout(self.shared.settings.drain.get(), ends).await.is_err() {
            tracing::info!(target: "mesh", calls = running.len(), "ended with calls still running");
        }
    }
}

/// Held by clients, which may outlive the server.
struct Entrance {
    shared: Weak<Shared>,
    tasks: Weak<Tasks>,
    peer: Peer,
}

impl Door for Entrance {
    fn call(&self, head: Request<()>, message: Bytes) -> Result<Answering, Box<Request<()>>> {
        let (Some(shared), Some(tasks)) = (self.shared.upgrade(), self.tasks.upgrade()) else {
            return Err(Box::new(head));
        };
        let mut tasks = lock(&tasks);
        let Some(running) = tasks.as_mut() else { return Err(Box::new(head)) };
        while running.try_join_next().is_some() {}
        let (sender, answer) = oneshot::channel();
        let (peer, request) = (self.peer.clone(), head.map(|()| Body::new(Full::new(message))));
        // Boxed: a task that has ended stays until the next call, and shall hold nothing of its own.
        let task = running.spawn(Box::pin(async move {
            let mut response = stack(shared, peer, request).await;
            // What would not go over a connection: the source of an error stays here.
            response.extensions_mut().clear();
            // Nobody may wait any more.
            let _ = sender.send(response);
        }));
        Ok(Answering::new(answer, task))
    }
}

fn lock(tasks: &Tasks) -> MutexGuard<'_, Option<JoinSet<()>>> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}
