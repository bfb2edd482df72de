//! What makes tokens void: (kind, id, issued before).
//!
//! An entry is written in the transaction of its cause and kept until every token it could hit has expired. END voids the edge
//! credential too; RENEW (a changed role) voids internal tokens only, so that the gateway exchanges again and the caller
//! goes on with present rights.
use api::{Id, OrganizationId, UserId};
use time::{Duration, OffsetDateTime};

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevocationKind {
    /// One session.
    Session(Id),
    /// A user in one organization.
    Member(UserId, OrganizationId),
    /// A delegation.
    Delegation(Id),
    /// A user, everywhere.
    User(UserId),
    /// An organization.
    Tenant(OrganizationId),
    /// An API key.
    Key(Id),
    /// An OAuth client, whoever it acts for.
    Client(Id),
}

impl RevocationKind {
    /// Kind as the contract writes it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Session(_) => "sid",
            Self::Member(..) => "member",
            Self::Delegation(_) => "delegation",
            Self::User(_) => "user",
            Self::Tenant(_) => "tenant",
            Self::Key(_) => "key",
            Self::Client(_) => "client",
        }
    }

    /// Id as the contract writes it.
    pub(crate) fn id(self) -> String {
        match self {
            Self::Session(id) | Self::Delegation(id) | Self::Key(id) | Self::Client(id) => id.to_string(),
            Self::User(user) => user.to_string(),
            Self::Tenant(organization) => organization.to_string(),
            Self::Member(user, organization) => format!("{user}/{organization}"),
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Kind as the contract writes it.
    pub(crate) kind: String,
    /// Id as the contract writes it.
    pub(crate) id: String,
    /// Tokens issued before this whole second are void.
    pub(crate) not_before: OffsetDateTime,
    /// When no token it could hit is left.
    pub(crate) keep_until: OffsetDateTime,
    /// The edge credential stays good.
    pub(crate) renew: bool,
}

impl Revocation {
    /// An entry for now: tokens carry whole seconds, and one of this second is void too.
    pub(crate) fn now(what: RevocationKind, renew: bool, now: OffsetDateTime, longest_life: Duration) -> Self {
        let not_before = next_second(now);
        Self { kind: what.text().to_owned(), id: what.id(), not_before, keep_until: not_before + longest_life, renew }
    }

    /// Where it stands in the list of all.
    pub(crate) fn place(&self) -> String {
        format!("{} {} {}", self.kind, self.renew, self.id)
    }

    /// Kind, id and renewal of a place; before all others for anything else.
    pub(crate) fn at(place: &str) -> (&str, &str, bool) {
        let mut parts = place.splitn(3, ' ');
        let (kind, renew) = (parts.next().unwrap_or_default(), parts.next() == Some("true"));
        (kind, parts.next().unwrap_or_default(), renew)
    }

    /// The same for later.
    pub(crate) fn moved(self, now: OffsetDateTime) -> Self {
        let (not_before, kept) = (next_second(now), self.keep_until - self.not_before);
        Self { not_before, keep_until: not_before + kept, ..self }
    }
}

fn next_second(now: OffsetDateTime) -> OffsetDateTime {
    now.replace_nanosecond(0).unwrap_or(now) + Duration::SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_same_second_is_void_too() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(10_300);
        let what = RevocationKind::Member(UserId(Id::ZERO), OrganizationId::SYSTEM);
        let entry = Revocation::now(what, true, now, Duration::seconds(60));
        assert_eq!((entry.not_before.unix_timestamp(), entry.keep_until.unix_timestamp()), (11, 71));
        assert_eq!(entry.id, format!("{0}/{0}", Id::ZERO));
        assert_eq!(Revocation::at(&entry.place()), ("member", entry.id.as_str(), true));
        assert_eq!(Revocation::at(""), ("", "", false));
        let entry = entry.moved(OffsetDateTime::UNIX_EPOCH + Duration::seconds(12));
        assert_eq!((entry.not_before.unix_timestamp(), entry.keep_until.unix_timestamp()), (13, 73));
    }
}
