//! Organizations: read and changed.
use std::time::Duration;

use api::{Caller, Etag, OrganizationId};
use db::Record;

use super::{Auth, Once};
use crate::{
    error::Error,
    events,
    model::{Organization, OrganizationChange, Role},
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

    /// Changes an organization. How long its audit log is kept is the owners' matter; a shorter time takes evidence away, so that is for
    /// an owner who has just signed in himself.
    pub(crate) async fn update_organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
        etag: &str,
        change: OrganizationChange,
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
        let display_name = change.display_name.map_or(organization.display_name.clone(), |name| name.0);
        let kept = organization.audit_retention_days;
        let audit_retention_days = change.audit_retention.map_or(kept, |retention| retention.0);
        if audit_retention_days != kept && Self::role(caller) != Some(Role::Owner) {
            return Err(api::Error::denied().into());
        }
        if self.log_time(audit_retention_days) < self.log_time(kept) {
            self.may_give(caller, &tx, Some(Role::Owner), &[]).await?;
        }
        if (&display_name, audit_retention_days) != (&organization.display_name, kept) {
            let (version, update_time) = (organization.version + 1, self.clock.now());
            organization = Organization { display_name, audit_retention_days, version, update_time, ..organization };
            store::organization::save(&tx, &organization).await?;
            events::organization_updated(&tx, &organization)?;
            let days = audit_retention_days.map_or_else(|| "default".to_owned(), |days| days.to_string());
            tx.audit(Record::done("organization.updated").about(id.name()).with("audit_retention_days", days));
        }
        once.remember(&tx, &organization)?;
        tx.commit().await?;
        Ok(organization)
    }

    /// How long a log is kept; the platform's time where the organization has none of its own.
    fn log_time(&self, days: Option<i32>) -> Duration {
        let own = days.map(|days| Duration::from_secs(u64::from(days.unsigned_abs()) * 24 * 60 * 60));
        own.unwrap_or(self.config.audit_retention)
    }
}
