//! The life of accounts and organizations: made, disabled, suspended, deleted and later purged.
//!
//! What ends credentials voids tokens in the same transaction. The last active owner of an organization can neither leave nor delete his
//! account; deleting is taken back for thirty days, then names and addresses are erased and the row stays as a tombstone.
use api::{CallContext, Caller, CommonReason, Id, OrganizationId, UserId};
use db::{Record, Tx};
use time::Duration;

use super::{
    Auth, Change, Once,
    group::end_relations,
    membership::told as told_member,
    session::owner,
    user::{home, oneself},
};
use crate::{
    error::Error,
    events,
    model::{
        DisplayName, Membership, MembershipName, Organization, OrganizationState, RevocationKind, Role, Subject, User,
        UserState,
    },
    store::{self, revocation::Owner},
};

/// How long what was deleted can be taken back.
const GRACE: Duration = Duration::days(30);
/// Organizations that one person may have made and still own.
const OWNED_MAX: usize = 100;
/// Why an organization does not enable somebody.
const HELD: &str = "an operator of the platform has disabled this account; ask whoever runs the platform to enable it";
/// Memberships looked at.
const MEMBERSHIPS: i64 = 1000;

impl Auth {
    /// Makes an organization; the caller is its owner.
    pub(crate) async fn create_organization(
        &self,
        caller: &Caller,
        id: Option<OrganizationId>,
        display_name: DisplayName,
        once: &Once,
    ) -> Result<Organization, Error> {
        let user = caller.user_required()?;
        let tx = self.db.system("make an organization", caller.context()).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let memberships = store::membership::list_of_user(&tx, user, Id::ZERO, MEMBERSHIPS).await?;
        if memberships.iter().filter(|membership| membership.is_active_owner()).count() >= OWNED_MAX {
            return Err(Error::TooManyOrganizations);
        }
        let organization = self.add_organization(&tx, id, display_name.0).await?;
        tx.audit(Record::done("organization.created").about(organization.id.name()).of(organization.id));
        self.add_member(&tx, organization.id, user, Some(Role::Owner)).await?;
        once.remember(&tx, &organization)?;
        tx.commit().await?;
        Ok(organization)
    }

