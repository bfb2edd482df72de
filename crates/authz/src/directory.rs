//! What the roles of organizations allow: held in memory by every verifier, kept fresh from outside.
//!
//! A token names the custom roles of its subject; what they allow is looked up here when a call is decided, so a changed role acts
//! without a new token. A role that the directory does not have allows nothing, and a role allows something only in the organization
//! that made it.
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use api::{Id, OrganizationId};

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
    /// By the text of the role's id, as tokens have it.
    roles: RwLock<HashMap<String, CustomRole>>,
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

    /// Puts these roles in the place of all others, unless something changed since `seen` was read by [`Directory::changes`]: then
    /// what was loaded may be older than what is held, and must be loaded again. Gives whether they were taken.
    pub fn replace(&self, seen: u64, roles: Vec<CustomRole>) -> bool {
        let next = roles.into_iter().map(|role| (role.id.to_string(), role)).collect();
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
        let name = role.id.to_string();
        if held.get(&name).is_some_and(|held| held.version > role.version) {
            return;
        }
        held.insert(name, role);
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets a role that ended.
    pub fn remove(&self, role: Id) {
        let mut held = self.0.roles.write().unwrap_or_else(PoisonError::into_inner);
        held.remove(&role.to_string());
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The role, as a token names it, allows this in the organization.
    pub(crate) fn allows(&self, role: &str, organization: Option<OrganizationId>, permission: &str) -> bool {
        let held = self.0.roles.read().unwrap_or_else(PoisonError::into_inner);
        held.get(role)
            .is_some_and(|role| Some(role.organization) == organization && role.permissions.contains(permission))
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
