//! What time ends: uploads that nobody continued, bytes of deleted files, bytes that no row knows. Also finishes uploads that a
//! crash left whole. One that fails does not hold up the others.
use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use api::CallContext;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Files;
use crate::{
    content::{ContentError, Stored},
    error::Error,
    model::{File, Upload},
    store,
};

/// Rows in one step.
const BATCH: usize = 100;
/// Shelves of objects in one turn.
const SHELVES: usize = 32;
/// Stored things that are looked up at once.
const LOOK_UP: usize = 1000;
/// What no row knows is dropped at this age. Rows are always written before their bytes.
const STRAY_AGE: Duration = Duration::from_hours(24);

impl Files {
    /// Sweeps from time to time until the end.
    pub(crate) async fn keep_sweeping(&self, shutdown: CancellationToken) {
        let mut tick = interval(self.config.sweep_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            while !shutdown.is_cancelled() && succeeded("rows", self.sweep().await).unwrap_or(false) {}
            succeeded("strays", self.clear_strays().await);
        }
    }

    /// One bounded step over the rows; says whether there may be more to do.
    async fn sweep(&self) -> Result<bool, Error> {
        let context = CallContext::background("file.sweep", &self.ids);
        let (now, most) = (self.clock.now(), i64::try_from(BATCH).unwrap_or(i64::MAX));
        let tx = self.db.system("find what time has ended", &context).await?;
        let due = store::upload::due(&tx, now, most).await?;
        let released = store::file::released(&tx, now - self.config.trash_age, most).await?;
        let forgotten = store::upload::forget(&tx, now, most).await?;
        tx.commit().await?;
        let full = due.len() >= BATCH || released.len() >= BATCH || forgotten >= BATCH as u64;
        let mut done = usize::try_from(forgotten).unwrap_or(BATCH);
        for (upload, expired) in due {
            done += usize::from(succeeded("upload", self.end(&context, &upload, expired).await).is_some());
        }
        for file in released {
            done += usize::from(succeeded("file", self.purge(&context, &file).await).is_some());
        }
        Ok(full && done > 0)
    }

    /// Makes a file of a whole upload, drops an expired one.
    async fn end(&self, context: &CallContext, upload: &Upload, expired: bool) -> Result<(), Error> {
        if !upload.is_whole() {
            return self.expire(context, upload).await;
        }
        match self.complete(context, upload).await {
            // Its bytes are lost, and it had all its time.
            Err(Error::Content(ContentError::Damaged)) if expired => self.expire(context, upload).await,
            done => done.map(drop),
        }
    }

    async fn expire(&self, context: &CallContext, upload: &Upload) -> Result<(), Error> {
        let tx = self.db.tenant_as(upload.name.organization, context).await?;
        if !store::upload::lock_expired(&tx, upload.name, self.clock.now()).await? {
            return Ok(());
        }
        let segments = store::upload::segments(&tx, upload.name).await?;
        store::upload::delete(&tx, upload.name).await?;
        tx.commit().await?;
        self.clear(upload.content, &segments, true).await;
        Ok(())
    }

    /// Bytes first: what the row still lists is tried again, what it no longer lists would be forgotten.
    async fn purge(&self, context: &CallContext, file: &File) -> Result<(), Error> {
        self.content.drop_object(file.content).await?;
        let tx = self.db.tenant_as(file.name.organization, context).await?;
        store::file::purged(&tx, file.name, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Drops old bytes that no row knows, a few shelves at a time: a crash may have left them between bytes and row.
    async fn clear_strays(&self) -> Result<(), Error> {
        let objects = self.content.shelves() - 1;
        let first = self.shelf.fetch_add(SHELVES, Ordering::Relaxed);
        let before = self.clock.now() - STRAY_AGE;
        let mut old = Vec::new();
        for number in [0].into_iter().chain((first..first + SHELVES).map(|number| 1 + number % objects)) {
            old.extend(self.content.shelf(number).await?.into_iter().filter(|stored| stored.modified <= before));
        }
        for some in old.chunks(LOOK_UP) {
            for stray in self.strays(some).await? {
                tracing::warn!(content = %stray.content, "bytes that no row knows are dropped");
                self.content.discard(&stray.key).await?;
            }
        }
        Ok(())
    }

    async fn strays<'a>(&self, stored: &'a [Stored]) -> Result<Vec<&'a Stored>, Error> {
        let context = CallContext::background("file.sweep", &self.ids);
        let ids = |complete| -> Vec<_> {
            stored.iter().filter(|stored| stored.complete == complete).map(|stored| stored.content).collect()
        };
        let tx = self.db.system("find the rows of old bytes", &context).await?;
        let objects: HashSet<_> = store::content::objects(&tx, &ids(true)).await?.into_iter().collect();
        let pieces: HashSet<_> = store::content::in_progress(&tx, &ids(false)).await?.into_iter().collect();
        let unknown = |stored: &&Stored| {
            let rows = if stored.complete { &objects } else { &pieces };
            !rows.contains(&stored.content)
        };
        Ok(stored.iter().filter(unknown).collect())
    }
}

/// The result, or a line in the log.
fn succeeded<T>(what: &str, result: Result<T, Error>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(error.message = %error, what, "a sweep failed and is tried again")).ok()
}
