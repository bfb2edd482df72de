//! Links: what is shared with one is for the members who opened it.
//!
//! Making a link gives nobody anything; the relations that name it do, and who cannot share a resource writes none. Ids are made here and
//! not chosen, so that one that ended is never given again.
use api::{Id, OrganizationId, UserId};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{DisplayName, account::micros};
use crate::error::Error;

/// What there may be of links.
pub(crate) mod limit {
    /// Links of one member that have not ended.
    pub(crate) const LINKS_OF_MEMBER: i64 = 100;
    /// Links of an organization.
    pub(crate) const LINKS: i64 = 10_000;
    /// Holders of a link.
    pub(crate) const HOLDERS: i32 = 10_000;
}

/// Longest life of a link.
const LIFE_MAX: Duration = Duration::days(400);

api::resource_name!(
    /// Name of a link.
    pub(crate) struct LinkName { organization: OrganizationId, link: Id } = "organizations/*/links/*"
);

/// A link, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShareLink {
    /// Id.
    pub(crate) id: Id,
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Who made it.
    pub(crate) owner: UserId,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// When it ends, with all that it gives.
    #[serde(with = "micros")]
    pub(crate) expire_time: OffsetDateTime,
    /// When it was made.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// Counts from 1; the order of its events.
    pub(crate) version: i64,
    /// Members who hold it.
    pub(crate) holders: i32,
}

impl ShareLink {
    /// Its name.
    pub(crate) fn name(&self) -> LinkName {
        LinkName { organization: self.organization, link: self.id }
    }
}

/// What a new link is made of.
#[derive(Clone, Debug)]
pub(crate) struct LinkDraft {
    /// Name shown to people.
    pub(crate) display_name: DisplayName,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
}

impl LinkDraft {
    /// A link ends, and not in the far future. Kept are whole microseconds, which is what rows hold.
    pub(crate) fn ends(self, now: OffsetDateTime) -> Result<Self, Error> {
        let problem = "must be in the future, at most 400 days from now";
        let end = self.expire_time.replace_microsecond(self.expire_time.microsecond()).ok();
        let end = end.filter(|end| *end > now && *end <= now + LIFE_MAX);
        let expire_time = end.ok_or_else(|| api::Error::invalid_field("link.expire_time", problem))?;
        Ok(Self { expire_time, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_ends_within_four_hundred_days() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let draft = |expire_time| LinkDraft {
            display_name: DisplayName::parse("display_name", "Guests").expect("a name"),
            expire_time,
        };
        assert!(draft(now).ends(now).is_err() && draft(now - Duration::SECOND).ends(now).is_err());
        assert!(draft(now + LIFE_MAX + Duration::SECOND).ends(now).is_err());
        assert_eq!(draft(now + LIFE_MAX).ends(now).expect("the longest").expire_time, now + LIFE_MAX);
    }
}
