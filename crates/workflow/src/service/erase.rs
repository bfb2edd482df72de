//! What is left of an organization that is gone for good: its runs end in the engine, then their rows go.
//!
//! Until then the organization can be taken back, and its runs with it: nobody decides anything meanwhile, and what falls due in their time
//! fails as it does for who lost his rights. The engine comes first, for without its row nobody would know of a run that goes on there.
//! Nobody is told: whoever was told of runs erases that himself.
use api::{CallContext, OrganizationId};
use futures::{TryStreamExt as _, stream};

use super::{Runs, relay::TOGETHER};
use crate::{error::Error, model::RunName, store, temporal::Trouble};

/// Runs in one step.
const BATCH: i64 = 100;

impl Runs {
    /// Erases everything that the organization has here, in bounded steps; a repeat goes on where the last one ended.
    pub(crate) async fn erase(&self, organization: OrganizationId, context: &CallContext) -> Result<(), Error> {
        loop {
            // No lock is held while the engine is asked.
            let tx = self.db.tenant_as(organization, context).await?;
            let found = store::erase::some(&tx, organization, BATCH).await?;
            drop(tx);
            if found.is_empty() {
                return Ok(());
            }
            let open: Vec<_> = found.iter().filter(|(_, open)| *open).map(|(run, _)| Ok(*run)).collect();
            stream::iter(open).try_for_each_concurrent(TOGETHER, |run| self.stop(run)).await?;
            let tx = self.db.tenant_as(organization, context).await?;
            let runs: Vec<_> = found.iter().map(|(run, _)| run.run).collect();
            store::erase::forget(&tx, organization, &runs).await?;
            tx.commit().await?;
        }
    }

    /// Ends a run in the engine without its last steps, which have nothing to write to. One that is not there is as wanted.
    async fn stop(&self, run: RunName) -> Result<(), Error> {
        match self.engine.terminate(run).await {
            Ok(()) | Err(Trouble::Gone) => Ok(()),
            Err(trouble) => Err(Error::EngineAway(trouble)),
        }
    }
}
