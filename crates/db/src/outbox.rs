//! The outbox: events written in the transaction of their change, and the relay's way to them.
//!
//! What must hold: an event is stored if and only if its change is; a row is marked sent only after the broker acknowledged
//! it; one relay at a time takes rows of a schema, so version n+1 of an aggregate is never taken while n is in flight.
use std::collections::BTreeMap;

use api::{CallContext, Id, OrganizationId};
use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

use crate::{Db, Error, Tx, pipeline::Write};

/// Most events of one transaction.
pub(crate) const EVENTS_MAX: usize = 5_000;
/// Most bytes of one event. Events are thin; the broker takes 1 MiB.
const PAYLOAD_MAX: usize = 256 << 10;
/// Rows of one insert.
const CHUNK: usize = 500;
/// Unsent rows counted at most: above it, the number does not matter any more.
const COUNT_MAX: i64 = 100_000;
/// Characters kept of a publish error.
const ERROR_MAX: usize = 500;

const INSERT: &str = "insert into outbox_event (event_id, lane, organization_id, aggregate_type, aggregate_id, epoch, \
     aggregate_version, type, payload, headers) \
     select e.event_id, e.lane, e.organization_id, e.aggregate_type, e.aggregate_id, (select value from epoch), \
       e.aggregate_version, e.type, e.payload, e.headers \
     from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::uuid[], $6::bigint[], $7::text[], $8::bytea[], $9::jsonb[]) \
       as e (event_id, lane, organization_id, aggregate_type, aggregate_id, aggregate_version, type, payload, headers)";
const LOCK: &str = "select pg_try_advisory_xact_lock(hashtext('workos.outbox'), hashtext(current_schema()))";
const CLAIM: &str = "select event_id, lane, organization_id, aggregate_type, aggregate_id, epoch, aggregate_version, type, payload, \
       headers, created_at, attempts \
     from outbox_event where sent_at is null and lane >= $1 \
     order by lane, aggregate_id, epoch, aggregate_version, event_id limit $2 for update skip locked";
const SENT: &str = "update outbox_event set sent_at = clock_timestamp(), attempts = attempts + 1, last_error = null where event_id = any($1)";
const FAILED: &str = "update outbox_event o set attempts = attempts + 1, last_error = f.error \
     from unnest($1::uuid[], $2::text[]) as f (event_id, error) where o.event_id = f.event_id";
const BACKLOG: &str = "select (select count(*) from (select from outbox_event where sent_at is null limit $1) as unsent), \
     (select created_at from outbox_event where sent_at is null order by created_at limit 1)";
const REQUEUE: &str = "update outbox_event set sent_at = null, attempts = 0, last_error = null \
     where sent_at is not null and created_at >= $1 and (cardinality($2::text[]) = 0 or type = any($2))";

/// An event that waits for the commit.
pub(crate) struct NewEvent {
    id: Uuid,
    organization: Uuid,
    aggregate: (&'static str, Uuid),
    version: i64,
    kind: &'static str,
    payload: Vec<u8>,
    headers: Value,
}

impl NewEvent {
    pub(crate) fn of<E: proto::Event>(
        event: &E,
        id: Id,
        organization: OrganizationId,
        (aggregate, version): (Id, i64),
        context: &CallContext,
    ) -> Result<Self, Error> {
        let payload = event.encode_to_vec();
        if payload.len() > PAYLOAD_MAX {
            return Err(Error::internal(format!(
                "event {} has {} bytes, at most {PAYLOAD_MAX} are allowed",
                E::TYPE,
                payload.len()
            )));
        }
        Ok(Self {
            id: id.uuid(),
            organization: organization.uuid(),
            aggregate: (E::AGGREGATE, aggregate.uuid()),
            version,
            kind: E::TYPE,
            payload,
            headers: headers(event.subject(), &E::full_name(), context),
        })
    }
}

/// Headers under the names that the broker carries (events.md, section 3); empty ones are left out.
fn headers(subject: &str, schema: &str, context: &CallContext) -> Value {
    let pairs = [
        ("ce-subject", subject),
        ("ce-dataschema", schema),
        ("workos-actor", context.actor.as_str()),
        ("x-request-id", context.request_id.as_str()),
        ("traceparent", context.traceparent.as_str()),
    ];
    let filled = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(filled.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>())
}

/// Lane of an aggregate: the low bits of its id, which are random in UUIDv7 and a hash in UUIDv5.
fn lane(aggregate: Uuid) -> i16 {
    i16::from(aggregate.as_bytes()[15] & 63)
}

/// The inserts of a transaction's events.
pub(crate) fn insert_all(events: Vec<NewEvent>) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut rest = events.into_iter().peekable();
    while rest.peek().is_some() {
        let chunk: Vec<_> = rest.by_ref().take(CHUNK).collect();
        writes.push(insert(chunk));
    }
    writes
}

fn insert(events: Vec<NewEvent>) -> Write {
    let column = |of: fn(&NewEvent) -> Uuid| events.iter().map(of).collect::<Vec<_>>();
    let (ids, organizations, aggregates) = (column(|e| e.id), column(|e| e.organization), column(|e| e.aggregate.1));
    let lanes: Vec<i16> = aggregates.iter().map(|id| lane(*id)).collect();
    let kinds_of_aggregate: Vec<&'static str> = events.iter().map(|e| e.aggregate.0).collect();
    let versions: Vec<i64> = events.iter().map(|e| e.version).collect();
    let kinds: Vec<&'static str> = events.iter().map(|e| e.kind).collect();
    let (payloads, headers): (Vec<Vec<u8>>, Vec<Value>) = events.into_iter().map(|e| (e.payload, e.headers)).unzip();
    Write {
        sql: INSERT,
        params: vec![
            Box::new(ids),
            Box::new(lanes),
            Box::new(organizations),
            Box::new(kinds_of_aggregate),
            Box::new(aggregates),
            Box::new(versions),
            Box::new(kinds),
            Box::new(payloads),
            Box::new(headers),
        ],
    }
}

