//! What travels beside the payload: the envelope, as NATS headers (CloudEvents 1.0, NATS binding, binary mode).
//!
//! Header names stand here once. Old envelopes must stay readable: names are only added, and a reader needs no header that
//! version 1 did not have.
use api::{CallContext, Id, OrganizationId};
use async_nats::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use db::OutboxRow;
use proto::Event;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::Outcome;

pub(crate) const ID: &str = "ce-id";
const KIND: &str = "ce-type";
const SOURCE: &str = "ce-source";
const SUBJECT: &str = "ce-subject";
const TIME: &str = "ce-time";
const SCHEMA: &str = "ce-dataschema";
const ORGANIZATION: &str = "workos-organization";
const VERSION: &str = "workos-version";
const EPOCH: &str = "workos-epoch";
const AGGREGATE_TYPE: &str = "workos-aggregate-type";
pub(crate) const AGGREGATE_ID: &str = "workos-aggregate-id";
const ACTOR: &str = "workos-actor";
const REQUEST_ID: &str = "x-request-id";
const TRACEPARENT: &str = "traceparent";

/// Longest header value; what is longer is cut, since a header must never stop an event.
const VALUE_MAX: usize = 1024;

/// What is known of an event without reading its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Event id (UUIDv7); the same for every delivery and redrive. The key for `db.once`.
    pub event_id: Uuid,
    /// Event type, for example `document.created`.
    pub kind: String,
    /// Publishing service.
    pub source: String,
    /// Name of the resource the event is about; may be empty.
    pub subject: String,
    /// Tenant.
    pub organization: OrganizationId,
    /// Type of the aggregate whose version orders the events.
    pub aggregate_type: String,
    /// Id of the aggregate.
    pub aggregate_id: Id,
    /// Version of the aggregate after the change; gapless per aggregate.
    pub version: i64,
    /// Raised after a point-in-time restore; compared before the version.
    pub epoch: i32,
    /// Principal that caused the event: for audit and display, never authority.
    pub actor: String,
    /// Request id of the call that caused the event.
    pub request_id: String,
    /// W3C trace context of the cause; may be empty.
    pub traceparent: String,
    /// When the event was written.
    pub time: OffsetDateTime,
    /// Full name of the payload's message, its major version included.
    pub schema: String,
}

/// One delivery of an event to one consumer.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The envelope.
    pub envelope: Envelope,
    /// The event message in protobuf; [`Delivery::decode`] reads it.
    pub payload: Bytes,
    /// Which delivery this is, counted from 1; starts again after a redrive.
    pub attempt: u32,
}

impl Delivery {
    /// Reads the payload as the event `E`.
    ///
    /// # Errors
    /// `Hold` when the event has another schema than `E`, so that a newer version can read it; `Reject` when the bytes are no
    /// such message.
    pub fn decode<E: Event>(&self) -> Result<E, Outcome> {
        if self.envelope.kind != E::TYPE || self.envelope.schema != E::full_name() {
            return Err(Outcome::Hold(format!("type {} with schema {}", self.envelope.kind, self.envelope.schema)));
        }
        E::decode(self.payload.clone())
            .map_err(|error| Outcome::Reject(format!("the payload is no {}: {error}", E::full_name())))
    }

    /// Context for what the handler does: request id and trace of the cause, so that one request can be followed through.
    #[must_use]
    pub fn context(&self, consumer: &str) -> CallContext {
        CallContext {
            request_id: self.envelope.request_id.clone(),
            traceparent: self.envelope.traceparent.clone(),
            method: consumer.to_owned(),
            resource: self.envelope.subject.clone(),
            actor: self.envelope.actor.clone(),
            ..CallContext::default()
        }
    }
}

/// The headers of an outbox row.
pub(crate) fn headers(service: &str, row: &OutboxRow) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &row.headers {
        put(&mut headers, name, value);
    }
    let id = row.event_id.to_string();
    let time = row.created_at.format(&Rfc3339).expect("a time of the database has a four-digit year");
    let own = [
        (header::NATS_MESSAGE_ID.as_ref(), id.as_str()),
        (header::NATS_EXPECTED_STREAM.as_ref(), &crate::subject::stream(service)),
        ("ce-specversion", "1.0"),
        ("content-type", "application/protobuf"),
        (ID, &id),
        (KIND, &row.kind),
        (SOURCE, service),
        (TIME, &time),
        (ORGANIZATION, &OrganizationId(Id::from_uuid(row.organization_id)).to_string()),
        (VERSION, &row.aggregate_version.to_string()),
        (EPOCH, &row.epoch.to_string()),
        (AGGREGATE_TYPE, &row.aggregate_type),
        (AGGREGATE_ID, &Id::from_uuid(row.aggregate_id).to_string()),
    ];
    for (name, value) in own {
        put(&mut headers, name, value);
    }
    headers
}

/// Sets a header; control characters become spaces, since they would break the protocol, and long values are cut.
pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let Ok(name) = name.parse::<HeaderName>() else { return };
    let clean: String =
        value.chars().take(VALUE_MAX).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if let Ok(value) = clean.parse::<HeaderValue>() {
        headers.insert(name, value);
    }
}

/// A header's value; empty when it is missing.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    name.parse::<HeaderName>().ok().and_then(|name| headers.get(name)).map_or("", HeaderValue::as_str)
}

impl Envelope {
    /// Reads the headers.
    ///
    /// # Errors
    /// The name of the header that is missing or malformed.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, &'static str> {
        let string = |name| text(headers, name).to_owned();
        Ok(Self {
            event_id: text(headers, ID).parse().map_err(|_| ID)?,
            kind: Some(string(KIND)).filter(|kind| !kind.is_empty()).ok_or(KIND)?,
            source: string(SOURCE),
            subject: string(SUBJECT),
            organization: OrganizationId(text(headers, ORGANIZATION).parse().map_err(|_| ORGANIZATION)?),
            aggregate_type: string(AGGREGATE_TYPE),
            aggregate_id: text(headers, AGGREGATE_ID).parse().map_err(|_| AGGREGATE_ID)?,
            version: text(headers, VERSION).parse().map_err(|_| VERSION)?,
            epoch: text(headers, EPOCH).parse().map_err(|_| EPOCH)?,
            actor: string(ACTOR),
            request_id: string(REQUEST_ID),
            traceparent: string(TRACEPARENT),
            time: OffsetDateTime::parse(text(headers, TIME), &Rfc3339).map_err(|_| TIME)?,
            schema: string(SCHEMA),
        })
    }

    /// As operators see it.
    pub(crate) fn render(&self) -> proto::events::v1::Envelope {
        proto::events::v1::Envelope {
            event_id: self.event_id.to_string(),
            r#type: self.kind.clone(),
            source: self.source.clone(),
            subject: self.subject.clone(),
            organization: self.organization.to_string(),
            aggregate_type: self.aggregate_type.clone(),
            aggregate_id: self.aggregate_id.to_string(),
            aggregate_version: self.version,
            epoch: self.epoch,
            actor: self.actor.clone(),
            request_id: self.request_id.clone(),
            traceparent: self.traceparent.clone(),
            create_time: Some(api::timestamp(self.time)),
        }
    }
}

#[cfg(test)]
mod tests;
