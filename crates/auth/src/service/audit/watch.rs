//! Watching the audit log: every entry once, in the order of its chain, from where the reader was.
//!
//! Nothing is kept for a slow reader but one batch: the next one is read from the table when he has taken it.
use std::{sync::Arc, time::Duration};

use api::{Caller, OrganizationId};
use futures::{Stream, stream};
use tokio::time::timeout;

use super::{super::Auth, news::Listener};
use crate::{error::Error, model::AuditEvent, store};

/// Entries read at once.
const BATCH: i64 = 100;
/// How often is looked for what other instances have chained, of which nothing is heard here.
const AGAIN: Duration = Duration::from_secs(1);

/// Somebody who watches.
struct Watch {
    auth: Arc<Auth>,
    caller: Caller,
    organization: OrganizationId,
    news: Listener,
    /// Place of the last entry that was read.
    after: i64,
}

impl Auth {
    /// Streams batches of entries after a place; `None` means from now on. A place that the chain has not reached counts as now.
    pub(crate) async fn watch_audit(
        self: &Arc<Self>,
        caller: Caller,
        organization: OrganizationId,
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Result<Vec<AuditEvent>, Error>> + Send + 'static, Error> {
        Self::own(&caller, organization)?;
        let news = self.news.of(organization);
        let newest = store::audit::newest(&self.db.tenant(&caller).await?, organization).await?;
        let after = after.map_or(newest, |after| after.min(newest));
        let watch = Watch { auth: Arc::clone(self), caller, organization, news, after };
        Ok(stream::try_unfold(watch, |mut watch| async move { Ok::<_, Error>(Some((watch.next().await?, watch))) }))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Vec<AuditEvent>, Error> {
        loop {
            // Before the look: what comes in between is heard of.
            self.news.changes.mark_unchanged();
            let tx = self.auth.db.tenant(&self.caller).await?;
            let entries = store::audit::piece(&tx, self.organization, self.after, BATCH).await?;
            drop(tx);
            if let Some(link) = entries.last().and_then(|entry| entry.link.as_ref()) {
                self.after = link.sequence;
                return Ok(entries);
            }
            drop(timeout(AGAIN, self.news.changes.changed()).await);
        }
    }
}
