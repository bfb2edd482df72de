//! Custom roles, and the rights of who changes them.
//!
//! Nobody makes, changes or ends a role that allows what he lacks himself: else he would take by it what he may not. Verifiers of this
//! process hold a changed role once it is committed; those of others hear the event and load the directory.
use api::{CallContext, Caller, Etag, Id, OrganizationId, Page};
use db::{Record, Tx};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Auth, Once, PageRequest, group::end_relations, inserted, limit};
use crate::{
    error::{Authorization, Error},
    events,
    model::{CustomRole, CustomRoleDraft, CustomRoleName, Membership, Permissions, ROLES_MAX, Rights, Subject},
    store,
};

/// A page of what verifiers need of all custom roles.
pub(crate) struct Directory {
    /// Changes with every change.
    pub(crate) revision: String,
    /// The roles; `None` when the revision is the one that was known.
    pub(crate) roles: Option<Vec<CustomRole>>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
}

/// Roles on a page of the directory: below the largest message, were all of them as large as they can be.
const DIRECTORY_PAGE: usize = 1000;

impl Auth {
    /// What the caller may do by his roles now, with the credential that he used. The token may be older than a change; the rows are not.
    pub(super) async fn rights(&self, caller: &Caller, tx: &Tx) -> Result<Rights, Error> {
        let organization = caller.organization()?;
        let member = match caller.user() {
            Some(user) => store::membership::active(tx, user, organization).await?,
            None => None,
        };
        let rights = match member {
            Some(member) => self.rights_of(tx, &member).await?,
            None => Rights::new(organization, self.machine_role(caller, tx, organization).await?, &[]),
        };
        Ok(rights.within(|permission| caller.in_scope(permission)))
    }

    /// What a member may do by his roles now.
    pub(super) async fn rights_of(&self, tx: &Tx, member: &Membership) -> Result<Rights, Error> {
        let custom = store::custom_role::many(tx, member.organization, &member.custom_roles).await?;
        Ok(Rights::new(member.organization, member.role, &custom))
    }

    /// What these custom roles of the organization allow together.
    ///
    /// # Errors
    /// CUSTOM_ROLE_NOT_FOUND for one that it does not have.
    pub(super) async fn permissions_of(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        roles: &[Id],
    ) -> Result<Permissions, Error> {
        let found = store::custom_role::many(tx, organization, roles).await?;
        if let Some(absent) = roles.iter().find(|role| found.iter().all(|found| found.id != **role)) {
            return Err(
                Authorization::CustomRoleNotFound(CustomRoleName { organization, role: *absent }.to_string()).into()
            );
        }
        let mut permissions = Permissions::default();
        found.iter().for_each(|role| permissions.extend(&role.permissions));
        Ok(permissions)
    }

