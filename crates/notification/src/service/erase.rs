//! What is left of an organization that is gone for good.
use api::{CallContext, OrganizationId};

use super::Notifications;
use crate::{error::Error, store};

/// Rows of each table in one transaction.
const BATCH: i64 = 1000;

impl Notifications {
    /// Erases everything that the organization has here, in bounded steps; a repeat finds nothing.
    pub(crate) async fn erase(&self, organization: OrganizationId, context: &CallContext) -> Result<(), Error> {
        loop {
            let tx = self.parts.db.tenant_as(organization, context).await?;
            let more = store::sweep::erase(&tx, organization, BATCH).await?;
            tx.commit().await?;
            if !more {
                return Ok(());
            }
        }
    }
}
