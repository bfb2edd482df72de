//! Principals: the names under which something is shared, and those that a caller has.
//!
//! Groups and links are not in a token: who decides by shares has them resolved. Where that fails, the other names stay good, and what they
//! do not allow is not denied but cannot be said now: a refusal is true, or it is not given.
use std::{fmt, sync::Arc};

use crate::{Code, Error, OrganizationId, Principal, Role, UserId};

/// Every active member of an organization.
#[must_use]
pub fn members(organization: OrganizationId) -> String {
    Principal::Members.name(organization)
}

/// Everybody with a built-in role in the organization, down to the viewer.
#[must_use]
pub fn viewers(organization: OrganizationId) -> String {
    Principal::Role(Role::Viewer).name(organization)
}

/// Everybody whom a role of the organization's own making allows this in the whole organization.
#[must_use]
pub fn holders(organization: OrganizationId, permission: &str) -> String {
    format!("{}#{permission}", organization.name())
}

/// The names of one caller, in order: a question about many names must not take as long as both lists together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principals {
    names: Arc<[String]>,
    whole: bool,
}

impl Principals {
    /// Whoever is no person of an organization has none.
    #[must_use]
    pub fn none() -> Self {
        Self { names: Arc::default(), whole: true }
    }

    /// A member, who is in these groups: `organizations/{o}/groups/{g}`.
    #[must_use]
    pub fn of_member<G: fmt::Display>(
        organization: OrganizationId,
        user: UserId,
        groups: impl IntoIterator<Item = G>,
    ) -> Self {
        let groups = groups.into_iter().map(|group| format!("{group}#member"));
        Self::sorted([user.name(), members(organization)].into_iter().chain(groups).collect(), true)
    }

    fn sorted(mut names: Vec<String>, whole: bool) -> Self {
        names.sort_unstable();
        names.dedup();
        Self { names: names.into(), whole }
    }

    /// A member whose groups and links are not known now.
    #[must_use]
    pub fn without_groups(organization: OrganizationId, user: UserId) -> Self {
        Self { whole: false, ..Self::of_member::<String>(organization, user, []) }
    }

    /// The same with more names.
    #[must_use]
    pub fn and(self, more: impl IntoIterator<Item = String>) -> Self {
        let mut more = more.into_iter().peekable();
        if more.peek().is_none() {
            return self;
        }
        Self::sorted(self.names.iter().cloned().chain(more).collect(), self.whole)
    }

    /// What is missing of them gives nothing: the caller sees all that groups could show him.
    #[must_use]
    pub fn suffice(self) -> Self {
        Self { whole: true, ..self }
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One of these is among them.
    #[must_use]
    pub fn hold(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.names.binary_search(name).is_ok())
    }

    /// None is missing.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        self.whole
    }

    /// For answers that would lack something without saying so.
    ///
    /// # Errors
    /// UNAVAILABLE when the groups are not known.
    pub fn whole(&self) -> Result<&Self, Error> {
        if self.whole { Ok(self) } else { Err(unknown()) }
    }

    /// What was decided by these names: a refusal for want of a share holds only if no name is missing.
    ///
    /// # Errors
    /// The error that was decided, or UNAVAILABLE in the place of PERMISSION_DENIED when the groups are not known.
    pub fn decided<T>(&self, decided: Result<T, Error>) -> Result<T, Error> {
        decided.map_err(|error| match error.code() {
            Code::PermissionDenied if !self.whole => unknown(),
            _ => error,
        })
    }
}

fn unknown() -> Error {
    Error::unavailable("what is shared with your groups")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;

    const OF: OrganizationId = OrganizationId(Id::ZERO);

    #[test]
    fn a_member_goes_by_his_own_name_that_of_all_members_and_those_of_his_groups() {
        let group = format!("{}/groups/{}", OF.name(), Id::ZERO);
        let principals = Principals::of_member(OF, UserId(Id::ZERO), [&group]);
        assert_eq!(principals.names(), [members(OF), format!("{group}#member"), UserId(Id::ZERO).name()], "in order");
        let more = principals.and([viewers(OF), holders(OF, "document:read")]);
        assert!(more.hold(&[format!("{}#document:read", OF.name())]) && more.hold(&[viewers(OF)]));
        assert!(!more.hold(&[group, holders(OF, "file:read")]));
    }

    #[test]
    fn without_groups_nothing_is_denied_and_nothing_more_is_allowed() {
        let (known, unknown) =
            (Principals::none(), Principals::without_groups(OF, UserId(Id::ZERO)).and([viewers(OF)]));
        let denied = || Err::<(), _>(Error::denied());
        let absent = || Err::<(), _>(Error::not_found("x"));
        assert_eq!(known.decided(denied()).expect_err("denied").code(), Code::PermissionDenied);
        assert_eq!(unknown.decided(denied()).expect_err("who knows").code(), Code::Unavailable);
        assert_eq!(unknown.decided(absent()).expect_err("absent").code(), Code::NotFound);
        assert!(unknown.decided(Ok(())).is_ok() && unknown.whole().is_err() && unknown.suffice().whole().is_ok());
    }
}
