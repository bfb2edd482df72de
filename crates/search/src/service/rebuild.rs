//! Opening the index, and building it again when it is lost, damaged or of another version.
//!
//! A lost index is built from the owners by the names that were ever heard of, which the database keeps; meanwhile events go
//! on, and what is there already is found (`degraded`). Versions decide between the two. A rebuild that is cut off begins again
//! at the next start.
use std::{sync::atomic::Ordering, time::Duration};

use api::CallContext;
use chassis::Awaited;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{Opened, Search};
use crate::{
    backend::{BackendError, Generation},
    error::Error,
    store::{self, Made},
};

const TASK: &str = "search.index";
/// Names of one step of a rebuild, all in the queue at once.
const STEP: i64 = 500;
const AGAIN: Duration = Duration::from_millis(250);

impl Search {
    /// Opens the index, however long what it needs is away. `None` when the process stops first.
    pub(super) async fn open(&self, awaited: &Awaited, shutdown: &CancellationToken) -> Option<Generation> {
        loop {
            match self.try_open().await {
                Ok(opened) => {
                    self.opened.send_replace(Some(opened));
                    awaited.done();
                    return Some(opened.generation);
                }
                Err(error) => {
                    tracing::warn!(error = %error, "the search index does not open; trying again");
                    awaited.lost("the search index does not open; the log says why");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    async fn try_open(&self) -> Result<Opened, Error> {
        let context = CallContext::background(TASK, &self.ids);
        let tx = self.db.system("the index spans all organizations", &context).await?;
        let mapping = self.backend.mapping();
        let newest = store::newest(&tx).await?;
        if let Some(made) = newest.as_ref().filter(|made| made.mapping == mapping) {
            match self.backend.open(made.generation).await {
                Ok(()) => return Ok(Opened { generation: made.generation, building: made.building }),
                Err(BackendError::Unusable(cause)) => {
                    tracing::error!(cause, generation = made.generation.0, "the search index is built again");
                }
                Err(other) => return Err(other.into()),
            }
        }
        let old = newest.map(|Made { generation, .. }| generation);
        let generation = Generation(old.map_or(1, |Generation(number)| number + 1));
        // The folder first: a row without a folder would look like a lost index at the next start.
        self.backend.create(generation).await?;
        store::begin(&tx, generation, &mapping, self.clock.now()).await?;
        tx.commit().await?;
        if let Some(old) = old {
            self.backend.remove(old).await?;
        }
        Ok(Opened { generation, building: true })
    }

    /// Completes an index that is being built; runs until the process stops.
    pub(crate) async fn keep_complete(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut opened = self.opened.subscribe();
        loop {
            let now = *opened.borrow_and_update();
            if let Some(Opened { generation, building: true }) = now {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    built = self.build(generation) => built?,
                }
                continue;
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = opened.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    async fn build(&self, generation: Generation) -> Result<(), Error> {
        let context = CallContext::background(TASK, &self.ids);
        let reason = "an index is built for all organizations";
        let known = store::count_known(&self.db.system(reason, &context).await?).await?;
        self.unbuilt.store(known, Ordering::Relaxed);
        tracing::info!(generation = generation.0, resources = known, "search index is being built");
        let mut after = None;
        loop {
            let step = store::known(&self.db.system(reason, &context).await?, after, STEP).await?;
            let Some((last, _)) = step.last() else { break };
            after = Some(*last);
            let count = i64::try_from(step.len()).unwrap_or(i64::MAX);
            let indexed = stream::iter(step).map(|(name, revision)| self.queue.index(name, revision, None));
            let indexed: Vec<bool> = indexed.buffer_unordered(usize::try_from(STEP).unwrap_or(1)).collect().await;
            if indexed.contains(&false) {
                return Err(Error::Api(api::Error::unavailable("the indexer")));
            }
            self.unbuilt.fetch_sub(count, Ordering::Relaxed);
        }
        let tx = self.db.system(reason, &context).await?;
        store::complete(&tx, generation, self.clock.now()).await?;
        tx.commit().await?;
        self.unbuilt.store(0, Ordering::Relaxed);
        self.opened.send_replace(Some(Opened { generation, building: false }));
        tracing::info!(generation = generation.0, "search index is complete");
        Ok(())
    }
}
