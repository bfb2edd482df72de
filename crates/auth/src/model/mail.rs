//! Mails of identity: what they are for, how long they are good.
//!
//! A link is good for ten minutes from when its mail was first made, at most an hour from when it was asked for; an invitation for seven
//! days. It works once, and is dead after a newer one of its kind.
use std::net::{IpAddr, Ipv6Addr};

use api::{Id, OrganizationId, UserId};
use time::{Duration, OffsetDateTime};

use super::Told;

/// From the first sending.
pub(crate) const LINK_LIFE: Duration = Duration::minutes(10);
/// From the request.
pub(crate) const REQUEST_LIFE: Duration = Duration::minutes(60);
/// Of an invitation.
pub(crate) const INVITATION_LIFE: Duration = Duration::days(7);
/// Mails of one kind to one address within an hour that one asker gets; what a stranger asks for beyond, and notices beyond, are dropped
/// without a word.
pub(crate) const MAILS_PER_HOUR: i64 = 5;
/// The same, whoever asks.
pub(crate) const ADDRESS_MAILS_PER_HOUR: i64 = 20;

/// What a mail is for; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Finish a sign-up.
    SignUp = 1,
    /// Prove an address.
    VerifyEmail = 2,
    /// Prove a new address.
    ChangeEmail = 3,
    /// Choose a new password.
    ResetPassword = 4,
    /// Sign in.
    SignIn = 5,
    /// Join an organization.
    Invitation = 6,
    /// Somebody wanted to sign up with this address.
    NoticeSignUp = 7,
    /// The password was changed.
    NoticePasswordChanged = 8,
    /// The address was changed.
    NoticeEmailChanged = 9,
    /// A token was used twice.
    NoticeTokenReused = 10,
    /// Factors were changed.
    NoticeFactorsChanged = 11,
    /// Somebody acts as the user.
    NoticeImpersonated = 12,
}

impl Purpose {
    const ALL: [Self; 12] = [
        Self::SignUp,
        Self::VerifyEmail,
        Self::ChangeEmail,
        Self::ResetPassword,
        Self::SignIn,
        Self::Invitation,
        Self::NoticeSignUp,
        Self::NoticePasswordChanged,
        Self::NoticeEmailChanged,
        Self::NoticeTokenReused,
        Self::NoticeFactorsChanged,
        Self::NoticeImpersonated,
    ];

    /// The purpose with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| *purpose as i16 == number)
    }

    /// Page of the gateway that the link leads to; `None` for what has no link.
    pub(crate) fn page(self) -> Option<&'static str> {
        match self {
            Self::SignUp | Self::VerifyEmail | Self::ChangeEmail => Some("verify"),
            Self::ResetPassword => Some("reset"),
            Self::SignIn => Some("magic"),
            Self::Invitation => Some("invitation"),
            _ => None,
        }
    }

    /// A newer one of its kind to the address takes its place.
    pub(crate) fn replaces(self) -> bool {
        matches!(self, Self::SignUp | Self::VerifyEmail | Self::ChangeEmail | Self::ResetPassword)
    }

    /// How long it may be taken from when it was asked for.
    pub(crate) fn life(self) -> Duration {
        if self == Self::Invitation { INVITATION_LIFE } else { REQUEST_LIFE }
    }

    /// End of a link whose mail is made now for the first time.
    pub(crate) fn end(self, asked_end: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
        if self == Self::Invitation { asked_end } else { asked_end.min(now + LINK_LIFE) }
    }
}

/// A mail that is to be made, or was.
#[derive(Clone, Debug)]
pub(crate) struct MailDelivery {
    /// Id; the secret is made of it.
    pub(crate) id: Id,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// Address it goes to.
    pub(crate) email: String,
    /// What addresses are compared by.
    pub(crate) email_key: String,
    /// Account it concerns.
    pub(crate) user: Option<UserId>,
    /// Organization that invites, or in which somebody acts as the recipient.
    pub(crate) organization: Option<OrganizationId>,
    /// The invitation.
    pub(crate) invitation: Option<Id>,
    /// Digest of the flow that asked for a sign-in.
    pub(crate) flow: Option<Vec<u8>>,
    /// Name of the recipient, as far as it is known.
    pub(crate) display_name: String,
    /// Password hash of a sign-up.
    pub(crate) hash: String,
    /// Who acts as the recipient, and why.
    pub(crate) told: Option<Told>,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
    /// It was made before.
    pub(crate) sent: bool,
}

/// What was asked for by somebody who may be anybody.
#[derive(Clone, Debug)]
pub(crate) struct MailRequest {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Address as given.
    pub(crate) email: String,
    /// What addresses are compared by.
    pub(crate) email_key: String,
    /// Name of who signs up.
    pub(crate) display_name: String,
    /// Hash of his password.
    pub(crate) hash: String,
    /// Digest of the flow that asks.
    pub(crate) flow: Option<Vec<u8>>,
}

/// The network of whoever asks, for the count of what he asks for: hosts of one IPv6 network are one asker.
pub(crate) fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        Ok(address) => address.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_network_are_one_asker() {
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2::9"));
        assert_ne!(network("2001:db8:1:3::4"), network("2001:db8:1:2::4"));
        assert_eq!((network("::ffff:192.0.2.1"), network("x")), ("192.0.2.1".to_owned(), String::new()));
    }

    #[test]
    fn auth_p17_a_link_lives_from_its_sending_but_not_for_ever() {
        let asked = OffsetDateTime::UNIX_EPOCH;
        let end =
            |minutes| Purpose::ResetPassword.end(asked + REQUEST_LIFE, asked + Duration::minutes(minutes)) - asked;
        assert_eq!([0, 20, 55].map(|minutes| end(minutes).whole_minutes()), [10, 30, 60]);
        let week = asked + INVITATION_LIFE;
        assert_eq!(Purpose::Invitation.end(week, asked), week);
    }

    #[test]
    fn numbers_read_back() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::of_number(purpose as i16), Some(purpose));
        }
        assert_eq!(Purpose::of_number(0), None);
    }
}