/// The relay's access to the outbox of one service.
#[derive(Clone)]
pub struct Outbox {
    db: Db,
    context: CallContext,
}

/// An unsent event.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Event id (UUIDv7).
    pub event_id: Uuid,
    /// Lane, 0 to 63: all events of an aggregate have the same.
    pub lane: i16,
    /// Organization; all-zero where there is none.
    pub organization_id: Uuid,
    /// Type of the aggregate.
    pub aggregate_type: String,
    /// Id of the aggregate.
    pub aggregate_id: Uuid,
    /// Epoch in which it was written.
    pub epoch: i32,
    /// Version of the aggregate after the change.
    pub aggregate_version: i64,
    /// Event type, `aggregate.happened`.
    pub kind: String,
    /// The encoded message.
    pub payload: Bytes,
    /// Headers under the names that the broker carries.
    pub headers: BTreeMap<String, String>,
    /// When it was written.
    pub created_at: OffsetDateTime,
    /// How often publishing failed.
    pub attempts: i32,
}

/// How far the relay is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Unsent rows; 100,000 stands for that many or more.
    pub unsent: i64,
    /// When the oldest of them was written.
    pub oldest: Option<OffsetDateTime>,
}

/// Unsent rows, locked until [`Claim::finish`] or drop.
pub struct Claim {
    tx: Tx,
    rows: Vec<OutboxRow>,
}

impl Outbox {
    pub(crate) fn new(db: Db) -> Self {
        let context = CallContext {
            method: "outbox relay".to_owned(),
            actor: "workloads/relay".to_owned(),
            ..CallContext::default()
        };
        Self { db, context }
    }

    /// Takes up to `limit` unsent rows of the lanes from `first_lane` on, ordered by lane, aggregate, epoch and version.
    /// `None` while another relay holds this schema's outbox. The claim must be finished within 60 s.
    ///
    /// # Errors
    /// Those of [`crate::Kind`].
    pub async fn claim(&self, limit: i64, first_lane: i16) -> Result<Option<Claim>, Error> {
        let tx = self.db.relay(&self.context).await?;
        if !tx.query_one(LOCK, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let rows = tx.query(CLAIM, &[&first_lane, &limit]).await?;
        let rows = rows.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Some(Claim { tx, rows }))
    }

    /// How far the relay is behind. Cheap also when much is unsent.
    ///
    /// # Errors
    /// Those of [`crate::Kind`].
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let tx = self.db.relay(&self.context).await?;
        let row = tx.query_one(BACKLOG, &[&COUNT_MAX]).await?;
        let backlog = Backlog { unsent: row.try_get(0)?, oldest: row.try_get(1)? };
        self.db.observe(&backlog);
        Ok(backlog)
    }

    /// Marks rows that were sent as unsent again, so that a broker that lost them is refilled: those written since `since`,
    /// of these types (all when empty). Reaches as far back as sent rows are kept, 24 h. Gives their number.
    ///
    /// # Errors
    /// Those of [`crate::Kind`].
    pub async fn requeue(&self, since: OffsetDateTime, types: &[String]) -> Result<u64, Error> {
        let tx = self.db.system("requeue sent events", &self.context).await?;
        let count = tx.execute(REQUEUE, &[&since, &types]).await?;
        tx.commit().await?;
        self.db.outbox_notify().notify_one();
        Ok(count)
    }
}

impl Claim {
    /// The rows, in the order in which they must be sent.
    #[must_use]
    pub fn rows(&self) -> &[OutboxRow] {
        &self.rows
    }

    /// Marks what the broker acknowledged, notes what failed and why, and releases all.
    ///
    /// # Errors
    /// Those of [`crate::Kind`]; then nothing is marked and the rows will be sent again under their ids.
    pub async fn finish(self, sent: &[Uuid], failed: &[(Uuid, String)]) -> Result<(), Error> {
        if !sent.is_empty() {
            self.tx.pending().writes.push(Write { sql: SENT, params: vec![Box::new(sent.to_vec())] });
        }
        if !failed.is_empty() {
            let (ids, errors): (Vec<Uuid>, Vec<String>) = failed
                .iter()
                .map(|(id, error)| (*id, error.chars().filter(|letter| *letter != '\0').take(ERROR_MAX).collect()))
                .unzip();
            self.tx.pending().writes.push(Write { sql: FAILED, params: vec![Box::new(ids), Box::new(errors)] });
        }
        self.tx.commit().await
    }
}

fn row(row: &Row) -> Result<OutboxRow, Error> {
    let Json(headers) = row.try_get(9)?;
    Ok(OutboxRow {
        event_id: row.try_get(0)?,
        lane: row.try_get(1)?,
        organization_id: row.try_get(2)?,
        aggregate_type: row.try_get(3)?,
        aggregate_id: row.try_get(4)?,
        epoch: row.try_get(5)?,
        aggregate_version: row.try_get(6)?,
        kind: row.try_get(7)?,
        payload: Bytes::from(row.try_get::<_, Vec<u8>>(8)?),
        headers,
        created_at: row.try_get(10)?,
        attempts: row.try_get(11)?,
    })
}
