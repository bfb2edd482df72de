//! Roles of an organization's own making.
use api::{Id, OrganizationId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{DisplayName, Permissions, account::micros};
use crate::error::Error;

/// Custom roles that an organization may have.
pub(crate) const ROLES_MAX: i64 = 500;
/// Permissions that one may have.
const PERMISSIONS_MAX: usize = 200;

api::resource_name!(
    /// Name of a custom role.
    pub(crate) struct CustomRoleName { organization: OrganizationId, role: Id } = "organizations/*/customRoles/*"
);

/// A role of an organization's own making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CustomRole {
    /// Id.
    pub(crate) id: Id,
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// What it allows.
    #[serde(with = "texts")]
    pub(crate) permissions: Permissions,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it was made.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "micros")]
    pub(crate) update_time: OffsetDateTime,
}

/// What somebody wants a role to be; `None` leaves the field as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomRoleDraft {
    /// Name shown to people.
    pub(crate) display_name: Option<DisplayName>,
    /// What it allows.
    pub(crate) permissions: Option<Permissions>,
}

impl CustomRoleDraft {
    /// Reads permissions out of a request field: 1 to 200 that the contract has.
    pub(crate) fn permissions(field: &str, texts: &[String]) -> Result<Permissions, Error> {
        if texts.is_empty() || texts.len() > PERMISSIONS_MAX {
            let problem = "must have 1 to 200 permissions; ListPermissions tells those there are";
            return Err(api::Error::invalid_field(field, problem).into());
        }
        Permissions::parse(texts)
    }
}

impl CustomRole {
    /// Its name.
    pub(crate) fn name(&self) -> CustomRoleName {
        CustomRoleName { organization: self.organization, role: self.id }
    }

    /// The role after a change; the same version when nothing changes.
    pub(crate) fn changed(&self, draft: &CustomRoleDraft, now: OffsetDateTime) -> Self {
        let display_name = draft.display_name.as_ref().map_or_else(|| self.display_name.clone(), |name| name.0.clone());
        let permissions = draft.permissions.clone().unwrap_or_else(|| self.permissions.clone());
        let mut next = Self { display_name, permissions, ..self.clone() };
        if next != *self {
            next.version += 1;
            next.update_time = now;
        }
        next
    }

    /// As verifiers hold it.
    pub(crate) fn for_verifiers(&self) -> authz::CustomRole {
        let permissions = self.permissions.iter().map(str::to_owned).collect();
        authz::CustomRole { organization: self.organization, id: self.id, version: self.version, permissions }
    }
}

/// Permissions in stored answers: their texts.
mod texts {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Permissions;

    pub(super) fn serialize<S: Serializer>(permissions: &Permissions, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(permissions.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Permissions, D::Error> {
        Ok(Permissions::restore(&Vec::<String>::deserialize(deserializer)?))
    }
}
