//! States of organizations and accounts, what follows from them, and what changes of an organization.
use api::OrganizationId;
use serde::{Deserialize, Serialize};

use super::{AuditRetention, DisplayName, Membership, MembershipState, Role, User};

/// What shall change of an organization; nothing where there is none.
#[derive(Debug, Default)]
pub(crate) struct OrganizationChange {
    /// Another name.
    pub(crate) display_name: Option<DisplayName>,
    /// Another time for its audit log.
    pub(crate) audit_retention: Option<AuditRetention>,
}

/// State of an organization; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OrganizationState {
    /// In force.
    Active = 1,
    /// Suspended by the operators.
    Suspended = 2,
    /// Deleted; erased later.
    Deleted = 3,
}

impl OrganizationState {
    /// The state with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted].into_iter().find(|state| *state as i16 == number)
    }

    /// What somebody did to bring it about, for the audit log.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Active => "resumed",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// State of an account; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UserState {
    /// In force.
    Active = 1,
    /// Disabled; nobody signs in.
    Disabled = 2,
    /// Deleted; erased later.
    Deleted = 3,
}

impl UserState {
    /// The state with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Active, Self::Disabled, Self::Deleted].into_iter().find(|state| *state as i16 == number)
    }

    /// What somebody did to bring it about, for the audit log.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Active => "enabled",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

impl Membership {
    /// The built-in role that was given since: one above that of before, or one that is in force again.
    pub(crate) fn role_given(&self, before: &Self) -> Option<Role> {
        let again = self.state == MembershipState::Active && before.state != self.state;
        self.role.filter(|_| again || self.role > before.role)
    }
}

impl User {
    /// An organization may make him a member without asking him: it has made the account, which is not deleted.
    pub(crate) fn may_be_taken_by(&self, organization: OrganizationId) -> bool {
        self.managing_organization == Some(organization) && self.state != UserState::Deleted
    }
}
