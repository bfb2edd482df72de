//! Acting as somebody else, for support: who does, as whom, why and for how long.
//!
//! Nobody gains by it: who acts as a member holds all that the member does. The user is told of each, so whoever could be told of none is
//! not acted as.
use api::{Id, OrganizationId, UserId};
use time::Duration;
use unicode_normalization::UnicodeNormalization;

use super::RevocationKind;
use crate::error::Error;

/// What it takes, at each exchange anew.
pub(crate) const IMPERSONATE: &str = "user:impersonate";
/// From when it began.
pub(crate) const IMPERSONATION_LIFE: Duration = Duration::minutes(15);
/// Characters of a reason.
const REASON_MAX: usize = 500;

/// Who acts as the user of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Impersonation {
    /// The person.
    pub(crate) user: UserId,
    /// The session in which he has signed in himself: it does not outlive that.
    pub(crate) session: Id,
    /// What the user is told.
    pub(crate) told: Told,
}

/// What a user is told of who acts as him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Name.
    pub(crate) display_name: String,
    /// E-mail address.
    pub(crate) email: String,
    /// Why.
    pub(crate) reason: String,
}

impl Impersonation {
    /// What may be revoked of the person, which ends what he does as somebody else.
    pub(crate) fn hits(&self, organization: Option<OrganizationId>) -> impl Iterator<Item = RevocationKind> {
        let member = organization.map(|organization| RevocationKind::Member(self.user, organization));
        [RevocationKind::Session(self.session), RevocationKind::User(self.user)].into_iter().chain(member)
    }
}

/// Why somebody acts as somebody else: one line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) String);

impl Reason {
    /// Reads it out of a request field.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Error> {
        let bounded = text.len() <= 4 * REASON_MAX && !text.chars().any(char::is_control) && !text.trim().is_empty();
        let reason: String = if bounded { text.trim().nfc().collect() } else { String::new() };
        if (1..=REASON_MAX).contains(&reason.chars().count()) {
            return Ok(Self(reason));
        }
        let problem = "must say why, in one line of 1 to 500 characters: the user reads it";
        Err(api::Error::invalid_field(field, problem).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(Reason::parse("reason", " Ticket 4711 ").expect("one line").0, "Ticket 4711");
        assert!(Reason::parse("reason", &"ж".repeat(REASON_MAX)).is_ok());
        for text in ["", "   ", "a\nb", "a\u{7}b", &"a".repeat(REASON_MAX + 1)] {
            assert!(Reason::parse("reason", text).is_err(), "{text:?}");
        }
    }
}
