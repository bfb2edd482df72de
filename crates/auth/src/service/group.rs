//! Groups of members.
//!
//! Who puts somebody into a group gives him what is shared with it. Editors and above hold everything in the organization, as far as their
//! credential is good for it; anybody else who may change groups must be in the group himself. Decisions read the rows, so a change acts
//! with its commit; services that decide by shares hold the groups of their callers for a moment, and are told.
use api::{CallContext, Caller, Etag, Id, OrganizationId, UserId};
use db::{Record, Tx};
use time::OffsetDateTime;

use super::{Auth, Once, PageRequest, inserted, limit};
use crate::{
    error::{Authorization, Error},
    events,
    model::{DisplayName, Group, GroupName, Role, Subject, group_limit},
    store,
};

impl Auth {
    /// Makes a group.
    pub(crate) async fn create_group(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        id: Option<Id>,
        display_name: DisplayName,
        once: &Once,
    ) -> Result<Group, Error> {
        let (tx, first) = self.opened(caller, organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        if store::group::count(&tx, organization).await? >= group_limit::GROUPS {
            return Err(Authorization::Limit("groups", group_limit::GROUPS).into());
        }
        let (id, now) = (id.unwrap_or_else(|| self.ids.next()), self.clock.now());
        let display_name = display_name.0;
        let new = Group { id, organization, display_name, version: 1, create_time: now, update_time: now };
        if !inserted(store::group::insert(&tx, &new).await, "groups_pkey", new.name())? {
            return Err(api::Error::already_exists(new.name()).into());
        }
        events::group_created(&tx, &new)?;
        tx.audit(Record::done("group.created").about(new.name()).with("display_name", &new.display_name));
        once.remember(&tx, &new)?;
        tx.commit().await?;
        Ok(new)
    }

    /// A group.
    pub(crate) async fn group(&self, caller: &Caller, name: GroupName) -> Result<Group, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::group::get(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the groups.
    pub(crate) async fn groups(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<Group>, String), Error> {
        self.listed(caller, organization, request, store::group::list, |group| group.id).await
    }

    /// Renames a group.
    pub(crate) async fn update_group(
        &self,
        caller: &Caller,
        name: GroupName,
        etag: &str,
        display_name: Option<DisplayName>,
        once: &Once,
    ) -> Result<Group, Error> {
        let (tx, first) = self.opened(caller, name.organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let found = self.found_group(caller, &tx, name).await?;
        Etag::check(etag, found.version)?;
        let changed = display_name.filter(|name| name.0 != found.display_name);
        let next = changed.map_or_else(|| found.clone(), |name| found.next(Some(&name), self.clock.now()));
        if next.version != found.version {
            store::group::save(&tx, &next).await?;
            events::group_updated(&tx, &next, &[], &[])?;
            let record = Record::done("group.updated").about(name).with("display_name", &next.display_name);
            tx.audit(record.with("before", &found.display_name));
        }
        once.remember(&tx, &next)?;
        tx.commit().await?;
        Ok(next)
    }

    /// Ends a group.
    pub(crate) async fn delete_group(
        &self,
        caller: &Caller,
        name: GroupName,
        etag: &str,
        once: &Once,
    ) -> Result<(), Error> {
        let (tx, first) = self.opened(caller, name.organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let found = self.found_group(caller, &tx, name).await?;
        Etag::check(etag, found.version)?;
        end_relations(&tx, name.organization, Subject::Group(name.group)).await?;
        store::group::delete(&tx, name).await?;
        events::group_deleted(&tx, &found)?;
        tx.audit(Record::done("group.deleted").about(name).with("display_name", &found.display_name));
        once.remember(&tx, &())?;
        tx.commit().await?;
        self.groups.changed(name.organization);
        Ok(())
    }

    /// A page of the direct members.
    pub(crate) async fn group_members(
        &self,
        caller: &Caller,
        name: GroupName,
        request: &PageRequest,
    ) -> Result<(Vec<Subject>, String), Error> {
        Self::own(caller, name.organization)?;
        let page = api::Page::parse(request.size, 50, 1000)?;
        let (method, binding) = (&caller.context().method, name.to_string());
        let after = self.sealer.open(method, binding.as_bytes(), &request.token)?.unwrap_or_default();
        let tx = self.db.tenant(caller).await?;
        self.found_group(caller, &tx, name).await?;
        let mut members = store::group::members(&tx, name, &after, limit(page.size)).await?;
        let more = members.len() > page.size;
        members.truncate(page.size);
        let next =
            members.last().filter(|_| more).map(|last| self.sealer.seal(method, binding.as_bytes(), &last.key()));
        Ok((members, next.unwrap_or_default()))
    }

    /// The groups that a member is in, directly or through groups, and the links that he holds, with their ends: for who decides about what
    /// is shared with them.
    pub(crate) async fn groups_of(
        &self,
        context: &CallContext,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Vec<(Subject, Option<OffsetDateTime>)>, Error> {
        let tx = self.db.tenant_as(organization, context).await?;
        Ok(store::group::of_user(&tx, organization, user, (self.clock.now(), group_limit::NAMES_OF_USER)).await?)
    }

    /// Puts members in.
    pub(crate) async fn add_group_members(
        &self,
        caller: &Caller,
        name: GroupName,
        members: &[Subject],
        once: &Once,
    ) -> Result<Group, Error> {
        let (tx, first) = self.opened(caller, name.organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let found = self.found_group(caller, &tx, name).await?;
        let rights = self.rights(caller, &tx).await?;
        let inside = match caller.user() {
            Some(user) => store::group::holds(&tx, name, user).await?,
            None => false,
        };
        if rights.cover_role(Some(Role::Editor)).is_err() && !inside {
            return Err(Authorization::PermissionLacked("what the group holds").into());
        }
        if !store::group::strangers(&tx, name.organization, members).await?.is_empty() {
            return Err(Error::NoMembership);
        }
        let added = store::group::add(&tx, name, members).await?;
        bounded(&tx, name, &added, self.clock.now()).await?;
        self.changed_group(tx, found, (&added, &[]), once).await
    }

    /// Takes members out.
    pub(crate) async fn remove_group_members(
        &self,
        caller: &Caller,
        name: GroupName,
        members: &[Subject],
        once: &Once,
    ) -> Result<Group, Error> {
        let (tx, first) = self.opened(caller, name.organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let found = self.found_group(caller, &tx, name).await?;
        let removed = store::group::remove(&tx, name, members).await?;
        self.changed_group(tx, found, (&[], &removed), once).await
    }

    async fn changed_group(
        &self,
        tx: Tx,
        found: Group,
        (added, removed): (&[Subject], &[Subject]),
        once: &Once,
    ) -> Result<Group, Error> {
        if added.is_empty() && removed.is_empty() {
            once.remember(&tx, &found)?;
            tx.commit().await?;
            return Ok(found);
        }
        let next = found.next(None, self.clock.now());
        store::group::save(&tx, &next).await?;
        events::group_updated(&tx, &next, added, removed)?;
        let names = |members: &[Subject]| -> Vec<String> {
            members.iter().map(|member| Group::member_name(*member, next.organization)).collect()
        };
        let record = Record::done("group.members_changed").about(next.name());
        tx.audit(record.with_all("added", names(added)).with_all("removed", names(removed)));
        once.remember(&tx, &next)?;
        tx.commit().await?;
        self.groups.changed(next.organization);
        Ok(next)
    }

    async fn found_group(&self, caller: &Caller, tx: &Tx, name: GroupName) -> Result<Group, Error> {
        let found = store::group::get(tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }
}

/// What is held on customers' resources ends with who held it. Writers of relations take the same lock before they look who is there.
pub(super) async fn end_relations(tx: &Tx, organization: OrganizationId, subject: Subject) -> Result<(), Error> {
    store::relation::advance(tx, organization).await?;
    Ok(store::relation::delete_of_subject(tx, organization, subject).await?)
}

/// What came stays within the limits.
async fn bounded(tx: &Tx, name: GroupName, added: &[Subject], now: OffsetDateTime) -> Result<(), Error> {
    let (members, of_member) = store::group::counts(tx, name, added).await?;
    if members > group_limit::MEMBERS {
        return Err(Authorization::Limit("members of a group", group_limit::MEMBERS).into());
    }
    if of_member > group_limit::GROUPS_OF_MEMBER {
        return Err(Authorization::Limit("groups of a member", group_limit::GROUPS_OF_MEMBER).into());
    }
    let nests = added.iter().any(|member| matches!(member, Subject::Group(_)));
    if nests && store::group::levels(tx, name).await? > group_limit::LEVELS {
        return Err(Authorization::GroupNesting.into());
    }
    // Nobody can be in more groups and hold more links than there are, which spares most organizations the question.
    let all =
        store::group::count(tx, name.organization).await? + store::link::count(tx, name.organization, now).await?;
    let most = group_limit::NAMES_OF_USER;
    if all > most && store::group::most_of_a_user(tx, name.organization, added, now).await? > most {
        return Err(Authorization::Limit("groups and links of a user", most).into());
    }
    Ok(())
}
