//! Delegations: what background work holds instead of tokens. Made by workloads for people, who see them and end them.
use api::{Caller, OrganizationId};
use db::Record;
use time::Duration;

use super::{Auth, Change, Once, PageRequest, limit};
use crate::{
    error::Error,
    model::{Delegation, DelegationName, NewDelegation, RevocationKind, Role},
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
        // Nor one that rests on an API key, or of who acts as him: it would outlive that.
        if caller.session().is_none() || caller.impersonator().is_some() {
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

    /// A delegation that the caller may see: in his own name, or any for administrators.
    pub(crate) async fn delegation(&self, caller: &Caller, name: DelegationName) -> Result<Delegation, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::delegation::get(&tx, name).await?;
        let now = self.clock.now();
        let visible = |found: &Delegation| now < found.expire_time && Self::sees(caller, found);
        Ok(caller.permit(found.filter(visible), |_| None, name)?)
    }

    /// A page of the delegations that the caller may see.
    pub(crate) async fn delegations(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<Delegation>, String), Error> {
        Self::own(caller, organization)?;
        let user = if Self::role(caller) >= Some(Role::Admin) { None } else { Some(caller.user_required()?) };
        let binding = format!("{} {user:?}", organization.name());
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::delegation::list(&tx, (organization, user), self.clock.now(), after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |delegation| delegation.id))
    }

    /// Ends a delegation for a person; nobody touches that of who stands above him. One that is gone is fine, so that the call may be
    /// repeated.
    pub(crate) async fn revoke_delegation(&self, caller: &Caller, name: DelegationName) -> Result<(), Error> {
        Self::own(caller, name.organization)?;
        let tx = self.change(self.db.tenant(caller).await?);
        store::organization::lock(&tx, name.organization).await?;
        let Some(found) = store::delegation::get(&tx, name).await?.filter(|found| Self::sees(caller, found)) else {
            return Ok(());
        };
        if Some(found.user) != caller.user()
            && let Some(member) = store::membership::of_user(&tx, found.user, name.organization).await?
        {
            self.may_touch(caller, &tx, member.role, &member.custom_roles).await?;
        }
        self.end_delegation(&tx, name, None).await?;
        tx.commit().await
    }

    fn sees(caller: &Caller, delegation: &Delegation) -> bool {
        Some(delegation.user) == caller.user() || Self::role(caller) >= Some(Role::Admin)
    }

    /// Ends a delegation of the calling workload; one that has ended already is fine, so that the call may be repeated.
    pub(crate) async fn delete_delegation(&self, caller: &Caller, name: DelegationName) -> Result<(), Error> {
        let tx = self.change(self.db.tenant_as(name.organization, caller.context()).await?);
        self.end_delegation(&tx, name, Some(caller.peer())).await?;
        tx.commit().await
    }

    async fn end_delegation(&self, tx: &Change<'_>, name: DelegationName, actor: Option<&str>) -> Result<(), Error> {
        if store::delegation::delete(tx, name, actor).await? {
            let owner = Owner { organization: Some(name.organization), user: None };
            self.revoke(tx, RevocationKind::Delegation(name.delegation), owner, false).await?;
            tx.audit(Record::done("delegation.deleted").about(name));
        }
        Ok(())
    }
}
