//! Who waits for news of which inbox. Only a hint within this process: whoever waits also looks by himself now and then.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::model::InboxName;

type Waiting = Arc<Mutex<HashMap<InboxName, watch::Sender<()>>>>;

/// Inboxes that somebody waits for.
#[derive(Default)]
pub(super) struct Hub(Waiting);

/// One who waits. News between two calls of [`Subscription::seen`] are never missed.
pub(super) struct Subscription {
    waiting: Waiting,
    inbox: InboxName,
    news: watch::Receiver<()>,
}

impl Hub {
    /// Waits for news of an inbox from now on.
    pub(super) fn subscribe(&self, inbox: InboxName) -> Subscription {
        let news = held(&self.0).entry(inbox).or_insert_with(|| watch::channel(()).0).subscribe();
        Subscription { waiting: Arc::clone(&self.0), inbox, news }
    }

    /// Something new is in the inbox.
    pub(super) fn tell(&self, inbox: InboxName) {
        if let Some(sender) = held(&self.0).get(&inbox) {
            sender.send_replace(());
        }
    }
}

impl Subscription {
    /// What is read from now on counts as seen.
    pub(super) fn seen(&mut self) {
        self.news.mark_unchanged();
    }

    /// Returns when there was news since it was last seen.
    pub(super) async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            // The sender goes only with the last who waits.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiting = held(&self.waiting);
        if waiting.get(&self.inbox).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.inbox);
        }
    }
}

fn held(waiting: &Waiting) -> MutexGuard<'_, HashMap<InboxName, watch::Sender<()>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use api::{Id, OrganizationId, UserId};
    use futures::FutureExt;

    use super::*;

    #[test]
    fn news_wakes_who_waits_for_it_and_nobody_is_kept_who_left() {
        let inbox =
            |user| InboxName { organization: OrganizationId(Id::ZERO), user: UserId(Id::derive(Id::ZERO, user)) };
        let hub = Hub::default();
        let (mut one, mut same, mut other) =
            (hub.subscribe(inbox(b"a")), hub.subscribe(inbox(b"a")), hub.subscribe(inbox(b"b")));
        one.seen();
        hub.tell(inbox(b"a"));
        assert!(one.changed().now_or_never().is_some(), "also when it came before the wait");
        assert!(same.changed().now_or_never().is_some());
        assert!(other.changed().now_or_never().is_none());
        assert!(one.changed().now_or_never().is_none(), "once");
        drop((one, other));
        assert_eq!(held(&hub.0).len(), 1);
        drop(same);
        assert!(held(&hub.0).is_empty());
    }
}
