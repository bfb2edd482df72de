//! Publishing outbox rows, many at a time and yet in order per aggregate.
//!
//! Many rows ride in atomic batches, one after the other, each with one fsync of the broker. Few rows, rows for an older
//! server, and rows whose batch was refused go singly: rows of one aggregate form a chain, in which the next is sent only after
//! the broker acknowledged the one before, and chains run concurrently.
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage},
};
use bytes::Bytes;
use db::OutboxRow;
use futures::{StreamExt, stream};
use uuid::Uuid;

use crate::{Broker, Error, envelope, error::What, metrics, subject};

mod batch;

/// Publishes in flight at once.
const WINDOW: usize = 256;
/// After this time nothing more is begun: a claim must be finished within a minute, and a slow broker must not undo the round.
const ROUND_MAX: Duration = Duration::from_secs(20);

/// What became of a claim.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Acknowledged.
    pub(crate) sent: Vec<Uuid>,
    /// Refused or unanswered, with the reason. Rows behind them in their chain were not tried.
    pub(crate) failed: Vec<(Uuid, String)>,
    /// How many of `sent` the broker had already.
    pub(crate) duplicates: usize,
    /// The stream does not exist (any more).
    pub(crate) stream_missing: bool,
    /// The broker refused or did not answer; else every failure lies in its own row.
    pub(crate) blocked: bool,
}

impl Broker {
    /// Publishes rows that are ordered by aggregate and version, and waits for every acknowledgment.
    pub(crate) async fn publish_rows(&self, rows: &[OutboxRow]) -> Published {
        let begun = Instant::now();
        let mut total = Published::default();
        for part in rows.chunks(batch::BATCH) {
            // Batches follow one another, since an aggregate's rows may begin in one and end in the next.
            if total.blocked || !total.failed.is_empty() || begun.elapsed() > ROUND_MAX {
                break;
            }
            total = total.with(self.publish_part(part, begun).await);
        }
        total
    }

    async fn publish_part(&self, rows: &[OutboxRow], begun: Instant) -> Published {
        if self.suits_batch(rows) {
            match self.publish_batch(rows).await {
                Ok(()) => {
                    return Published { sent: rows.iter().map(|row| row.event_id).collect(), ..Published::default() };
                }
                Err(error) => metrics::batch_failed(&self.0.service, rows.len(), &error.to_string()),
            }
        }
        // One unanswered publish means that the others will not be answered either; they need not wait for it in turn.
        let broken = AtomicBool::new(false);
        let chains = rows.chunk_by(|left, right| left.aggregate_id == right.aggregate_id);
        let publishes: Vec<_> = chains.map(|chain| self.publish_chain(chain, &broken, begun)).collect();
        stream::iter(publishes)
            .buffer_unordered(WINDOW)
            .fold(Published::default(), |total, chain| async move { total.with(chain) })
            .await
    }

    async fn publish_chain(&self, chain: &[OutboxRow], broken: &AtomicBool, begun: Instant) -> Published {
        let mut published = Published::default();
        for row in chain {
            if broken.load(Ordering::Relaxed) || begun.elapsed() > ROUND_MAX {
                break;
            }
            match self.send(subject_of(self, row), envelope::headers(&self.0.service, row), row.payload.clone()).await {
                Ok(duplicate) => {
                    published.sent.push(row.event_id);
                    published.duplicates += usize::from(duplicate);
                }
                Err(refusal) => {
                    broken.fetch_or(refusal.kind == PublishErrorKind::TimedOut, Ordering::Relaxed);
                    published.stream_missing = refusal.kind == PublishErrorKind::StreamNotFound;
                    published.blocked = refusal.kind != PublishErrorKind::MaxPayloadExceeded;
                    published.failed.push((row.event_id, refusal.error.to_string()));
                    break;
                }
            }
        }
        published
    }

    /// Publishes one message and waits for its acknowledgment: true when the broker had its id already.
    pub(crate) async fn send(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<bool, Refusal> {
        let message = PublishMessage::build().headers(headers).payload(payload);
        let acknowledgment = self.0.jetstream.send_publish(subject, message).await.map_err(Refusal::from)?;
        acknowledgment.await.map(|acknowledgment| acknowledgment.duplicate).map_err(Refusal::from)
    }
}

/// Where a row is published.
fn subject_of(broker: &Broker, row: &OutboxRow) -> String {
    let organization = api::OrganizationId(api::Id::from_uuid(row.organization_id));
    subject::event(&broker.0.service, &row.kind, organization, row.lane)
}

impl Published {
    fn with(mut self, other: Self) -> Self {
        self.sent.extend(other.sent);
        self.failed.extend(other.failed);
        self.duplicates += other.duplicates;
        self.stream_missing |= other.stream_missing;
        self.blocked |= other.blocked;
        self
    }
}

/// Why a publish was not acknowledged.
pub(crate) struct Refusal {
    pub(crate) kind: PublishErrorKind,
    pub(crate) error: Error,
}

impl From<async_nats::jetstream::context::PublishError> for Refusal {
    fn from(error: async_nats::jetstream::context::PublishError) -> Self {
        let kind = error.kind();
        let error = Err::<(), _>(error).what("publish").expect_err("it is an error");
        Self { kind, error }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}
