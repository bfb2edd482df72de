//! The relay: tells the engine of runs that it has not heard of yet, and asks about those that should long have ended.
//!
//! A run that was accepted stands in the table with the time at which somebody must look at it. Whoever accepted it starts it at
//! once; the relay takes over what was left, because the engine was away or the process died. Telling the engine twice is safe:
//! it knows a run by its name.
use std::time::Duration;

use api::CallContext;
use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::Runs;
use crate::{
    error::Error,
    flow::{Ending, Finish},
    model::{Run, State},
    store,
    temporal::Trouble,
};

/// Runs that are looked at together.
pub(super) const TOGETHER: usize = 8;
/// Time to a second look at a run that was asked to end.
const CANCELED_AGAIN: Duration = Duration::from_secs(60);

impl Runs {
    /// Relays until the stop.
    pub(crate) async fn keep_relaying(&self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.relay().await {
                tracing::warn!(error.message = %error, "runs wait for the next try of the relay");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.config.relay_interval) => {}
            }
        }
    }

    /// How long who takes a run has for it: a call to the engine may take its whole time, and both start and cancel may be due.
    pub(super) fn lease(&self) -> Duration {
        self.config.engine_timeout * 2
    }

    /// Starts a run in the engine and notes that.
    pub(super) async fn start(&self, run: &Run, context: &CallContext) -> Result<(), Error> {
        self.engine.start(&run.input()).await.map_err(Error::EngineAway)?;
        let tx = self.db.tenant_as(run.name.organization, context).await?;
        store::run::started(&tx, run.name, self.clock.now() + self.config.audit_interval).await?;
        tx.commit().await?;
        self.changed(run.name);
        Ok(())
    }

    async fn relay(&self) -> Result<(), Error> {
        let context = CallContext::background("workflow/relay", &self.ids);
        let tx = self.db.system("runs that the workflow engine must hear of", &context).await?;
        let now = self.clock.now();
        let due = store::run::claim(&tx, now, now + self.lease(), self.config.relay_batch).await?;
        tx.commit().await?;
        stream::iter(due)
            .for_each_concurrent(TOGETHER, |run| async move {
                if let Err(error) = self.attend(&run).await {
                    tracing::warn!(run = %run.name, error.message = %error, "the run waits for the next try of the relay");
                }
            })
            .await;
        Ok(())
    }

    async fn attend(&self, run: &Run) -> Result<(), Error> {
        let context = self.context("relay", &run.cause);
        if run.state == State::Starting {
            self.start(run, &context).await?;
        }
        let still = match run.cancel_time {
            Some(_) => self.engine.cancel(run.name).await.map(|()| CANCELED_AGAIN),
            None if run.state == State::Starting => return Ok(()),
            None => self.engine.find(run.name).await.map(|()| self.config.audit_interval),
        };
        match still {
            Ok(next) => {
                let tx = self.db.tenant_as(run.name.organization, &context).await?;
                store::run::attend(&tx, run.name, self.clock.now() + next).await?;
                Ok(tx.commit().await?)
            }
            Err(Trouble::Gone) => self.lost(run).await,
            Err(trouble) => Err(Error::EngineAway(trouble)),
        }
    }

    /// The engine has ended the run without its last step: somebody terminated it there, or its record was lost.
    async fn lost(&self, run: &Run) -> Result<(), Error> {
        let why = "the workflow engine no longer has the run; start it again".to_owned();
        let finish = Finish { job: run.input().job, ending: Ending::Failed(why) };
        self.finish(&finish).await?;
        self.release(&finish.job).await
    }
}