    /// Deletes the caller's organization; it can be taken back for thirty days.
    pub(crate) async fn delete_organization(&self, caller: &Caller, id: OrganizationId) -> Result<Organization, Error> {
        Self::own(caller, id)?;
        if id == OrganizationId::SYSTEM {
            return Err(api::Error::denied().into());
        }
        let tx = self.change(self.db.tenant(caller).await?);
        let changed = self.change_state(&tx, id, OrganizationState::Deleted).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Takes the deletion of an organization back; for an owner of it, whose sign-in is no longer in it.
    pub(crate) async fn undelete_organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
    ) -> Result<Organization, Error> {
        let user = caller.user_required()?;
        let tx = self.change(self.db.system("take the deletion of an organization back", caller.context()).await?);
        let member = store::membership::of_user(&tx, user, id).await?;
        let found = store::organization::lock(&tx, id).await?;
        let deleted = found.filter(|found| found.state == OrganizationState::Deleted);
        if !member.is_some_and(|member| member.is_active_owner()) || deleted.is_none() {
            return Err(api::Error::denied().into());
        }
        let changed = self.change_state(&tx, id, OrganizationState::Active).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Suspends or resumes an organization, for operators of the platform.
    pub(crate) async fn suspend_organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
        state: OrganizationState,
    ) -> Result<Organization, Error> {
        if caller.organization()? != OrganizationId::SYSTEM || id == OrganizationId::SYSTEM {
            return Err(api::Error::denied().into());
        }
        let tx = self.change(self.db.system("suspend or resume an organization", caller.context()).await?);
        let found = store::organization::lock(&tx, id).await?.ok_or_else(|| api::Error::not_found(id.name()))?;
        if found.state == OrganizationState::Deleted {
            return Err(Error::OrganizationDeleted);
        }
        let changed = self.change_state(&tx, id, state).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// All credentials of an organization that is not active end.
    async fn change_state(
        &self,
        tx: &Change<'_>,
        id: OrganizationId,
        state: OrganizationState,
    ) -> Result<Organization, Error> {
        let found = store::organization::lock(tx, id).await?.ok_or_else(|| api::Error::not_found(id.name()))?;
        if found.state == state {
            return Ok(found);
        }
        let now = self.clock.now();
        let purge_time = (state == OrganizationState::Deleted).then(|| now + GRACE);
        let next = Organization { state, version: found.version + 1, update_time: now, purge_time, ..found };
        store::organization::save_state(tx, &next).await?;
        if state != OrganizationState::Active {
            store::session::delete_of_organization(tx, id).await?;
            let owner = Owner { organization: Some(id), user: None };
            self.revoke(tx, RevocationKind::Tenant(id), owner, false).await?;
        }
        match state {
            OrganizationState::Deleted => events::organization_deleted(tx, &next)?,
            OrganizationState::Active | OrganizationState::Suspended => events::organization_updated(tx, &next)?,
        }
        tx.audit(Record::done(format!("organization.{}", state.verb())).about(id.name()).of(id));
        Ok(next)
    }

    /// The caller leaves an organization.
    pub(crate) async fn leave_organization(&self, caller: &Caller, name: MembershipName) -> Result<(), Error> {
        Self::own(caller, name.organization)?;
        let tx = self.change(self.db.tenant(caller).await?);
        store::organization::lock(&tx, name.organization).await?;
        let found = store::membership::get(&tx, name).await?;
        let found = found.filter(|found| Some(found.user) == caller.user()).ok_or_else(api::Error::denied)?;
        self.keep_an_owner(&tx, &found, None).await?;
        self.end_membership(&tx, &found).await?;
        store::membership::delete(&tx, name).await?;
        tx.commit().await
    }

    /// Everything that a member holds in an organization ends with his membership.
    pub(super) async fn end_membership(&self, tx: &Change<'_>, member: &Membership) -> Result<(), Error> {
        let (user, organization) = (member.user, member.organization);
        store::delegation::delete_of_member(tx, user, organization).await?;
        store::api_key::delete_of_member(tx, user, organization).await?;
        store::consent::delete_of_member(tx, user, organization).await?;
        store::group::forget(tx, organization, Subject::User(user)).await?;
        store::link::forget(tx, organization, user).await?;
        end_relations(tx, organization, Subject::User(user)).await?;
        self.revoke_member(tx, member, false).await?;
        events::membership_deleted(tx, member)?;
        tx.audit(told_member("membership.deleted", member).of(organization));
        Ok(())
    }

    /// Renames the caller; `None` changes nothing.
    pub(crate) async fn update_user(
        &self,
        caller: &Caller,
        user: UserId,
        display_name: Option<DisplayName>,
    ) -> Result<User, Error> {
        let found = self.user(caller, user).await?;
        let Some(DisplayName(display_name)) = display_name.filter(|name| name.0 != found.display_name) else {
            return Ok(found);
        };
        let tx = self.db.subject(user, caller.context()).await?;
        let next = User { display_name, update_time: self.clock.now(), ..found };
        let version = store::user::rename(&tx, &next).await?;
        events::user_updated(&tx, &next, version)?;
        tx.audit(Record::done("user.updated").about(user.name()).of(home(caller)));
        tx.commit().await?;
        Ok(next)
    }

    /// Disables or enables a user that the caller's organization manages. What an operator has disabled stays so.
    pub(crate) async fn set_user_state(&self, caller: &Caller, user: UserId, state: UserState) -> Result<User, Error> {
        let organization = caller.organization()?;
        let tx = self.change(self.db.system("disable or enable a user", caller.context()).await?);
        let (found, member) = self.managed(caller, &tx, user).await?;
        if state == UserState::Disabled {
            self.no_operator(caller, &tx, user).await?;
        }
        match member {
            Some(member) if state == UserState::Disabled => self.keep_an_owner(&tx, &member, None).await?,
            Some(member) => self.may_give(caller, &tx, member.role, &[]).await?,
            None => {}
        }
        let next = self.change_user(&tx, found, state, organization).await?;
        // Asked when the row is ours: an operator who came between has committed by now.
        let enables = state != UserState::Disabled && organization != OrganizationId::SYSTEM;
        if enables && store::user::is_held(&tx, user).await? {
            return Err(api::Error::new(api::Code::PermissionDenied, CommonReason::AccessDenied, HELD).into());
        }
        tx.commit().await?;
        Ok(next)
    }

    /// Somebody else whom the caller's organization manages, with his membership in it; nobody touches who stands above him. System
    /// transactions only.
    pub(super) async fn managed(
        &self,
        caller: &Caller,
        tx: &Tx,
        user: UserId,
    ) -> Result<(User, Option<Membership>), Error> {
        let organization = caller.organization()?;
        let found = store::user::get(tx, user).await?;
        let found =
            found.filter(|found| found.managing_organization == Some(organization) && found.id != caller_id(caller));
        let found = found.filter(|found| found.state != UserState::Deleted).ok_or_else(api::Error::denied)?;
        store::organization::lock(tx, organization).await?;
        let member = store::membership::of_user(tx, user, organization).await?;
        if let Some(member) = &member {
            self.may_touch(caller, tx, member.role, &member.custom_roles).await?;
        }
        Ok((found, member))
    }

    /// Who belongs to the operators' organization is theirs, though another one manages his account: the first owner is such a one.
    async fn no_operator(&self, caller: &Caller, tx: &Tx, user: UserId) -> Result<(), Error> {
        let system = OrganizationId::SYSTEM;
        if caller.organization()? == system || store::membership::of_user(tx, user, system).await?.is_none() {
            return Ok(());
        }
        Err(api::Error::denied().into())
    }

    /// What opens an account to others is for the organization that manages it only as far as nobody else's matters hang on it: of who
    /// belongs to the operators, or owns another organization.
    pub(super) async fn of_nobody_else(&self, caller: &Caller, tx: &Tx, user: UserId) -> Result<(), Error> {
        self.no_operator(caller, tx, user).await?;
        let organization = caller.organization()?;
        let memberships = store::membership::list_of_user(tx, user, Id::ZERO, MEMBERSHIPS).await?;
        let owned = |member: &Membership| member.role == Some(Role::Owner) && member.organization != organization;
        if organization != OrganizationId::SYSTEM && memberships.iter().any(owned) {
            return Err(api::Error::denied().into());
        }
        Ok(())
    }

    /// All credentials of a user who is not active end.
    pub(super) async fn change_user(
        &self,
        tx: &Change<'_>,
        found: User,
        state: UserState,
        log: OrganizationId,
    ) -> Result<User, Error> {
        if found.state == state {
            return Ok(found);
        }
        let now = self.clock.now();
        let purge_time = (state == UserState::Deleted).then(|| now + GRACE);
        let next = User { state, update_time: now, ..found };
        let version = store::user::save_state(tx, &next, purge_time).await?;
        if state != UserState::Active {
            self.end_all(tx, next.id).await?;
        }
        events::user_updated(tx, &next, version)?;
        tx.audit(Record::done(format!("user.{}", state.verb())).about(next.id.name()).of(log));
        Ok(next)
    }

    /// Sessions, outstanding codes, links and tokens of a user end.
    pub(super) async fn end_all(&self, tx: &Change<'_>, user: UserId) -> Result<(), Error> {
        store::pending::void(tx, user).await?;
        store::session::delete_others(tx, user, Id::ZERO).await?;
        store::mail::end_of_user(tx, user, self.clock.now()).await?;
        self.revoke(tx, RevocationKind::User(user), owner(user, None), false).await
    }

    /// Deletes the caller's account: he leaves every organization, and after thirty days his name and address are erased.
    pub(crate) async fn delete_user(&self, caller: &Caller, user: UserId) -> Result<(), Error> {
        oneself(caller, user)?;
        let tx = self.change(self.db.system("delete an account", caller.context()).await?);
        let mut memberships = store::membership::list_of_user(&tx, user, Id::ZERO, MEMBERSHIPS).await?;
        // Locks are taken in the order of the organizations, so that two deletions never wait for each other.
        memberships.sort_by_key(|membership| membership.organization);
        for member in &memberships {
            store::organization::lock(&tx, member.organization).await?;
        }
        store::pending::hold(&tx, user).await?;
        for member in &memberships {
            self.keep_an_owner(&tx, member, None).await?;
            self.end_membership(&tx, member).await?;
            let name = MembershipName { organization: member.organization, membership: member.id };
            store::membership::delete(&tx, name).await?;
        }
        let found = store::user::get(&tx, user).await?.ok_or_else(api::Error::denied)?;
        self.change_user(&tx, found, UserState::Deleted, home(caller)).await?;
        tx.commit().await
    }

    /// Ends all sessions of the caller, or all but the one he calls with.
    pub(crate) async fn revoke_all_sessions(&self, caller: &Caller, user: UserId, keep: bool) -> Result<(), Error> {
        oneself(caller, user)?;
        let tx = self.change(self.db.subject(user, caller.context()).await?);
        let own = caller.session().and_then(|session| session.parse::<Id>().ok());
        let kept = own.filter(|_| keep).unwrap_or(Id::ZERO);
        // First: a code that is being redeemed at this moment has become a session by then, and no other becomes one.
        store::pending::void(&tx, user).await?;
        for session in store::session::delete_others(&tx, user, kept).await? {
            self.revoke(&tx, RevocationKind::Session(session), owner(user, None), false).await?;
        }
        tx.audit(Record::done("sessions.ended").about(user.name()).of(home(caller)));
        tx.commit().await
    }

    /// Erases accounts and organizations whose time to be taken back is over.
    pub(crate) async fn purge_deleted(&self) -> Result<(), Error> {
        let context = CallContext::background("auth-purge", &self.ids);
        let tx = self.db.system("erase deleted accounts and organizations", &context).await?;
        let now = self.clock.now();
        for user in store::user::purge(&tx, now).await? {
            tx.audit(Record::done("user.purged").about(user.name()));
        }
        self.purge_organizations(&tx).await?;
        Ok(tx.commit().await?)
    }

    async fn purge_organizations(&self, tx: &Tx) -> Result<(), Error> {
        for organization in store::organization::purge(tx, self.clock.now()).await? {
            events::organization_purged(tx, &organization)?;
            tx.audit(Record::done("organization.purged").about(organization.id.name()).of(organization.id));
        }
        Ok(())
    }
}

fn caller_id(caller: &Caller) -> UserId {
    caller.user().unwrap_or(UserId(Id::ZERO))
}
