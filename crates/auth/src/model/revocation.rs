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
    /// A signing key, by its number.
    SigningKey(u32),
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
            Self::SigningKey(_) => "kid",
        }
    }

    /// Id as the contract writes it.
    pub(crate) fn id(self) -> String {
        match self {
            Self::Session(id) | Self::Delegation(id) | Self::Key(id) | Self::Client(id) => id.to_string(),
            Self::User(user) => user.to_string(),
            Self::Tenant(organization) => organization.to_string(),
            Self::Member(user, organization) => format!("{user}/{organization}"),
            Self::SigningKey(number) => number.to_string(),
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

    /// An entry for now, of whatever kind.
    pub(crate) fn of(what: RevocationKind, renew: bool, now: OffsetDateTime, longest_life: Duration) -> Self {
        match what {
            RevocationKind::SigningKey(number) if !renew => Self::of_key(number, now, longest_life),
            what => Self::now(what, renew, now, longest_life),
        }
    }

    /// A signing key is good for nothing any more, whatever time its tokens carry: who has its private half writes what he likes. Only
    /// what it has signed is void: a credential that led to it is good.
    fn of_key(number: u32, now: OffsetDateTime, longest_life: Duration) -> Self {
        let entry = Self::now(RevocationKind::SigningKey(number), false, now, longest_life);
        Self { not_before: entry.keep_until, ..entry }
    }

    /// It ends a credential that was issued then and signed by the key with this number; 0 for one that no key has signed.
    pub(crate) fn ends(&self, issued: i64, key: u32) -> bool {
        let hit = !self.is_of_key() || RevocationKind::SigningKey(key).id() == self.id;
        !self.renew && hit && issued < self.not_before.unix_timestamp()
    }

    /// A token that is issued now can be younger than it: it is about time, and not about a key.
    pub(crate) fn is_outlived(&self) -> bool {
        self.renew || !self.is_of_key()
    }

    fn is_of_key(&self) -> bool {
        self.kind == RevocationKind::SigningKey(0).text()
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

    #[test]
    fn auth_b03_a_revoked_key_ends_what_it_has_signed_and_nothing_else() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::seconds(10);
        let entry = Revocation::of_key(7, now, Duration::seconds(60));
        assert!(entry.ends(9, 7) && entry.ends(70, 7), "whatever time it carries");
        assert!(!entry.ends(9, 8) && !entry.ends(9, 0) && !entry.is_outlived());
        let renewed = Revocation::now(RevocationKind::SigningKey(8), true, now, Duration::seconds(60));
        assert!(!renewed.ends(9, 8) && renewed.is_outlived());
        let session = Revocation::now(RevocationKind::Session(Id::ZERO), false, now, Duration::seconds(60));
        assert!(session.ends(10, 7) && session.ends(10, 0) && !session.ends(11, 0) && session.is_outlived());
    }
}
