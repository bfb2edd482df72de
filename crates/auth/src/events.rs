//! What identity publishes, each in the transaction of its change and under the organization it concerns; and what it hears: who
//! holds what on resources of other services.
use std::sync::Arc;

use ::events::{Consumer, Delivery, Handler, Outcome};
use api::{Id, OrganizationId, Share, UserId, from_timestamp, timestamp};
use db::Tx;
use futures::future::BoxFuture;
use proto::{
    Event,
    api::v1::relations,
    auth::v1 as wire,
    document::v1::{DocumentGrantsChanged, DocumentUpdated},
};

use crate::{
    error::Error,
    model::{
        AuditEvent, CustomRole, FactorName, Group, Holder, InvitationName, MailDelivery, Membership, MfaFactor, Object,
        Organization, Passkey, Purpose, Revocation, ShareLink, Subject, User,
    },
    service::Auth,
};

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

/// An organization was deleted; that can still be taken back.
pub(crate) fn organization_deleted(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let event = wire::OrganizationDeleted { name: organization.id.name() };
    tx.publish_for(organization.id, &event, organization.id.0, organization.version)
}

/// An organization is gone for good: its last version.
pub(crate) fn organization_purged(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let event = wire::OrganizationPurged { name: organization.id.name() };
    tx.publish_for(organization.id, &event, organization.id.0, organization.version)
}

/// A user was created; users have no later version.
pub(crate) fn user_created(tx: &Tx, user: &User) -> Result<(), db::Error> {
    let event = wire::UserCreated {
        name: user.id.name(),
        managing_organization: user.managing_organization.map(OrganizationId::name).unwrap_or_default(),
    };
    tx.publish_for(user.managing_organization.unwrap_or(OrganizationId::SYSTEM), &event, user.id.0, 1)
}

/// An account was changed.
pub(crate) fn user_updated(tx: &Tx, user: &User, version: i64) -> Result<(), db::Error> {
    tx.publish(&wire::UserUpdated { name: user.id.name() }, user.id.0, version)
}

/// A mail is to be sent; the event says which, and nothing of what stands in it.
pub(crate) fn mail_requested(tx: &Tx, mail: &MailDelivery) -> Result<(), db::Error> {
    let (name, id) = (format!("emailDeliveries/{}", mail.id), mail.id);
    match mail.purpose {
        Purpose::SignUp | Purpose::VerifyEmail | Purpose::ChangeEmail => {
            tx.publish(&wire::EmailVerificationRequested { name }, id, 1)
        }
        Purpose::ResetPassword => tx.publish(&wire::PasswordResetRequested { name }, id, 1),
        Purpose::SignIn => tx.publish(&wire::EmailCodeRequested { name }, id, 1),
        Purpose::Invitation => {
            let of = mail.organization.zip(mail.invitation);
            let invitation =
                of.map(|(organization, invitation)| InvitationName { organization, invitation }.to_string());
            tx.publish(&wire::InvitationCreated { name, invitation: invitation.unwrap_or_default() }, id, 1)
        }
        _ => tx.publish(&wire::SecurityNotice { name }, id, 1),
    }
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

/// A passkey was registered.
pub(crate) fn passkey_registered(tx: &Tx, passkey: &Passkey) -> Result<(), db::Error> {
    tx.publish(&wire::PasskeyRegistered { name: passkey.name().to_string() }, passkey.id, passkey.version)
}

/// A passkey counts no more: one version more than it was found with.
pub(crate) fn passkey_disabled(tx: &Tx, passkey: &Passkey) -> Result<(), db::Error> {
    tx.publish(&wire::PasskeyDisabled { name: passkey.name().to_string() }, passkey.id, passkey.version + 1)
}

/// A passkey is gone: one version more than it was found with.
pub(crate) fn passkey_deleted(tx: &Tx, passkey: &Passkey) -> Result<(), db::Error> {
    tx.publish(&wire::PasskeyDeleted { name: passkey.name().to_string() }, passkey.id, passkey.version + 1)
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

/// An entry of the audit log has its place; the chain orders the events of an organization.
pub(crate) fn audit_recorded(tx: &Tx, entry: &AuditEvent) -> Result<(), db::Error> {
    let event = wire::AuditEventRecorded { name: entry.name(), audit_event: Some(audit_event(entry.clone())) };
    let place = entry.link.as_ref().map_or(0, |link| link.sequence);
    tx.publish_for(entry.organization, &event, entry.organization.0, place)
}

/// An entry as clients and consumers read it.
pub(crate) fn audit_event(event: AuditEvent) -> wire::AuditEvent {
    let outcome = if event.refused { wire::audit_event::Outcome::Refused } else { wire::audit_event::Outcome::Done };
    let name = event.name();
    let (sequence, digest) = event.link.map(|link| (link.sequence, link.digest)).unwrap_or_default();
    wire::AuditEvent {
        name,
        create_time: Some(timestamp(event.create_time)),
        action: event.action,
        actor: event.actor,
        acting: event.acting,
        resource: event.resource,
        outcome: outcome.into(),
        reason: event.reason,
        network: event.network,
        request_id: event.request_id,
        method: event.method,
        occurrences: event.occurrences,
        details: event.details,
        sequence,
        digest: digest.into(),
    }
}

/// A custom role was made.
pub(crate) fn custom_role_created(tx: &Tx, role: &CustomRole) -> Result<(), db::Error> {
    tx.publish(&wire::CustomRoleCreated { name: role.name().to_string() }, role.id, role.version)
}

/// A custom role was changed.
pub(crate) fn custom_role_updated(tx: &Tx, role: &CustomRole) -> Result<(), db::Error> {
    tx.publish(&wire::CustomRoleUpdated { name: role.name().to_string() }, role.id, role.version)
}

/// A custom role ended: its last version is one more than the row had.
pub(crate) fn custom_role_deleted(tx: &Tx, role: &CustomRole) -> Result<(), db::Error> {
    tx.publish(&wire::CustomRoleDeleted { name: role.name().to_string() }, role.id, role.version + 1)
}

/// A group was made.
pub(crate) fn group_created(tx: &Tx, group: &Group) -> Result<(), db::Error> {
    tx.publish(&wire::GroupCreated { name: group.name().to_string() }, group.id, group.version)
}

/// A group or its direct members changed.
pub(crate) fn group_updated(tx: &Tx, group: &Group, added: &[Subject], removed: &[Subject]) -> Result<(), db::Error> {
    let names =
        |members: &[Subject]| members.iter().map(|member| Group::member_name(*member, group.organization)).collect();
    let event = wire::GroupUpdated { name: group.name().to_string(), added: names(added), removed: names(removed) };
    tx.publish(&event, group.id, group.version)
}

/// A group ended: its last version is one more than the row had.
pub(crate) fn group_deleted(tx: &Tx, group: &Group) -> Result<(), db::Error> {
    tx.publish(&wire::GroupDeleted { name: group.name().to_string() }, group.id, group.version + 1)
}

/// A link was made.
pub(crate) fn link_created(tx: &Tx, link: &ShareLink) -> Result<(), db::Error> {
    tx.publish(&wire::LinkCreated { name: link.name().to_string() }, link.id, link.version)
}

/// A member holds a link from now on.
pub(crate) fn link_opened(tx: &Tx, link: &ShareLink, user: UserId) -> Result<(), db::Error> {
    tx.publish(&wire::LinkOpened { name: link.name().to_string(), user: user.name() }, link.id, link.version)
}

/// A link ended: its last version is one more than the row had.
pub(crate) fn link_deleted(tx: &Tx, link: &ShareLink) -> Result<(), db::Error> {
    tx.publish(&wire::LinkDeleted { name: link.name().to_string() }, link.id, link.version + 1)
}

const NAME: &str = "relations";

/// The consumer of what services say of relations.
pub(crate) fn relations() -> Consumer {
    Consumer::new(NAME).on::<DocumentUpdated>().on::<DocumentGrantsChanged>()
}

/// Keeps the relations of other services' resources.
pub(crate) struct Relations(pub(crate) Arc<Auth>);

impl Handler for Relations {
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match told(&delivery) {
                Ok(Some((name, told))) => Outcome::from(self.apply(&delivery, &name, &told).await),
                Ok(None) => Outcome::Done,
                Err(outcome) => outcome,
            }
        })
    }
}

