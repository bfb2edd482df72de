//! Delegations: what background work holds instead of tokens.
use api::{Caller, OrganizationId};
use db::Record;
use time::Duration;

use super::{Auth, Once};
use crate::{
    error::Error,
    model::{Delegation, DelegationName, NewDelegation, RevocationKind},
    store::{self, revocation::Owner},
};

const LONGEST: Duration = Duration::days(400);

impl Auth {
    /// Lets the calling workload act for the calling user. A token that rests on a delegation cannot make another: it would outlive
    /// the first.
    pub(crate) async fn create_delegation(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        new: NewDelegation,
        once: &Once,
    ) -> Result<Delegation, Error> {
        Self::own(caller, organization)?;
        let user = caller.user_required()?;
        // Nor one that rests on an API key: it would outlive the key.
        if caller.session().is_none() {
            return Err(api::Error::denied().into());
        }
        let now = self.clock.now();
        if new.expire_time <= now || new.expire_time > now + LONGEST {
            return Err(api::Error::invalid_field(
                "delegation.expire_time",
                "must be in the future, at most 400 days from now",
            )
            .into());
        }
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let delegation = Delegation {
            id: self.ids.next(),
            organization,
            user,
            actor: caller.peer().to_owned(),
            purpose: new.purpose.0,
            methods: new.methods,
            scopes: caller.scopes().to_vec(),
            expire_time: new.expire_time,
            create_time: now,
        };
        store::delegation::insert(&tx, &delegation).await?;
        let name = DelegationName { organization, delegation: delegation.id };
        tx.audit(Record::done("delegation.created").about(name).with("purpose", &delegation.purpose));
        once.remember(&tx, &delegation)?;
        tx.commit().await?;
        Ok(delegation)
    }

    /// Ends a delegation of the calling workload; one that has ended already is fine, so that the call may be repeated.
    pub(crate) async fn delete_delegation(&self, caller: &Caller, name: DelegationName) -> Result<(), Error> {
        let tx = self.change(self.db.tenant_as(name.organization, caller.context()).await?);
        if store::delegation::delete(&tx, name, caller.peer()).await? {
            let owner = Owner { organization: Some(name.organization), user: None };
            self.revoke(&tx, RevocationKind::Delegation(name.delegation), owner, false).await?;
            tx.audit(Record::done("delegation.deleted").about(name));
        }
        tx.commit().await
    }
}
