//! The audit log: read by administrators, chained in the background, verified by operators.
//!
//! Entries are written with the changes they tell of ([`db::Record`]); here they get their place in the chain of their organization and
//! are published in its order. What happens between is short, and an entry is listed before it has its place.
mod news;
mod verify;
mod watch;

use std::collections::HashSet;

use api::{CallContext, Caller, Id, OrganizationId};
use time::Duration;

use super::{Auth, PageRequest, limit};
use crate::{
    error::Error,
    events,
    model::{AuditEvent, AuditEventName, AuditFilter},
    store,
};

pub(super) use news::News;
pub use verify::Verified;
pub(crate) use verify::verify;

/// Entries chained in one transaction.
const SEAL: i32 = 500;
/// Entries deleted per organization in one transaction.
const PURGE: i32 = 1000;
/// Entries read at once for an export.
const EXPORT: i64 = 500;

impl Auth {
    /// An entry.
    pub(crate) async fn audit_event(&self, caller: &Caller, name: AuditEventName) -> Result<AuditEvent, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::audit::get(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of entries, newest first.
    pub(crate) async fn audit_events(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        filter: &AuditFilter,
        request: &PageRequest,
    ) -> Result<(Vec<AuditEvent>, String), Error> {
        Self::own(caller, organization)?;
        let binding = filter.binding(organization);
        let (before, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::audit::list(&tx, organization, filter, before, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |event| event.id))
    }

    /// The next entries of an export, oldest first; none when it is over.
    pub(crate) async fn export_audit_events(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        filter: &AuditFilter,
        after: Id,
    ) -> Result<Vec<AuditEvent>, Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        Ok(store::audit::export(&tx, organization, filter, after, EXPORT).await?)
    }

    /// Chains entries that wait and publishes them; gives their number. Several instances may do so: one at a time gets any.
    pub(crate) async fn seal_audit(&self) -> Result<usize, Error> {
        let context = CallContext::background("auth-audit", &self.ids);
        // Asked several times a second, hence without a system transaction, which would be logged.
        if !store::audit::waits(&self.db.tenant_as(OrganizationId::SYSTEM, &context).await?).await? {
            return Ok(0);
        }
        let tx = self.db.system("chain entries of the audit log", &context).await?;
        let sealed = store::audit::seal(&tx, SEAL).await?;
        for event in &sealed {
            events::audit_recorded(&tx, event)?;
        }
        tx.commit().await?;
        self.news.tell(sealed.iter().map(|event| event.organization).collect::<HashSet<_>>());
        Ok(sealed.len())
    }

    /// Deletes entries older than the retention.
    pub(crate) async fn purge_audit(&self) -> Result<i64, Error> {
        let context = CallContext::background("auth-purge", &self.ids);
        let kept = Duration::try_from(self.config.audit_retention).unwrap_or(Duration::MAX);
        let mut total = 0;
        loop {
            let tx = self.db.system("delete old entries of the audit log", &context).await?;
            let deleted = store::audit::purge(&tx, kept, PURGE).await?;
            tx.commit().await?;
            total += deleted;
            if deleted == 0 {
                return Ok(total);
            }
        }
    }
}
