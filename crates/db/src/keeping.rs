//! How long the platform's own rows are kept, and their removal in small steps.
//!
//! Sent events 24 h, so that a broker can be refilled; answers to request ids 24 h; processed events 35 days, longer than the
//! longest redrive. Unsent events and audit rows are never removed here.
use api::CallContext;

use crate::{Db, Error};

const EVENTS: &str = "delete from outbox_event where event_id in \
     (select event_id from outbox_event where sent_at < now() - interval '24 hours' limit $1 for update skip locked)";
const REQUESTS: &str = "delete from idempotency where ctid in \
     (select ctid from idempotency where created_at < now() - interval '24 hours' limit $1 for update skip locked)";
const PROCESSED: &str = "delete from processed_event where ctid in \
     (select ctid from processed_event where processed_at < now() - interval '35 days' limit $1 for update skip locked)";
/// Rows of one transaction.
const STEP: i64 = 5_000;
/// Transactions of one run and table; the rest waits for the next run.
const STEPS_MAX: usize = 100;

/// How many rows were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Events that were sent.
    pub events: u64,
    /// Answers to request ids.
    pub requests: u64,
    /// Marks of processed events.
    pub processed: u64,
}

impl Db {
    /// Removes what has been kept long enough. To be run every few minutes; any number of instances may do so at once.
    ///
    /// # Errors
    /// Those of [`crate::Kind`]; what was removed before stays removed.
    pub async fn purge(&self) -> Result<Purged, Error> {
        Ok(Purged {
            events: self.remove(EVENTS).await?,
            requests: self.remove(REQUESTS).await?,
            processed: self.remove(PROCESSED).await?,
        })
    }

    async fn remove(&self, sql: &str) -> Result<u64, Error> {
        let context =
            CallContext { method: "purge".to_owned(), actor: "workloads/purge".to_owned(), ..CallContext::default() };
        let mut total = 0;
        for _ in 0..STEPS_MAX {
            let tx = self.relay(&context).await?;
            let removed = tx.execute(sql, &[&STEP]).await?;
            tx.commit().await?;
            total += removed;
            if removed < STEP.unsigned_abs() {
                break;
            }
        }
        Ok(total)
    }
}
