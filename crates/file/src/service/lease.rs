//! The lease of an upload: one writer across all processes, under a fence that rises whenever another process takes over.
use std::time::Duration;

use api::CallContext;
use tokio::time::{Instant, sleep};

use super::{Files, writers::PATIENCE};
use crate::{
    error::Error,
    model::UploadName,
    store::{self, upload::Lease},
};

/// How long a writer that has vanished keeps others away.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// How often a writer says that it is still there.
pub(super) const RENEW: Duration = Duration::from_secs(3);
/// Between two looks of a newcomer.
const LOOK: Duration = Duration::from_millis(100);

impl Files {
    /// Takes the lease, waiting a little for another process to let go.
    pub(super) async fn lease(&self, context: &CallContext, name: UploadName) -> Result<Lease, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.clock.now();
            let tx = self.db.tenant_as(name.organization, context).await?;
            if let Some(lease) = store::upload::take(&tx, name, self.process, now, now + LEASE).await? {
                tx.commit().await?;
                return Ok(lease);
            }
            let found = store::upload::find(&tx, name).await?;
            drop(tx);
            match found {
                None => return Err(api::Error::denied().into()),
                Some(upload) if upload.complete => return Err(Error::Complete(upload.file())),
                Some(_) if Instant::now() >= end => return Err(Error::Locked),
                Some(_) => sleep(LOOK).await,
            }
        }
    }

    /// Keeps the lease. A database that does not answer is no reason to stop: the fence decides when the bytes are to count.
    pub(super) async fn renew(&self, context: &CallContext, lease: &Lease) -> Result<(), Error> {
        let renewed = async {
            let tx = self.db.tenant_as(lease.upload.name.organization, context).await?;
            let held = store::upload::renew(&tx, lease, self.clock.now() + LEASE).await?;
            tx.commit().await?;
            Ok::<_, db::Error>(held)
        };
        match renewed.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Locked),
            Err(error) => {
                tracing::warn!(error.message = %error, "the lease of an upload was not renewed; it is tried again");
                Ok(())
            }
        }
    }

    /// Lets go; gives the offset that counts, if the lease was still held and the database says so.
    pub(super) async fn release(&self, context: &CallContext, lease: &Lease) -> Option<i64> {
        let released = async {
            let tx = self.db.tenant_as(lease.upload.name.organization, context).await?;
            let offset = store::upload::release(&tx, lease).await?;
            tx.commit().await?;
            Ok::<_, db::Error>(offset)
        };
        released.await.unwrap_or_else(|error| {
            tracing::warn!(error.message = %error, "the lease of an upload was not released; it ends by itself");
            None
        })
    }

    /// Keeps the lease while something long is done under it.
    pub(super) async fn holding<T>(
        &self,
        context: &CallContext,
        lease: &Lease,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(RENEW) => self.renew(context, lease).await?,
            }
        }
    }
}
