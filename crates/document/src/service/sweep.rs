//! The work of time: documents are purged when their time in the trash is over, grants that have ended are cleared away.
//!
//! Reads never depend on it: a grant ends by itself. Each document is a transaction of its own, in its own organization, so
//! one that fails does not hold up the others.
use api::CallContext;
use db::Tx;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Documents;
use crate::{
    error::Error,
    events,
    model::DocumentName,
    store::{self, sweep::Purged},
};

const TASK: &str = "document.sweep";

impl Documents {
    /// Sweeps until the process stops.
    pub(crate) async fn keep_sweeping(&self, shutdown: CancellationToken) {
        let mut tick = interval(self.config.sweep_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            while !shutdown.is_cancelled() {
                match self.sweep().await {
                    Ok(more) if more => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(error = %error, "sweep of documents failed; it goes on at the next turn");
                        break;
                    }
                }
            }
        }
    }

    /// One bounded step; says whether there may be more to do.
    async fn sweep(&self) -> Result<bool, Error> {
        let context = CallContext::background(TASK, &self.ids);
        let most = i64::from(self.config.sweep_batch);
        let tx = self.db.system("find what time has ended", &context).await?;
        let now = self.clock.now();
        let purges = store::sweep::to_purge(&tx, now, most).await?;
        let ends = store::sweep::with_ended_grants(&tx, now, most).await?;
        drop(tx);
        let mut done = 0;
        for name in &purges {
            done += i64::from(succeeded(*name, self.purge(*name).await));
        }
        for name in &ends {
            done += i64::from(succeeded(*name, self.end_grants(*name).await));
        }
        Ok(done >= most)
    }

    /// Purges a document: text, revisions, grants and references to files go, the audit row stays.
    async fn purge(&self, name: DocumentName) -> Result<(), Error> {
        let tx = self.db.tenant_as(name.organization, &self.context_of(name)).await?;
        let Some(Purged { version, referred }) = store::sweep::purge(&tx, name, self.clock.now()).await? else {
            return Ok(());
        };
        if referred {
            tx.publish(&events::released(name), name.document, version)?;
        }
        Ok(tx.commit().await?)
    }

    async fn end_grants(&self, name: DocumentName) -> Result<(), Error> {
        let tx = self.db.tenant_as(name.organization, &self.context_of(name)).await?;
        let Some(next) = store::sweep::next_version(&tx, name).await? else { return Ok(()) };
        let lost = store::sweep::end_grants(&tx, name, self.clock.now()).await?;
        self.grants_ended(tx, name, next, lost).await
    }

    /// Tells who has lost a grant on a locked document, whose next version and title these are; without any nothing changes.
    pub(super) async fn grants_ended(
        &self,
        tx: Tx,
        name: DocumentName,
        (version, title): (i64, String),
        lost: Vec<String>,
    ) -> Result<(), Error> {
        if lost.is_empty() {
            return Ok(());
        }
        let grants = store::grant::all(&tx, name).await?;
        tx.publish(&events::grants_changed(name, title, (Vec::new(), lost), &grants), name.document, version)?;
        Ok(tx.commit().await?)
    }

    /// A step leaves an audit row, as a call would.
    fn context_of(&self, name: DocumentName) -> CallContext {
        CallContext { resource: name.to_string(), audit: true, ..CallContext::background(TASK, &self.ids) }
    }
}

fn succeeded(name: DocumentName, result: Result<(), Error>) -> bool {
    if let Err(error) = &result {
        tracing::warn!(resource = %name, error = %error, "document not swept; it is tried again at the next turn");
    }
    result.is_ok()
}
