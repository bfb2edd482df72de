//! Memberships: who belongs to an organization, with which role.
//!
//! Nobody gives, takes or touches a role above his own, nor gives one that allows more than the credential that he uses; an owner is made
//! by somebody who has just signed in. The last active owner stays. Changes of one organization come one by one, under the lock of its
//! row, so that two owners cannot remove each other at the same moment.
use api::{Caller, Etag, Id, OrganizationId, UserId};
use db::{Record, Tx};
use time::Duration;

use super::{Auth, Change, Once, PageRequest, key::in_person};
use crate::{
    error::{Authorization, Error},
    events,
    model::{Membership, MembershipChange, MembershipName, MembershipState, Permissions, RevocationKind, Rights, Role},
    store::{self, revocation::Owner},
};

/// Roles of a new member.
#[derive(Debug, Default)]
pub(crate) struct NewRoles {
    /// The built-in one.
    pub(crate) role: Option<Role>,
    /// Those of the organization's own making, without doubles, sorted.
    pub(crate) custom: Vec<Id>,
}

/// Age of a sign-in that makes an owner; as old as methods let it be that ask for a fresh one.
const FRESH_SECONDS: u32 = 900;

impl Auth {
    /// Makes a user a member, of those that the organization manages: others are invited, and join by themselves.
    pub(crate) async fn create_membership(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        user: UserId,
        roles: NewRoles,
        once: &Once,
    ) -> Result<Membership, Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        if store::organization::lock(&tx, organization).await?.is_none() {
            return Err(api::Error::not_found(organization.name()).into());
        }
        self.may_give(caller, &tx, roles.role, &roles.custom).await?;
        let membership = self.add_member_with(&tx, organization, user, roles).await?;
        // Only a member's record is seen here. Of who is not taken nothing is told, not even that he is there.
        let account = store::user::get(&tx, user).await?;
        if !account.is_some_and(|account| account.may_be_taken_by(organization)) {
            return Err(Error::UserNotFound(user.name()));
        }
        once.remember(&tx, &membership)?;
        tx.commit().await?;
        Ok(membership)
    }

    /// Inserts an active membership with a built-in role and publishes it.
    pub(super) async fn add_member(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        user: UserId,
        role: Option<Role>,
    ) -> Result<Membership, Error> {
        self.add_member_with(tx, organization, user, NewRoles { role, custom: Vec::new() }).await
    }

    async fn add_member_with(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        user: UserId,
        NewRoles { role, custom: custom_roles }: NewRoles,
    ) -> Result<Membership, Error> {
        let now = self.clock.now();
        let (email, display_name) = (String::new(), String::new());
        let id = self.ids.next();
        let new = Membership {
            id,
            organization,
            user,
            role,
            custom_roles,
            state: MembershipState::Active,
            version: 1,
            create_time: now,
            update_time: now,
            email,
            display_name,
        };
        store::membership::insert(tx, &new).await.map_err(|error| refused(error, organization, user))?;
        events::membership_created(tx, &new)?;
        tx.audit(told("membership.created", &new).of(organization));
        let stored = store::membership::get(tx, MembershipName { organization, membership: id }).await?;
        stored.ok_or_else(|| Error::fault("a membership just inserted is not there"))
    }

    /// A membership.
    pub(crate) async fn membership(&self, caller: &Caller, name: MembershipName) -> Result<Membership, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::membership::get(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the members.
    pub(crate) async fn memberships(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<Membership>, String), Error> {
        self.listed(caller, organization, request, store::membership::list, |membership| membership.id).await
    }

    /// Changes role or state.
    pub(crate) async fn update_membership(
        &self,
        caller: &Caller,
        name: MembershipName,
        etag: &str,
        change: MembershipChange,
        once: &Once,
    ) -> Result<Membership, Error> {
        let tx = self.change(self.db.tenant(caller).await?);
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let found = self.lock_member(caller, &tx, name).await?;
        let next = found.changed(&change, self.clock.now());
        let custom = change.custom_roles.as_deref().unwrap_or_default();
        self.may_give(caller, &tx, next.role_given(&found), custom).await?;
        Etag::check(etag, found.version)?;
        if next.version != found.version {
            self.keep_an_owner(&tx, &found, Some(&next)).await?;
            store::membership::save(&tx, &next).await?;
            events::membership_updated(&tx, &next)?;
            tx.audit(told("membership.updated", &next));
            self.revoke_member(&tx, &next, next.state == MembershipState::Active).await?;
        }
        once.remember(&tx, &next)?;
        tx.commit().await?;
        Ok(next)
    }

    /// Ends a membership with all its credentials.
    pub(crate) async fn delete_membership(
        &self,
        caller: &Caller,
        name: MembershipName,
        etag: &str,
        once: &Once,
    ) -> Result<(), Error> {
        let tx = self.change(self.db.tenant(caller).await?);
        if once.replay::<()>(&tx).await?.is_some() {
            return Ok(());
        }
        let found = self.lock_member(caller, &tx, name).await?;
        Etag::check(etag, found.version)?;
        self.keep_an_owner(&tx, &found, None).await?;
        self.end_membership(&tx, &found).await?;
        store::membership::delete(&tx, name).await?;
        once.remember(&tx, &())?;
        tx.commit().await
    }

    /// The membership under the lock of its organization; its present role must not be above the caller's.
    async fn lock_member(&self, caller: &Caller, tx: &Tx, name: MembershipName) -> Result<Membership, Error> {
        Self::own(caller, name.organization)?;
        store::organization::lock(tx, name.organization).await?;
        let found = store::membership::get(tx, name).await?;
        let found = caller.permit(found, |_| None, name)?;
        self.may_touch(caller, tx, found.role, &found.custom_roles).await?;
        Ok(found)
    }

    /// Who has these roles may be changed by the caller: the built-in one is not above his own, the others allow nothing that he lacks.
    pub(super) async fn may_touch(
        &self,
        caller: &Caller,
        tx: &Tx,
        role: Option<Role>,
        custom: &[Id],
    ) -> Result<(), Error> {
        if role.is_none() && custom.is_empty() {
            return Ok(());
        }
        let (rights, wanted) = self.rights_and(caller, tx, custom).await?;
        Role::at_most(role, rights.role())?;
        rights.cover(&wanted)
    }

    /// What the caller holds with the credential that he uses, and what these custom roles, which must exist, allow.
    async fn rights_and(&self, caller: &Caller, tx: &Tx, custom: &[Id]) -> Result<(Rights, Permissions), Error> {
        let wanted = self.permissions_of(tx, caller.organization()?, custom).await?;
        Ok((self.rights(caller, tx).await?, wanted))
    }

    /// These roles exist, and allow nothing that the caller lacks with the credential that he uses. Who is given a role is given what is
    /// shared with it too: editors hold all of that, anybody else must have the role himself. The organization is locked.
    pub(super) async fn may_give(
        &self,
        caller: &Caller,
        tx: &Tx,
        role: Option<Role>,
        custom: &[Id],
    ) -> Result<(), Error> {
        if role.is_none() && custom.is_empty() {
            return Ok(());
        }
        let (rights, wanted) = self.rights_and(caller, tx, custom).await?;
        rights.cover_role(role)?;
        rights.cover(&wanted)?;
        if !rights.has_roles(custom) && rights.cover_role(Some(Role::Editor)).is_err() {
            return Err(Authorization::PermissionLacked("what is shared with the role").into());
        }
        if role == Some(Role::Owner) {
            let signed_in = in_person(tx, caller).await?.auth_time;
            if self.clock.now() - signed_in > Duration::seconds(FRESH_SECONDS.into()) {
                return Err(api::Error::step_up_required(1, Some(FRESH_SECONDS)).into());
            }
        }
        Ok(())
    }

    pub(super) async fn keep_an_owner(
        &self,
        tx: &Tx,
        before: &Membership,
        after: Option<&Membership>,
    ) -> Result<(), Error> {
        if !before.is_active_owner() || after.is_some_and(Membership::is_active_owner) {
            return Ok(());
        }
        let name = MembershipName { organization: before.organization, membership: before.id };
        if store::membership::other_owners(tx, name).await? == 0 { Err(Error::LastOwner) } else { Ok(()) }
    }

    /// Internal tokens of the member are void; unless `renew`, his sessions in the organization end too.
    pub(super) async fn revoke_member(&self, tx: &Change<'_>, member: &Membership, renew: bool) -> Result<(), Error> {
        if !renew {
            store::session::delete_of_member(tx, member.user, member.organization).await?;
        }
        let owner = Owner { organization: Some(member.organization), user: Some(member.user) };
        self.revoke(tx, RevocationKind::Member(member.user, member.organization), owner, renew).await
    }
}

/// What the audit log keeps of a membership.
pub(super) fn told(action: &str, membership: &Membership) -> Record {
    Record::done(action)
        .about(membership.name())
        .with("user", membership.user.name())
        .with("role", membership.role.map_or("none", Role::text))
        .with_all("custom_roles", &membership.custom_roles)
        .with("state", membership.state.text())
}

/// What a refused insert means.
fn refused(error: db::Error, organization: OrganizationId, user: UserId) -> Error {
    if error.is_foreign_key("memberships_user") {
        Error::UserNotFound(user.name())
    } else if error.is_unique("memberships_once") {
        let name = format!("the membership of {} in {}", user.name(), organization.name());
        api::Error::already_exists(name).into()
    } else {
        error.into()
    }
}
