//! What the roles of organizations allow: held in memory by every verifier, kept fresh from outside.
//!
//! A token names the custom roles of its subject; what they allow is looked up here when a call is decided, so a changed role acts
//! without a new token. A role that the directory does not have allows nothing, and a role allows something only in the organization
//! that made it: ids are chosen by clients, so two organizations may have roles of one id, which have nothing to do with each other.
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use api::{Caller, Id, OrganizationId};

/// A role of an organization's own making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRole {
    /// Organization that made it.
    pub organization: OrganizationId,
    /// Id.
    pub id: Id,
    /// Counts its changes.
    pub version: i64,
    /// What it allows, as the contract writes permissions.
    pub permissions: HashSet<String>,
}

impl CustomRole {
    fn key(&self) -> (OrganizationId, Id) {
        (self.organization, self.id)
    }

    /// Reads the roles of a directory as `auth` answers it; what is not understood allows nothing.
    #[must_use]
    pub fn parse_all(directory: &proto::auth::v1::Directory) -> Vec<Self> {
        let read = |role: &proto::auth::v1::directory::Role| {
            let named = |position: &u32| directory.permissions.get(usize::try_from(*position).ok()?).cloned();
            Some(Self {
                organization: OrganizationId(role.organization.parse().ok()?),
                id: role.role.parse().ok()?,
                version: role.version,
                permissions: role.permissions.iter().filter_map(named).collect(),
            })
        };
        directory.roles.iter().filter_map(read).collect()
    }
}

#[derive(Debug, Default)]
struct Inner {
    roles: RwLock<HashMap<(OrganizationId, Id), CustomRole>>,
    changes: AtomicU64,
}

/// The directory in force. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<Inner>);

impl Directory {
    /// Counts changes: a decision made under another number may be out of date.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Holds no role.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.roles.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Puts these roles in the place of all others, unless something changed since `seen` was read by [`Directory::changes`]: then
    /// what was loaded may be older than what is held, and must be loaded again. Gives whether they were taken.
    pub fn replace(&self, seen: u64, roles: Vec<CustomRole>) -> bool {
        let next = roles.into_iter().map(|role| (role.key(), role)).collect();
        let mut held = self.0.roles.write().unwrap_or_else(PoisonError::into_inner);
        if self.changes() != seen {
            return false;
        }
        *held = next;
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        true
    }

    /// Takes a role that was made or changed, unless a later version of it came first.
    pub fn put(&self, role: CustomRole) {
        let mut held = self.0.roles.write().unwrap_or_else(PoisonError::into_inner);
        if held.get(&role.key()).is_some_and(|held| held.version > role.version) {
            return;
        }
        held.insert(role.key(), role);
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets a role of an organization that ended.
    pub fn remove(&self, organization: OrganizationId, role: Id) {
        let mut held = self.0.roles.write().unwrap_or_else(PoisonError::into_inner);
        held.remove(&(organization, role));
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Those of the caller's roles of the organization's own making that are there.
    #[must_use]
    pub fn roles(&self, caller: &Caller) -> Vec<Id> {
        let Some(organization) = caller.organization().ok().filter(|_| !caller.custom_roles().is_empty()) else {
            return Vec::new();
        };
        let held = self.0.roles.read().unwrap_or_else(PoisonError::into_inner);
        let named = caller.custom_roles().iter().filter_map(|role| role.parse().ok());
        named.filter(|role| held.contains_key(&(organization, *role))).collect()
    }

    /// A role of the organization's own making, which the caller holds and his credential is good for, allows this in the whole
    /// organization.
    #[must_use]
    pub fn grants(&self, caller: &Caller, permission: &str) -> bool {
        let organization = caller.organization().ok();
        caller.in_scope(permission)
            && caller.custom_roles().iter().any(|role| self.allows(role, organization, permission))
    }

    /// The role, as a token names it, allows this in the organization.
    pub(crate) fn allows(&self, role: &str, organization: Option<OrganizationId>, permission: &str) -> bool {
        let (Some(organization), Ok(role)) = (organization, role.parse::<Id>()) else { return false };
        let held = self.0.roles.read().unwrap_or_else(PoisonError::into_inner);
        held.get(&(organization, role)).is_some_and(|role| role.permissions.contains(permission))
    }
}

#[cfg(test)]
mod tests {
    use api::Ids;

    use super::*;

    fn role() -> CustomRole {
        let permissions = HashSet::from(["document:read".to_owned()]);
        CustomRole { organization: OrganizationId::SYSTEM, id: Ids::default().next(), version: 1, permissions }
    }

    #[test]
    fn what_was_loaded_before_a_change_does_not_undo_it() {
        let (directory, role) = (Directory::default(), role());
        let (seen, name) = (directory.changes(), role.id.to_string());
        directory.put(role);
        assert!(!directory.replace(seen, Vec::new()), "the load began before the change");
        assert!(directory.allows(&name, Some(OrganizationId::SYSTEM), "document:read"));
        assert!(directory.replace(directory.changes(), Vec::new()));
        assert!(!directory.allows(&name, Some(OrganizationId::SYSTEM), "document:read"));
    }

    #[test]
    fn a_role_allows_nothing_in_another_organization() {
        let (directory, role) = (Directory::default(), role());
        let name = role.id.to_string();
        directory.put(role);
        let other = OrganizationId(Ids::default().next());
        assert!(!directory.allows(&name, Some(other), "document:read"));
        assert!(!directory.allows(&name, None, "document:read"));
        assert!(!directory.allows(&name, Some(OrganizationId::SYSTEM), "document:write"));
    }
}
