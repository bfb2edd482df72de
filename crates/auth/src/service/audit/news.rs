//! Who hears that entries of an organization's audit log got their place in the chain: those who watch that organization's, and nobody
//! else. What is kept is as much as there are watchers.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::OrganizationId;
use tokio::sync::watch;

type Heard = HashMap<OrganizationId, watch::Sender<()>>;

/// The organizations that are watched in this process.
#[derive(Default)]
pub(in crate::service) struct News(Arc<Mutex<Heard>>);

impl News {
    /// Hears of an organization from now on.
    pub(super) fn of(&self, organization: OrganizationId) -> Listener {
        let changes = lock(&self.0).entry(organization).or_default().subscribe();
        Listener { heard: Arc::clone(&self.0), organization, changes }
    }

    /// Tells those who watch one of these.
    pub(super) fn tell(&self, organizations: impl IntoIterator<Item = OrganizationId>) {
        let heard = lock(&self.0);
        for organization in organizations {
            if let Some(changes) = heard.get(&organization) {
                changes.send_replace(());
            }
        }
    }
}

/// Somebody who watches an organization.
pub(super) struct Listener {
    heard: Arc<Mutex<Heard>>,
    organization: OrganizationId,
    /// Changed when there is something new.
    pub(super) changes: watch::Receiver<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut heard = lock(&self.heard);
        // Counted no more from here on, while nobody else comes or goes.
        self.changes = watch::channel(()).1;
        if heard.get(&self.organization).is_some_and(|changes| changes.receiver_count() == 0) {
            heard.remove(&self.organization);
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use api::Ids;

    use super::*;

    #[test]
    fn who_watches_an_organization_hears_of_that_one_alone_and_leaves_nothing() {
        let (news, ids) = (News::default(), Ids::default());
        let (one, other) = (OrganizationId(ids.next()), OrganizationId(ids.next()));
        let (first, second, third) = (news.of(one), news.of(one), news.of(other));
        let told = |listener: &Listener| listener.changes.has_changed().expect("the sender is there");
        news.tell([one, OrganizationId(ids.next())]);
        assert!(told(&first) && told(&second) && !told(&third));
        drop(first);
        news.tell([one]);
        assert!(told(&second), "one of two has gone");
        drop((second, third));
        assert!(lock(&news.0).is_empty());
    }
}
