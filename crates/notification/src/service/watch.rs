//! Watching an inbox: every item once, in order, from where the reader was.
//!
//! Nothing is kept for a slow reader but one batch: the next one is read from the table when he has taken it.
use std::{collections::VecDeque, sync::Arc};

use api::Caller;
use futures::{Stream, stream};
use tokio::time::timeout;

use super::{Notifications, hub::Subscription, only_own};
use crate::{
    error::Error,
    model::{InboxItem, InboxName, limit},
    store,
};

/// Somebody who watches an inbox.
struct Watch {
    notifications: Arc<Notifications>,
    caller: Caller,
    inbox: InboxName,
    news: Subscription,
    /// The last item that was read from the table.
    after: i64,
    batch: VecDeque<InboxItem>,
    failed: bool,
}

impl Notifications {
    /// Streams items after a place; `None` means from now on. A place that the inbox has not reached counts as now.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        caller: Caller,
        inbox: InboxName,
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Result<InboxItem, Error>> + Send + 'static, Error> {
        only_own(&caller, inbox)?;
        let news = self.hub.subscribe(inbox);
        let last = store::inbox::last_sequence(&self.parts.db.tenant(&caller).await?, inbox).await?;
        let after = after.map_or(last, |after| after.min(last));
        let notifications = Arc::clone(self);
        let watch = Watch { notifications, caller, inbox, news, after, batch: VecDeque::new(), failed: false };
        Ok(stream::unfold(watch, |mut watch| async move {
            if watch.failed {
                return None;
            }
            let item = watch.next().await;
            watch.failed = item.is_err();
            Some((item, watch))
        }))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<InboxItem, Error> {
        loop {
            if let Some(item) = self.batch.pop_front() {
                return Ok(item);
            }
            // Before the look: what comes in between is heard of.
            self.news.seen();
            let tx = self.notifications.parts.db.tenant(&self.caller).await?;
            let items = store::inbox::after(&tx, self.inbox, self.after, limit::WATCH_BATCH).await?;
            drop(tx);
            match items.last() {
                Some(last) => self.after = last.sequence,
                // Another process may have made items, of which nothing is heard here.
                None => drop(timeout(self.notifications.config.watch_interval, self.news.changed()).await),
            }
            self.batch = items.into();
        }
    }
}
