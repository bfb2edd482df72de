//! What identity publishes, each in the transaction of its change and under the organization it concerns.
use api::{Id, OrganizationId};
use db::Tx;
use proto::auth::v1 as wire;

use crate::model::{FactorName, Membership, MfaFactor, Organization, Revocation, User};

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

/// A second factor counts from now on: its second version. It concerns a person, in no organization.
pub(crate) fn factor_confirmed(tx: &Tx, factor: &MfaFactor) -> Result<(), db::Error> {
    let event = wire::MfaFactorConfirmed { name: factor_name(factor) };
    tx.publish(&event, factor.id, 2)
}

/// A second factor is gone: its last version.
pub(crate) fn factor_deleted(tx: &Tx, factor: &MfaFactor) -> Result<(), db::Error> {
    let event = wire::MfaFactorDeleted { name: factor_name(factor) };
    tx.publish(&event, factor.id, 3)
}

fn factor_name(factor: &MfaFactor) -> String {
    FactorName { user: factor.user, factor: factor.id }.to_string()
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
