//! Deliveries and their attempts. A delivery changes only while its row is locked.
use api::{Id, OrganizationId, UserId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use super::before;
use crate::model::{Category, Delivery, DeliveryName, DeliveryState, Job, Notice, Verdict, Window};

/// A new delivery is queued in the same statement.
const INSERT: &str = "with delivery as (
       insert into deliveries (organization_id, id, event_id, user_id, category, title, subject, message_id, state, tries_left,
         create_time, update_time)
       values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $10)
     )
     insert into delivery_queue (organization_id, delivery_id, due_time) values ($1, $2, $10)";
const LOCK: &str = "select d.category, d.state, d.title, d.subject, d.message_id, d.attempts, d.tries_left, d.version,
       exists (
         select from attempts a
         where a.organization_id = d.organization_id and a.delivery_id = d.id and a.number = d.attempts and a.class = 1
       ) as is_open
     from deliveries d where d.organization_id = $1 and d.id = $2 for update of d";
const RECIPIENTS: &str = "select id, user_id from deliveries where organization_id = $1 and id = any($2) and state = 1";
const BEGIN: &str = "with attempt as (
       insert into attempts (organization_id, delivery_id, number, class, start_time) values ($1, $2, $3, 1, $4)
     )
     update deliveries set attempts = $3, tries_left = tries_left - 1, update_time = $4
     where organization_id = $1 and id = $2";
const END: &str = "update attempts set class = $4, detail = $5, end_time = $6
     where organization_id = $1 and delivery_id = $2 and number = $3 and class = 1";
const REST: &str = "with work as (
       delete from delivery_queue where organization_id = $1 and delivery_id = $2
     )
     update deliveries set state = $3, last_error = $4, version = $5, update_time = $6
     where organization_id = $1 and id = $2";
const RETRY: &str = "with work as (
       update delivery_queue set due_time = $5 where organization_id = $1 and delivery_id = $2
     )
     update deliveries set last_error = $3, update_time = $4 where organization_id = $1 and id = $2";
const LIST: &str = "select id, user_id, category, state, attempts, last_error, create_time, update_time from deliveries
     where organization_id = $1 and id < $2 order by id desc limit $3";
const LIST_STATE: &str =
    "select id, user_id, category, state, attempts, last_error, create_time, update_time from deliveries
     where organization_id = $1 and id < $2 and state = $4 order by id desc limit $3";
const MISSING: &str = "select wanted.id from unnest($2::uuid[]) as wanted (id) where not exists (
       select from deliveries d where d.organization_id = $1 and d.id = wanted.id
     ) limit 1";
/// An organization that names none means all of its dead deliveries.
const REDRIVE: &str = "with redriven as (
       update deliveries set state = 1, tries_left = 1, update_time = $3
       where organization_id = $1 and state = 4 and ($2::uuid[] is null or id = any($2))
       returning id
     )
     insert into delivery_queue (organization_id, delivery_id, due_time) select $1, id, $3 from redriven";

