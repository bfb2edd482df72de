//! Who can hold something: a user, or all who are in a group, have a role, hold a link or are members at all.
//!
//! Stored as 17 bytes: a byte for the kind before the id. Ids of users are chosen by clients, so an id without its kind could be made to
//! mean somebody else.
use api::{Id, OrganizationId, Principal, UserId};
use uuid::Uuid;

use super::{Role, ServiceAccountName};
use crate::error::Error;

/// One subject; always of the organization it is used in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// A user.
    User(UserId),
    /// Everybody in a group, groups within it included.
    Group(Id),
    /// Every active member of the organization.
    Members(OrganizationId),
    /// Who has this built-in role or a stronger one.
    Role(Role),
    /// Who has a role of the organization's own making.
    CustomRole(Id),
    /// Who has opened a link.
    Link(Id),
}

impl Subject {
    /// Reads the name of a principal of this organization out of a request field; a user also as
    /// `organizations/{organization}/serviceAccounts/{service_account}`.
    pub(crate) fn parse(field: &str, text: &str, organization: OrganizationId) -> Result<Self, Error> {
        let account = || {
            let name = ServiceAccountName::parse(text).ok()?;
            (name.organization == organization).then_some(Self::User(UserId(name.account)))
        };
        let principal = Principal::parse(text, organization);
        let found = principal.and_then(|principal| Self::of(principal, organization)).or_else(account);
        let problem = "must be users/*, organizations/*#member, #viewer, #editor, #admin or #owner, organizations/*/groups/*#member, \
             organizations/*/customRoles/*#member or organizations/*/links/*#holder of the same organization";
        found.ok_or_else(|| api::Error::invalid_field(field, problem).into())
    }

    fn of(principal: Principal, organization: OrganizationId) -> Option<Self> {
        Some(match principal {
            Principal::User(user) => Self::User(user),
            Principal::Members => Self::Members(organization),
            Principal::Role(role) => Self::Role(Role::ALL.into_iter().find(|own| contract(*own) == role)?),
            Principal::Group(group) => Self::Group(group),
            Principal::CustomRole(role) => Self::CustomRole(role),
            Principal::Link(link) => Self::Link(link),
        })
    }

    /// The text form.
    pub(crate) fn name(self, organization: OrganizationId) -> String {
        let principal = match self {
            Self::User(user) => Principal::User(user),
            Self::Members(organization) => return Principal::Members.name(organization),
            Self::Role(role) => Principal::Role(contract(role)),
            Self::Group(group) => Principal::Group(group),
            Self::CustomRole(role) => Principal::CustomRole(role),
            Self::Link(link) => Principal::Link(link),
        };
        principal.name(organization)
    }

    /// As rows hold it.
    pub(crate) fn key(self) -> Vec<u8> {
        let (kind, id) = match self {
            Self::User(user) => (1, user.uuid()),
            Self::Group(group) => (2, group.uuid()),
            Self::Members(organization) => (3, organization.uuid()),
            Self::Role(role) => (4, Uuid::from_u128(role as u128)),
            Self::CustomRole(role) => (5, role.uuid()),
            Self::Link(link) => (6, link.uuid()),
        };
        [&[kind], id.as_bytes().as_slice()].concat()
    }

    /// Takes back what was stored; `None` for a kind that a newer release wrote.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let (kind, id) = key.split_first()?;
        let uuid = Uuid::from_slice(id).ok()?;
        let id = Id::from_uuid(uuid);
        match kind {
            1 => Some(Self::User(UserId(id))),
            2 => Some(Self::Group(id)),
            3 => Some(Self::Members(OrganizationId(id))),
            4 => i16::try_from(uuid.as_u128()).ok().and_then(Role::of_number).map(Self::Role),
            5 => Some(Self::CustomRole(id)),
            6 => Some(Self::Link(id)),
            _ => None,
        }
    }
}

/// The role as the contract orders them, which counts from the member.
fn contract(role: Role) -> proto::Role {
    match role {
        Role::Viewer => proto::Role::Viewer,
        Role::Editor => proto::Role::Editor,
        Role::Admin => proto::Role::Admin,
        Role::Owner => proto::Role::Owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_from_text_and_row() {
        let organization = OrganizationId(Id::from_uuid(Uuid::from_u128(7)));
        let subjects = [
            Subject::User(UserId(Id::ZERO)),
            Subject::Group(Id::ZERO),
            Subject::Members(organization),
            Subject::Role(Role::Viewer),
            Subject::Role(Role::Owner),
            Subject::CustomRole(Id::ZERO),
            Subject::Link(Id::ZERO),
        ];
        let other = OrganizationId(Id::ZERO);
        for subject in subjects {
            let text = subject.name(organization);
            assert_eq!(Subject::parse("subject", &text, organization).expect("it is one"), subject);
            assert_eq!(Subject::of_key(&subject.key()), Some(subject));
            assert_eq!(subject.key().len(), 17);
            let foreign = Subject::parse("subject", &text, other).is_ok();
            assert_eq!(foreign, matches!(subject, Subject::User(_)), "{text} is of another organization");
        }
        for text in ["", "users/x", "#member", "users/00000000000000000000000000#member"] {
            assert!(Subject::parse("subject", text, other).is_err(), "{text}");
        }
        let beyond = [&[4], Uuid::from_u128(5).as_bytes().as_slice()].concat();
        assert_eq!(Subject::of_key(&beyond), None, "there is no fifth role");
    }
}
