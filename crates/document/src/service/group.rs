//! What is left of a group, a role or a link that is gone: grants that nobody holds any more.
//!
//! Who was in it lost what it held with the group itself; this clears up what documents say. Each document is a transaction of its own, and
//! each step finds what is still there, so that all of it may be repeated. Ids of groups, roles and links are not given again, so a grant
//! that is made after this step gives nobody anything.
use api::{CallContext, OrganizationId};

use super::Documents;
use crate::{
    error::Error,
    model::{DocumentName, Principal},
    store,
};

/// Documents that are looked up at once.
const BATCH: i64 = 500;

impl Documents {
    /// Ends the grants of who is gone.
    pub(crate) async fn end_principal(
        &self,
        organization: OrganizationId,
        principal: &Principal,
        context: &CallContext,
    ) -> Result<(), Error> {
        loop {
            let tx = self.db.tenant_as(organization, context).await?;
            let shared = store::grant::documents_of(&tx, organization, principal, BATCH).await?;
            drop(tx);
            if shared.is_empty() {
                return Ok(());
            }
            for name in shared {
                self.end_grant_of(name, principal, context).await?;
            }
        }
    }

    async fn end_grant_of(
        &self,
        name: DocumentName,
        principal: &Principal,
        context: &CallContext,
    ) -> Result<(), Error> {
        let context = CallContext { resource: name.to_string(), audit: true, ..context.clone() };
        let tx = self.db.tenant_as(name.organization, &context).await?;
        let Some(next) = store::sweep::next_version(&tx, name).await? else { return Ok(()) };
        let lost = store::grant::end_of(&tx, name, principal).await?;
        self.grants_ended(tx, name, next, lost).await
    }
}
