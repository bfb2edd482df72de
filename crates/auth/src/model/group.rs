//! Groups of members.
use api::{Id, OrganizationId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{DisplayName, Subject, account::micros};
use crate::error::Error;

/// What there may be of groups.
pub(crate) mod limit {
    /// Groups of an organization.
    pub(crate) const GROUPS: i64 = 10_000;
    /// Direct members of a group.
    pub(crate) const MEMBERS: i64 = 10_000;
    /// Groups that a user or a group is a direct member of.
    pub(crate) const GROUPS_OF_MEMBER: i64 = 200;
    /// Groups that a user is in, directly or through groups, and links that he holds: whoever decides by shares holds all of them.
    pub(crate) const NAMES_OF_USER: i64 = 200;
    /// Levels of groups within groups.
    pub(crate) const LEVELS: i32 = 4;
    /// Members that come or go in one request.
    pub(crate) const MEMBERS_PER_REQUEST: usize = 100;
}

api::resource_name!(
    /// Name of a group.
    pub(crate) struct GroupName { organization: OrganizationId, group: Id } = "organizations/*/groups/*"
);

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Id.
    pub(crate) id: Id,
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it was made.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "micros")]
    pub(crate) update_time: OffsetDateTime,
}

impl Group {
    /// Its name.
    pub(crate) fn name(&self) -> GroupName {
        GroupName { organization: self.organization, group: self.id }
    }

    /// The next version, with another name if given.
    pub(crate) fn next(&self, name: Option<&DisplayName>, now: OffsetDateTime) -> Self {
        let display_name = name.map_or_else(|| self.display_name.clone(), |name| name.0.clone());
        Self { display_name, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// Reads members out of a request field: 1 to 100 of `users/*` and groups of the organization, without doubles.
    pub(crate) fn members(field: &str, texts: &[String], organization: OrganizationId) -> Result<Vec<Subject>, Error> {
        let problem = "must be 1 to 100 of users/* and organizations/*/groups/* of the same organization";
        let read = |text: &String| match UserId::parse(text) {
            Ok(user) => Some(Subject::User(user)),
            Err(_) => GroupName::parse(text)
                .ok()
                .filter(|name| name.organization == organization)
                .map(|name| Subject::Group(name.group)),
        };
        let members: Option<Vec<Subject>> = texts.iter().map(read).collect();
        let mut members = members
            .filter(|members| (1..=limit::MEMBERS_PER_REQUEST).contains(&members.len()))
            .ok_or_else(|| api::Error::invalid_field(field, problem))?;
        members.sort_unstable();
        members.dedup();
        Ok(members)
    }

    /// The name of a member, as requests give it.
    pub(crate) fn member_name(member: Subject, organization: OrganizationId) -> String {
        match member {
            Subject::Group(group) => GroupName { organization, group }.to_string(),
            other => other.name(organization),
        }
    }
}
