//! Organizations: read and rename.
use api::{Caller, Etag, OrganizationId};
use db::Record;

use super::{Auth, Once};
use crate::{
    error::Error,
    events,
    model::{DisplayName, Organization},
    store,
};

impl Auth {
    /// The caller's organization.
    pub(crate) async fn organization(&self, caller: &Caller, id: OrganizationId) -> Result<Organization, Error> {
        Self::own(caller, id)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::organization::get(&tx, id).await?;
        Ok(caller.permit(found, |_| None, id.name())?)
    }

    /// Renames an organization; `None` changes nothing.
    pub(crate) async fn update_organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
        etag: &str,
        display_name: Option<DisplayName>,
        once: &Once,
    ) -> Result<Organization, Error> {
        Self::own(caller, id)?;
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let found = store::organization::lock(&tx, id).await?;
        let mut organization = caller.permit(found, |_| None, id.name())?;
        Etag::check(etag, organization.version)?;
        if let Some(DisplayName(name)) = display_name.filter(|name| name.0 != organization.display_name) {
            organization = Organization {
                display_name: name,
                version: organization.version + 1,
                update_time: self.clock.now(),
                ..organization
            };
            store::organization::save(&tx, &organization).await?;
            events::organization_updated(&tx, &organization)?;
            tx.audit(Record::done("organization.updated").about(id.name()));
        }
        once.remember(&tx, &organization)?;
        tx.commit().await?;
        Ok(organization)
    }
}
