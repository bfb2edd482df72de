//! What identity publishes, each in the transaction of its change and under the organization it concerns.
use api::{Id, OrganizationId};
use db::Tx;
use proto::auth::v1 as wire;

use crate::model::{Membership, Organization, Revocation, User};

/// An organization began.
pub(crate) fn organization_created(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let event = wire::OrganizationCreated { name: organization.id.name() };
    tx.publish_for(organization.id, &event, organization.id.0, organization.version)
}

/// An organization was changed.
pub(crate) fn organization_updated(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let event = wire::OrganizationUpdated { name: organization.id.name() };
    tx.publish_for(organization.id, &event, organization.id.0, organization.version)
}

/// A user was created; users have no later version.
pub(crate) fn user_created(tx: &Tx, user: &User) -> Result<(), db::Error> {
    let event = wire::UserCreated { name: user.id.name(), managing_organization: user.managing_organization.name() };
    tx.publish_for(user.managing_organization, &event, user.id.0, 1)
}

/// A membership began.
pub(crate) fn membership_created(tx: &Tx, membership: &Membership) -> Result<(), db::Error> {
    let event = wire::MembershipCreated { name: membership.name(), user: membership.user.name() };
    tx.publish_for(membership.organization, &event, membership.id, membership.version)
}

/// Role or state of a membership changed.
pub(crate) fn membership_updated(tx: &Tx, membership: &Membership) -> Result<(), db::Error> {
    let event = wire::MembershipUpdated { name: membership.name(), user: membership.user.name() };
    tx.publish_for(membership.organization, &event, membership.id, membership.version)
}

/// A membership ended: its last version is one more than the row had.
pub(crate) fn membership_deleted(tx: &Tx, membership: &Membership) -> Result<(), db::Error> {
    let event = wire::MembershipDeleted { name: membership.name(), user: membership.user.name() };
    tx.publish_for(membership.organization, &event, membership.id, membership.version + 1)
}

/// Tokens became void. Every entry is its own aggregate: verifiers read the whole list anyway.
pub(crate) fn credentials_revoked(
    tx: &Tx,
    organization: OrganizationId,
    entry: &Revocation,
    aggregate: Id,
) -> Result<(), db::Error> {
    let event = wire::CredentialsRevoked { kind: entry.kind.clone(), id: entry.id.clone() };
    tx.publish_for(organization, &event, aggregate, 1)
}
