//! The audit log: entries, filters, and the digest that chains them.
use api::{Id, OrganizationId};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

api::resource_name!(
    /// Name of an entry of the audit log.
    pub(crate) struct AuditEventName { organization: OrganizationId, event: Id } = "organizations/*/auditEvents/*"
);

/// Days for which an organization keeps its audit log; none is the platform's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuditRetention(pub(crate) Option<i32>);

impl AuditRetention {
    /// Reads days; 0 is the default.
    pub(crate) fn parse(field: &str, days: i32) -> Result<Self, api::Error> {
        match days {
            0 => Ok(Self(None)),
            30..=3650 => Ok(Self(Some(days))),
            _ => Err(api::Error::invalid_field(field, "must be 30 to 3,650 days, or 0 for the platform's default")),
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditEvent {
    /// Id; later ones are larger.
    pub(crate) id: Id,
    /// Organization whose log it stands in.
    pub(crate) organization: OrganizationId,
    /// When it was written.
    pub(crate) create_time: OffsetDateTime,
    /// RPC, consumer or task.
    pub(crate) method: String,
    /// What happened.
    pub(crate) action: String,
    /// What it is about.
    pub(crate) resource: String,
    /// Who did it.
    pub(crate) actor: String,
    /// Who acted for him.
    pub(crate) acting: String,
    /// It was refused.
    pub(crate) refused: bool,
    /// Why.
    pub(crate) reason: String,
    /// From where.
    pub(crate) network: String,
    /// Request id.
    pub(crate) request_id: String,
    /// Equal refusals it stands for.
    pub(crate) occurrences: i32,
    /// JSON object as the database writes it.
    pub(crate) details: String,
    /// Its place in the chain, once it has one.
    pub(crate) link: Option<Link>,
}

/// A place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Counted from 1 in each organization.
    pub(crate) sequence: i64,
    /// SHA-256.
    pub(crate) digest: Vec<u8>,
}

/// Which entries are asked for; empty texts ask for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    /// Of this actor.
    pub(crate) actor: String,
    /// Of this action.
    pub(crate) action: String,
    /// About this resource.
    pub(crate) resource: String,
    /// From this time on.
    pub(crate) start: Option<OffsetDateTime>,
    /// Before this time.
    pub(crate) end: Option<OffsetDateTime>,
}

impl AuditFilter {
    /// What a page token is bound to: the same list under another filter is another list.
    pub(crate) fn binding(&self, organization: OrganizationId) -> String {
        let Self { actor, action, resource, start, end } = self;
        format!("{organization}\n{actor}\n{action}\n{resource}\n{start:?}\n{end:?}")
    }
}

impl AuditEvent {
    /// Full name.
    pub(crate) fn name(&self) -> String {
        AuditEventName { organization: self.organization, event: self.id }.to_string()
    }

    /// Digest of this entry at a place behind another one; `audit_digest` of the database computes the same.
    pub(crate) fn digest(&self, before: &[u8], sequence: i64) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update(sequence.to_be_bytes());
        text(&mut hash, &self.id.uuid().to_string());
        text(&mut hash, &self.organization.uuid().to_string());
        let micros = self.create_time.unix_timestamp_nanos() / 1000;
        hash.update(i64::try_from(micros).unwrap_or(i64::MAX).to_be_bytes());
        [&self.method, &self.action, &self.resource, &self.actor, &self.acting]
            .into_iter()
            .for_each(|value| text(&mut hash, value));
        hash.update((if self.refused { 2i16 } else { 1 }).to_be_bytes());
        [&self.reason, &self.network, &self.request_id].into_iter().for_each(|value| text(&mut hash, value));
        hash.update(self.occurrences.to_be_bytes());
        text(&mut hash, &self.details);
        hash.finalize().to_vec()
    }
}

/// A text that cannot run into the next one.
fn text(hash: &mut Sha256, value: &str) {
    hash.update(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    hash.update(value.as_bytes());
}
