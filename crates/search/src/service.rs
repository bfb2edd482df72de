//! Use cases: search, the state of the index, and keeping the index.
//!
//! What must hold: nothing is shown, counted or hinted at that the caller may not see, neither by the index (access stands in
//! every question) nor in spite of it (the owners confirm each hit before it leaves). An event is acknowledged only when its
//! effect is durable in the index and in the database.
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use api::{Caller, Clock, Ids, OrganizationId};
use chassis::Groups;
use db::Db;
use tokio::sync::watch;

use crate::{
    backend::{Generation, SearchBackend},
    config::Config,
    error::Error,
    peers::Owners,
    store,
};

mod index;
mod queue;
mod rebuild;
mod search;

pub(crate) use queue::Jobs;
use queue::{Queue, Settled};
pub(crate) use search::{Answer, Ask};

/// The search service.
pub(crate) struct Search {
    backend: Arc<dyn SearchBackend>,
    owners: Owners,
    groups: Groups,
    db: Db,
    clock: Clock,
    ids: Ids,
    config: Config,
    queue: Queue,
    settled: Settled,
    /// The index that is open, once it is.
    opened: watch::Sender<Option<Opened>>,
    /// Known resources that a rebuild has yet to read.
    unbuilt: AtomicI64,
}

/// What the service stands on.
pub(crate) struct Parts {
    pub(crate) backend: Arc<dyn SearchBackend>,
    pub(crate) owners: Owners,
    pub(crate) groups: Groups,
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
}

/// The index that is searched and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opened {
    generation: Generation,
    /// Not everything that is known is in it yet.
    building: bool,
}

/// State of an organization's index.
pub(crate) struct IndexState {
    /// Resources of the organization that are found.
    pub(crate) entries: u64,
    /// Changes that wait to be indexed, over all organizations.
    pub(crate) pending: i64,
    /// Resources of the organization that could not be indexed.
    pub(crate) rejected: i64,
}

impl Search {
    /// The service over its parts. Work for the index arrives in [`Jobs`], which [`Search::keep_indexing`] takes.
    pub(crate) fn new(parts: Parts, config: Config) -> (Self, Jobs) {
        let Parts { backend, owners, groups, db, clock, ids } = parts;
        let (queue, jobs) = Queue::new(config.events);
        let (opened, _) = watch::channel(None);
        let unbuilt = AtomicI64::new(0);
        let settled = Settled::default();
        (Self { backend, owners, groups, db, clock, ids, config, queue, settled, opened, unbuilt }, jobs)
    }

    /// How far the index of the caller's organization is.
    pub(crate) async fn index_state(&self, caller: &Caller, of: OrganizationId) -> Result<IndexState, Error> {
        only_own(caller, of)?;
        let under_way = self.owners.under_way(caller.context()).await.map_err(Error::Api)?;
        // Own work last: it comes of searches, not of what is under way.
        let pending = under_way + self.unbuilt.load(Ordering::Relaxed) + self.queue.waiting();
        let opened = self.opened()?;
        let entries = self.backend.count(opened.generation, of).await?;
        let rejected = store::count_rejections(&self.db.tenant(caller).await?).await?;
        Ok(IndexState { entries, pending, rejected })
    }

    fn opened(&self) -> Result<Opened, Error> {
        let opened = *self.opened.borrow();
        opened.ok_or_else(|| Error::Api(api::Error::unavailable("the search index")))
    }
}

/// The authorizer decided about the organization that the request names; this is the second wall.
fn only_own(caller: &Caller, of: OrganizationId) -> Result<(), Error> {
    match caller.organization()? == of {
        true => Ok(()),
        false => Err(Error::Api(api::Error::denied())),
    }
}
