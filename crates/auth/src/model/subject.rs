//! Who can hold something: a user, the members of a group, all members of the organization.
//!
//! Stored as 17 bytes: a byte for the kind before the id. Ids of users are chosen by clients, so an id without its kind could be made to
//! mean somebody else.
use api::{Id, OrganizationId, UserId};
use uuid::Uuid;

use super::{GroupName, ServiceAccountName};
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
}

impl Subject {
    /// Reads `users/{user}` (also as `organizations/{organization}/serviceAccounts/{service_account}`),
    /// `organizations/{organization}/groups/{group}#member` or `organizations/{organization}#member` out of a
    /// request field. The organization must be this one.
    pub(crate) fn parse(field: &str, text: &str, organization: OrganizationId) -> Result<Self, Error> {
        let account = |name: ServiceAccountName| (name.organization == organization).then_some(UserId(name.account));
        let found = match text.strip_suffix("#member") {
            None => {
                let user = UserId::parse(text).ok().or_else(|| ServiceAccountName::parse(text).ok().and_then(account));
                user.map(Self::User)
            }
            Some(name) => match GroupName::parse(name) {
                Ok(group) => (group.organization == organization).then_some(Self::Group(group.group)),
                Err(_) => OrganizationId::parse(name).ok().filter(|named| *named == organization).map(Self::Members),
            },
        };
        let problem =
            "must be users/*, organizations/*/groups/*#member or organizations/*#member of the same organization";
        found.ok_or_else(|| api::Error::invalid_field(field, problem).into())
    }

    /// The text form.
    pub(crate) fn name(self, organization: OrganizationId) -> String {
        match self {
            Self::User(user) => user.name(),
            Self::Group(group) => format!("{}#member", GroupName { organization, group }),
            Self::Members(organization) => format!("{}#member", organization.name()),
        }
    }

    /// As rows hold it.
    pub(crate) fn key(self) -> Vec<u8> {
        let (kind, id) = match self {
            Self::User(user) => (1, user.uuid()),
            Self::Group(group) => (2, group.uuid()),
            Self::Members(organization) => (3, organization.uuid()),
        };
        [&[kind], id.as_bytes().as_slice()].concat()
    }

    /// Takes back what was stored; `None` for a kind that a newer release wrote.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let (kind, id) = key.split_first()?;
        let id = Id::from_uuid(Uuid::from_slice(id).ok()?);
        match kind {
            1 => Some(Self::User(UserId(id))),
            2 => Some(Self::Group(id)),
            3 => Some(Self::Members(OrganizationId(id))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_from_text_and_row() {
        let organization = OrganizationId(Id::from_uuid(Uuid::from_u128(7)));
        for subject in [Subject::User(UserId(Id::ZERO)), Subject::Group(Id::ZERO), Subject::Members(organization)] {
            let text = subject.name(organization);
            assert_eq!(Subject::parse("subject", &text, organization).expect("it is one"), subject);
            assert_eq!(Subject::of_key(&subject.key()), Some(subject));
            assert_eq!(subject.key().len(), 17);
        }
        let other = OrganizationId(Id::ZERO);
        for text in [Subject::Members(organization).name(organization), Subject::Group(Id::ZERO).name(organization)] {
            assert!(Subject::parse("subject", &text, other).is_err(), "{text} is of another organization");
        }
        for text in ["", "users/x", "#member", "users/00000000000000000000000000#member"] {
            assert!(Subject::parse("subject", text, other).is_err(), "{text}");
        }
    }
}
