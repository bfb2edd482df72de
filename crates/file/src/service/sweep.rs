//! What time ends: uploads that nobody continued, and bytes of deleted files. Also finishes uploads that a crash left whole.
use api::CallContext;
use tokio_util::sync::CancellationToken;

use super::Files;
use crate::{error::Error, model::Upload, store};

/// Rows in one step.
const BATCH: i64 = 100;

impl Files {
    /// Sweeps from time to time until the end.
    pub(crate) async fn keep_sweeping(&self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error.message = %error, "a sweep failed and is tried again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.config.sweep_interval) => {}
            }
        }
    }

    async fn sweep(&self) -> Result<(), Error> {
        let context = CallContext::background("file.sweep", &self.ids);
        let now = self.clock.now();
        let tx = self.db.system("find uploads that are whole or expired", &context).await?;
        let due = store::upload::due(&tx, now, BATCH).await?;
        let released = store::file::released(&tx, now - self.config.trash_age, BATCH).await?;
        store::upload::forget(&tx, now, BATCH).await?;
        tx.commit().await?;
        for (upload, expired) in due {
            if upload.offset == upload.draft.length {
                self.complete(&context, upload.name).await?;
            } else if expired {
                self.expire(&context, &upload).await?;
            }
        }
        for name in released {
            // Bytes first: a row without bytes would be forgotten garbage the other way round.
            self.content.drop_object(name.file).await?;
            let tx = self.db.tenant_as(name.organization, &context).await?;
            store::file::remove(&tx, name).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn expire(&self, context: &CallContext, upload: &Upload) -> Result<(), Error> {
        let tx = self.db.tenant_as(upload.name.organization, context).await?;
        let still = store::upload::lock(&tx, upload.name).await?;
        if still.is_none_or(|still| still.complete || still.expire_time > self.clock.now()) {
            return Ok(());
        }
        let segments = store::upload::segments(&tx, upload.name).await?;
        store::upload::delete(&tx, upload.name).await?;
        tx.commit().await?;
        self.content.drop_segments(upload.id(), &segments).await?;
        self.writers.forget(upload.id());
        Ok(())
    }
}
