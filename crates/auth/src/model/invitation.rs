//! Invitations: bound to one address, good for seven days and once.
use api::{Id, OrganizationId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Role, account::micros};

api::resource_name!(
    /// Name of an invitation.
    pub(crate) struct InvitationName { organization: OrganizationId, invitation: Id } = "organizations/*/invitations/*"
);

/// State of an invitation; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum InvitationState {
    /// Waits for its recipient.
    Open = 1,
    /// Its recipient is a member.
    Accepted = 2,
    /// Taken back.
    Revoked = 3,
}

impl InvitationState {
    /// The state with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Open, Self::Accepted, Self::Revoked].into_iter().find(|state| *state as i16 == number)
    }
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// Id.
    pub(crate) id: Id,
    /// Organization to join.
    pub(crate) organization: OrganizationId,
    /// Address it is bound to.
    pub(crate) email: String,
    /// Role of the member to be.
    pub(crate) role: Option<Role>,
    /// Who invited: a person, or a machine under its id.
    pub(crate) inviter: UserId,
    /// State.
    pub(crate) state: InvitationState,
    /// When it was made.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it ends.
    #[serde(with = "micros")]
    pub(crate) expire_time: OffsetDateTime,
}

impl Invitation {
    /// Full name.
    pub(crate) fn name(&self) -> InvitationName {
        InvitationName { organization: self.organization, invitation: self.id }
    }
}
