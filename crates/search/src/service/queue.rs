//! Where changes wait for the indexer.
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use api::CallContext;
use tokio::sync::{
    Mutex,
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::model::{ResourceName, Revision};

/// Changes of our own making (hits to be read again, a rebuild) that may wait beside those of events.
const OWN: usize = 1000;

/// Work for the indexer, to be taken by one task at a time.
pub(crate) struct Jobs(pub(super) Mutex<mpsc::Receiver<Job>>);

/// One resource that is not what the index has.
pub(super) struct Job {
    pub(super) name: ResourceName,
    /// It has reached this revision at least.
    pub(super) revision: Revision,
    /// Context of the event that said so.
    pub(super) context: Option<CallContext>,
    /// Hears when it is durable in the index.
    pub(super) done: Option<oneshot::Sender<()>>,
    _counted: Option<Counted>,
}

/// Counts a job that no event and no rebuild waits for, for as long as it exists.
struct Counted(Arc<AtomicI64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The way to the indexer.
pub(super) struct Queue {
    sender: mpsc::Sender<Job>,
    waiting: Arc<AtomicI64>,
}

impl Queue {
    /// A queue that holds as many events as the consumers work on, for both publishers.
    pub(super) fn new(events: usize) -> (Self, Jobs) {
        let (sender, receiver) = mpsc::channel(2 * events + OWN);
        (Self { sender, waiting: Arc::default() }, Jobs(Mutex::new(receiver)))
    }

    /// Waits until the resource is in the index as it is now. False when the indexer was restarted meanwhile: ask again.
    pub(super) async fn index(&self, name: ResourceName, revision: Revision, context: Option<CallContext>) -> bool {
        let (done, durable) = oneshot::channel();
        let job = Job { name, revision, context, done: Some(done), _counted: None };
        self.sender.send(job).await.is_ok() && durable.await.is_ok()
    }

    /// Has the resource read again some time. A full queue is fine: whoever meets it next asks again.
    pub(super) fn index_some_time(&self, name: ResourceName, revision: Revision) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let counted = Some(Counted(self.waiting.clone()));
        match self.sender.try_send(Job { name, revision, context: None, done: None, _counted: counted }) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Closed(_)) => {
                tracing::debug!("the indexer is gone; a stale entry stays until the restart")
            }
        }
    }

    /// Resources to be read again of our own accord. What events and a rebuild wait for is counted where they are.
    pub(super) fn waiting(&self) -> i64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Which revisions became durable lately. An event about an older one has nothing to do: what was read then was newer.
#[derive(Default)]
pub(super) struct Settled(RwLock<HashMap<ResourceName, Revision>>);

/// Resources that are remembered; forgetting costs a read.
const SETTLED: usize = 20_000;

impl Settled {
    /// The resource is in the index in this revision.
    pub(super) fn note(&self, settled: impl Iterator<Item = (ResourceName, Revision)>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() > SETTLED {
            held.clear();
        }
        held.extend(settled);
    }

    /// Whether the resource is in the index in this revision or a newer one.
    pub(super) fn covers(&self, name: ResourceName, revision: Revision) -> bool {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(&name).is_some_and(|held| revision <= *held)
    }
}