/// Queues the mail of a notice, due at once.
pub(crate) async fn insert(
    tx: &Tx,
    (name, message_id): (DeliveryName, &str),
    event: Id,
    notice: &Notice,
    tries: i16,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (organization, id) = (name.organization.uuid(), name.delivery.uuid());
    let (event, user, category) = (event.uuid(), notice.recipient.uuid(), notice.category.as_str());
    let params: [&(dyn db::ToSql + Sync); 10] =
        [&organization, &id, &event, &user, &category, &notice.title, &notice.subject, &message_id, &tries, &now];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Recipients of those deliveries of one organization that wait.
pub(crate) async fn recipients(
    tx: &Tx,
    organization: OrganizationId,
    deliveries: &[Id],
) -> Result<Vec<(Id, UserId)>, Error> {
    let ids: Vec<_> = deliveries.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(RECIPIENTS, &[&organization.uuid(), &ids]).await?;
    rows.iter().map(|row| Ok((Id::from_uuid(row.try_get(0)?), UserId(Id::from_uuid(row.try_get(1)?))))).collect()
}

/// Locks a delivery until the end of the transaction.
pub(crate) async fn lock(tx: &Tx, name: DeliveryName) -> Result<Option<Job>, Error> {
    let row = tx.query_opt(LOCK, &[&name.organization.uuid(), &name.delivery.uuid()]).await?;
    row.map(|row| job(name, &row)).transpose()
}

/// Puts an attempt on record of which nothing more is known; gives its number.
pub(crate) async fn begin_attempt(tx: &Tx, job: &Job, now: OffsetDateTime) -> Result<i32, Error> {
    let number = job.attempts + 1;
    let (organization, id) = (job.name.organization.uuid(), job.name.delivery.uuid());
    tx.execute(BEGIN, &[&organization, &id, &number, &now]).await.map(|_| number)
}

/// Records how an attempt ended; says whether that was still open.
pub(crate) async fn end_attempt(
    tx: &Tx,
    name: DeliveryName,
    number: i32,
    verdict: &Verdict,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let (organization, id, class) = (name.organization.uuid(), name.delivery.uuid(), verdict.class.number());
    let ended = tx.execute(END, &[&organization, &id, &number, &class, &verdict.detail, &now]).await?;
    Ok(ended == 1)
}

/// Brings a locked delivery to rest and takes it off the queue.
pub(crate) async fn rest(
    tx: &Tx,
    name: DeliveryName,
    state: DeliveryState,
    error: &str,
    version: i64,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (organization, id) = (name.organization.uuid(), name.delivery.uuid());
    tx.execute(REST, &[&organization, &id, &state.number(), &error, &version, &now]).await.map(drop)
}

/// Leaves a locked delivery for another attempt.
pub(crate) async fn retry(
    tx: &Tx,
    name: DeliveryName,
    error: &str,
    now: OffsetDateTime,
    due: OffsetDateTime,
) -> Result<(), Error> {
    let (organization, id) = (name.organization.uuid(), name.delivery.uuid());
    tx.execute(RETRY, &[&organization, &id, &error, &now, &due]).await.map(drop)
}

/// Lists deliveries, newest first.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    state: Option<DeliveryState>,
    window: &Window<Id>,
) -> Result<Vec<Delivery>, Error> {
    let (before, rows) = (before(window), window.rows());
    let rows = match state.map(DeliveryState::number) {
        None => tx.query(LIST, &[&organization.uuid(), &before, &rows]).await?,
        Some(state) => tx.query(LIST_STATE, &[&organization.uuid(), &before, &rows, &state]).await?,
    };
    rows.iter().map(|row| delivery(organization, row)).collect()
}

/// One of these deliveries that does not exist.
pub(crate) async fn missing(tx: &Tx, organization: OrganizationId, deliveries: &[Id]) -> Result<Option<Id>, Error> {
    let ids: Vec<_> = deliveries.iter().map(|id| id.uuid()).collect();
    let row = tx.query_opt(MISSING, &[&organization.uuid(), &ids]).await?;
    row.map(|row| Ok(Id::from_uuid(row.try_get(0)?))).transpose()
}

/// Queues dead deliveries for one more attempt; says how many.
pub(crate) async fn redrive(
    tx: &Tx,
    organization: OrganizationId,
    deliveries: Option<&[Id]>,
    now: OffsetDateTime,
) -> Result<u64, Error> {
    let ids: Option<Vec<_>> = deliveries.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    tx.execute(REDRIVE, &[&organization.uuid(), &ids, &now]).await
}

fn delivery(organization: OrganizationId, row: &Row) -> Result<Delivery, Error> {
    Ok(Delivery {
        name: DeliveryName { organization, delivery: Id::from_uuid(row.try_get("id")?) },
        recipient: UserId(Id::from_uuid(row.try_get("user_id")?)),
        category: row.try_get("category")?,
        state: state(row)?,
        attempts: row.try_get("attempts")?,
        last_error: row.try_get("last_error")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

fn job(name: DeliveryName, row: &Row) -> Result<Job, Error> {
    let category: String = row.try_get("category")?;
    Ok(Job {
        name,
        category: Category::parse(&category).ok_or_else(unknown)?,
        state: state(row)?,
        title: row.try_get("title")?,
        subject: row.try_get("subject")?,
        message_id: row.try_get("message_id")?,
        attempts: row.try_get("attempts")?,
        tries_left: row.try_get("tries_left")?,
        version: row.try_get("version")?,
        is_open: row.try_get("is_open")?,
    })
}

fn state(row: &Row) -> Result<DeliveryState, Error> {
    DeliveryState::of_number(row.try_get("state")?).ok_or_else(unknown)
}

/// A row of a newer version of this service.
fn unknown() -> Error {
    api::Error::fault("a delivery is of a kind that this version does not know").into()
}
