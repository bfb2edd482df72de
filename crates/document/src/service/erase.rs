//! What is left of an organization that is gone for good.
//!
//! Its documents go to the trash with their time over: they are purged as all others are, and whoever keeps something of them hears of it.
//! Each step finds what is still there, so that it may be repeated.
use api::{CallContext, OrganizationId};

use super::Documents;
use crate::{error::Error, events, store};

/// Documents in one transaction.
const BATCH: i64 = 500;

impl Documents {
    /// Erases everything that the organization has here.
    pub(crate) async fn erase(&self, organization: OrganizationId, context: &CallContext) -> Result<(), Error> {
        loop {
            let tx = self.db.tenant_as(organization, context).await?;
            let gone = store::erase::trash(&tx, organization, self.clock.now(), BATCH).await?;
            for (name, version) in &gone {
                tx.publish(&events::deleted(*name), name.document, *version)?;
            }
            if gone.is_empty() {
                store::erase::rest(&tx, organization, self.clock.now()).await?;
                return Ok(tx.commit().await?);
            }
            tx.commit().await?;
        }
    }
}
