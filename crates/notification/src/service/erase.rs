//! What is left of an organization that is gone for good.
use api::{CallContext, OrganizationId};

use super::Notifications;
use crate::{error::Error, store};

impl Notifications {
    /// Erases everything that the organization has here; a repeat finds nothing.
    pub(crate) async fn erase(&self, organization: OrganizationId, context: &CallContext) -> Result<(), Error> {
        let tx = self.parts.db.tenant_as(organization, context).await?;
        store::sweep::erase(&tx, organization).await?;
        Ok(tx.commit().await?)
    }
}