type Told = (String, proto::api::v1::Relations);

/// The resource and its relations; `None` when the event says nothing of them.
fn told(delivery: &Delivery) -> Result<Option<Told>, Outcome> {
    let (name, told) = match delivery.envelope.kind.as_str() {
        DocumentUpdated::TYPE => {
            let event: DocumentUpdated = delivery.decode()?;
            (event.name, event.relations)
        }
        DocumentGrantsChanged::TYPE => {
            let event: DocumentGrantsChanged = delivery.decode()?;
            (event.name, event.relations)
        }
        other => return Err(Outcome::Hold(format!("{other} is not known here"))),
    };
    Ok(told.map(|told| (name, told)))
}

impl Relations {
    async fn apply(&self, delivery: &Delivery, name: &str, told: &proto::api::v1::Relations) -> Result<(), Error> {
        let (envelope, context) = (&delivery.envelope, delivery.context(NAME));
        let (organization, revision) = (envelope.organization, envelope.revision());
        let object = Object::parse("name", name, organization)?;
        let holders: Vec<_> = told.holders.iter().filter_map(|holder| read_holder(holder, organization)).collect();
        let parents: Vec<_> = told.parents.iter().filter_map(|parent| read_parent(parent, organization)).collect();
        let revision = (revision.epoch, revision.version);
        self.0.relations_told(&object, revision, &holders, &parents, &context).await
    }
}

/// What is not understood gives nobody anything.
fn read_holder(holder: &relations::Holder, organization: OrganizationId) -> Option<Holder> {
    let subject = Subject::parse("subject", &holder.subject, organization).ok()?;
    let share = Some(holder.share()).filter(|share| *share != Share::Unspecified)?;
    let end = match &holder.expire_time {
        None => None,
        Some(end) => Some(from_timestamp(end)?),
    };
    Some((subject, share, end))
}

fn read_parent(parent: &relations::Parent, organization: OrganizationId) -> Option<(String, Share)> {
    let object = Object::parse("parent", &parent.name, organization).ok()?;
    let most = Some(parent.most()).filter(|most| *most != Share::Unspecified)?;
    Some((object.path, most))
}