    /// Makes a role.
    pub(crate) async fn create_custom_role(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        id: Option<Id>,
        draft: CustomRoleDraft,
        once: &Once,
    ) -> Result<CustomRole, Error> {
        let (tx, first) = self.opened(caller, organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let permissions = draft.permissions.unwrap_or_default();
        self.rights(caller, &tx).await?.cover(&permissions)?;
        if store::custom_role::count(&tx, organization).await? >= ROLES_MAX {
            return Err(Authorization::Limit("custom roles", ROLES_MAX).into());
        }
        let (id, now) = (id.unwrap_or_else(|| self.ids.next()), self.clock.now());
        let display_name = draft.display_name.map(|name| name.0).unwrap_or_default();
        let new =
            CustomRole { id, organization, display_name, permissions, version: 1, create_time: now, update_time: now };
        if !inserted(store::custom_role::insert(&tx, &new).await, "custom_roles_pkey", new.name())? {
            return Err(api::Error::already_exists(new.name()).into());
        }
        events::custom_role_created(&tx, &new)?;
        tx.audit(told("custom_role.created", &new));
        once.remember(&tx, &new)?;
        tx.commit().await?;
        self.directory.put(new.for_verifiers());
        Ok(new)
    }

    /// A role.
    pub(crate) async fn custom_role(&self, caller: &Caller, name: CustomRoleName) -> Result<CustomRole, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::custom_role::get(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the roles.
    pub(crate) async fn custom_roles(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<CustomRole>, String), Error> {
        self.listed(caller, organization, request, store::custom_role::list, |role| role.id).await
    }

    /// Changes a role.
    pub(crate) async fn update_custom_role(
        &self,
        caller: &Caller,
        name: CustomRoleName,
        etag: &str,
        draft: CustomRoleDraft,
        once: &Once,
    ) -> Result<CustomRole, Error> {
        let (tx, first) = self.opened(caller, name.organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let found = self.touched_role(caller, &tx, name, etag).await?;
        let next = found.changed(&draft, self.clock.now());
        self.rights(caller, &tx).await?.cover(&next.permissions)?;
        if next.version != found.version {
            store::custom_role::save(&tx, &next).await?;
            events::custom_role_updated(&tx, &next)?;
            tx.audit(told("custom_role.updated", &next).with_all("before", found.permissions.iter()));
        }
        once.remember(&tx, &next)?;
        tx.commit().await?;
        self.directory.put(next.for_verifiers());
        Ok(next)
    }

    /// Ends a role that nobody holds.
    pub(crate) async fn delete_custom_role(
        &self,
        caller: &Caller,
        name: CustomRoleName,
        etag: &str,
        once: &Once,
    ) -> Result<(), Error> {
        let (tx, first) = self.opened(caller, name.organization, once).await?;
        if let Some(first) = first {
            return Ok(first);
        }
        let found = self.touched_role(caller, &tx, name, etag).await?;
        if store::custom_role::is_held(&tx, name).await? {
            return Err(Authorization::RoleInUse.into());
        }
        end_relations(&tx, name.organization, Subject::CustomRole(name.role)).await?;
        store::custom_role::delete(&tx, name).await?;
        events::custom_role_deleted(&tx, &found)?;
        tx.audit(told("custom_role.deleted", &found));
        once.remember(&tx, &())?;
        tx.commit().await?;
        self.directory.remove(found.organization, found.id);
        Ok(())
    }

    /// A page of what verifiers need of all custom roles, unless they have it.
    pub(crate) async fn directory(
        &self,
        context: &CallContext,
        known: &str,
        request: &PageRequest,
    ) -> Result<Directory, Error> {
        let size = Page::parse(request.size, DIRECTORY_PAGE, DIRECTORY_PAGE)?.size;
        let position = self.position(context, "directory", &request.token)?;
        let tx = self.db.system("all custom roles, for the verifiers", context).await?;
        // The revision is read first: a change between the two makes the next answer one more.
        let revision = store::custom_role::revision(&tx).await?;
        if position.is_empty() && revision == known {
            return Ok(Directory { revision, roles: None, next_page_token: String::new() });
        }
        let mut roles = store::custom_role::of_all(&tx, after(&position), limit(size)).await?;
        let more = roles.len() > size;
        roles.truncate(size);
        let last = roles.last().filter(|_| more).map(|last| self.token_of(context, "directory", &place(last)));
        Ok(Directory { revision, roles: Some(roles), next_page_token: last.unwrap_or_default() })
    }

    /// A transaction in the caller's organization that holds the lock under which roles, groups and members change; with the first answer
    /// when the request came before.
    pub(super) async fn opened<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        once: &Once,
    ) -> Result<(Tx, Option<T>), Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        if store::organization::lock(&tx, organization).await?.is_none() {
            return Err(api::Error::not_found(organization.name()).into());
        }
        let first = once.replay(&tx).await?;
        Ok((tx, first))
    }

    /// A role that the caller may touch: it allows nothing that he lacks.
    async fn touched_role(
        &self,
        caller: &Caller,
        tx: &Tx,
        name: CustomRoleName,
        etag: &str,
    ) -> Result<CustomRole, Error> {
        let found = store::custom_role::get(tx, name).await?;
        let found = caller.permit(found, |_| None, name)?;
        Etag::check(etag, found.version)?;
        self.rights(caller, tx).await?.cover(&found.permissions)?;
        Ok(found)
    }
}

/// What the audit log keeps of a role.
fn told(action: &str, role: &CustomRole) -> Record {
    let record = Record::done(action).about(role.name()).with("display_name", &role.display_name);
    record.with_all("permissions", role.permissions.iter())
}

/// Where a role stands in the directory.
fn place(role: &CustomRole) -> Vec<u8> {
    [role.organization.uuid().into_bytes(), role.id.uuid().into_bytes()].concat()
}

/// The place to go on after; before all roles for anything else.
fn after(place: &[u8]) -> CustomRoleName {
    let id = |bytes: &[u8]| Id::from_uuid(Uuid::from_slice(bytes).unwrap_or_default());
    let (organization, role) = place.split_at(place.len() / 2);
    CustomRoleName { organization: OrganizationId(id(organization)), role: id(role) }
}
