//! What is left of an organization that is gone for good.
//!
//! Its files are deleted as all others are, so that search hears of each and the sweep drops their bytes; those of unfinished uploads go
//! as bytes that no row knows. Each step finds what is still there, so that it may be repeated.
use api::{CallContext, OrganizationId};

use super::Files;
use crate::{error::Error, events, store};

/// Files in one transaction.
const BATCH: i64 = 500;

impl Files {
    /// Erases everything that the organization has here.
    pub(crate) async fn erase(&self, organization: OrganizationId, context: &CallContext) -> Result<(), Error> {
        loop {
            let tx = self.db.tenant_as(organization, context).await?;
            let gone = store::erase::files(&tx, organization, self.clock.now(), BATCH).await?;
            for (name, version) in &gone {
                tx.publish(&events::deleted(*name), name.file, *version)?;
            }
            let more = store::erase::rest(&tx, organization, BATCH).await?;
            tx.commit().await?;
            if gone.is_empty() && !more {
                return Ok(());
            }
        }
    }
}
