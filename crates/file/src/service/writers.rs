//! The writers of this process: one for each upload, and the digests of what they have written.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::Id;
use futures::FutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::error::Error;

/// How long a newcomer waits for a writer to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Running digests that are kept.
const DIGESTS: usize = 1024;

/// Everything is keyed by content id, which is never used twice.
#[derive(Default)]
pub(super) struct Writers {
    slots: Mutex<HashMap<Id, Arc<Slot>>>,
    digests: Mutex<HashMap<Id, (i64, Sha256)>>,
}

#[derive(Default)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    leave: Notify,
}

/// The right to be the only writer of an upload in this process.
pub(super) struct Turn {
    slot: Arc<Slot>,
    _only: OwnedMutexGuard<()>,
}

impl Turn {
    /// Ends when somebody else wants to write.
    pub(super) async fn wanted(&self) {
        self.slot.leave.notified().await;
    }
}

impl Writers {
    /// Becomes the only writer of an upload in this process. Asks the one before to leave and waits a little for it.
    pub(super) async fn only(&self, content: Id) -> Result<Turn, Error> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            slots.entry(content).or_default().clone()
        };
        let only = match slot.lock.clone().try_lock_owned() {
            Ok(only) => only,
            Err(_) => {
                slot.leave.notify_one();
                let waited = tokio::time::timeout(PATIENCE, slot.lock.clone().lock_owned()).await;
                waited.map_err(|_| Error::Locked)?
            }
        };
        // A wish that the writer before did not hear any more is not meant for this one.
        let _heard = slot.leave.notified().now_or_never();
        Ok(Turn { slot, _only: only })
    }

    /// Forgets an upload's digest.
    pub(super) fn forget(&self, content: Id) {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).remove(&content);
    }

    /// The digest of the first `offset` bytes, if this process wrote them.
    pub(super) fn digest(&self, content: Id, offset: i64) -> Option<Sha256> {
        if offset == 0 {
            return Some(Sha256::new());
        }
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.get(&content).filter(|(at, _)| *at == offset).map(|(_, digest)| digest.clone())
    }

    /// Keeps the digest of the first `offset` bytes.
    pub(super) fn keep(&self, content: Id, offset: i64, digest: Sha256) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= DIGESTS && !digests.contains_key(&content) {
            let any = digests.keys().next().copied();
            any.and_then(|any| digests.remove(&any));
        }
        digests.insert(content, (offset, digest));
    }
}

#[cfg(test)]
mod tests {
    use api::Ids;

    use super::*;

    #[tokio::test]
    async fn a_newcomer_asks_the_writer_to_leave_and_is_not_asked_itself() {
        let (writers, id) = (Writers::default(), Ids::default().next());
        let first = writers.only(id).await.expect("free");
        let leaves = async {
            first.wanted().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(writers.only(id), leaves);
        let second = second.expect("the first one left");
        assert!(second.wanted().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_stays_keeps_others_away() {
        let (writers, id) = (Writers::default(), Ids::default().next());
        let turn = writers.only(id).await.expect("free");
        assert!(matches!(writers.only(id).await, Err(Error::Locked)));
        drop(turn);
        writers.only(id).await.expect("free again");
    }

    #[test]
    fn a_digest_counts_at_its_offset_only() {
        let (writers, id) = (Writers::default(), Ids::default().next());
        writers.keep(id, 3, Sha256::new_with_prefix(b"abc"));
        assert!(writers.digest(id, 3).is_some() && writers.digest(id, 2).is_none());
        writers.forget(id);
        assert!(writers.digest(id, 3).is_none() && writers.digest(id, 0).is_some());
    }
}
