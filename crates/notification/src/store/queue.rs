//! The queue of mails to send. Claiming one moves its time to the end of the lease; who does not come back loses it.
use api::{Id, OrganizationId};
use db::{Error, Tx};
use time::OffsetDateTime;

use crate::model::DeliveryName;

const CLAIM: &str = "with due as (
       select organization_id, delivery_id from delivery_queue where due_time <= $1
       order by due_time limit $2 for update skip locked
     )
     update delivery_queue q set due_time = $3 from due
     where q.organization_id = due.organization_id and q.delivery_id = due.delivery_id
     returning q.organization_id, q.delivery_id";
const POSTPONE: &str = "with work as (
       update delivery_queue set due_time = $3 where organization_id = $1 and delivery_id = any($2)
     )
     update deliveries set last_error = $4, update_time = $5 where organization_id = $1 and id = any($2) and state = 1";
const REMOVE: &str = "delete from delivery_queue where organization_id = $1 and delivery_id = $2";

/// Takes deliveries that are due, of any organization, until the lease ends.
pub(crate) async fn claim(
    tx: &Tx,
    now: OffsetDateTime,
    lease_end: OffsetDateTime,
    most: i64,
) -> Result<Vec<DeliveryName>, Error> {
    let rows = tx.query(CLAIM, &[&now, &most, &lease_end]).await?;
    let name = |row: &db::Row| {
        Ok(DeliveryName {
            organization: OrganizationId(Id::from_uuid(row.try_get(0)?)),
            delivery: Id::from_uuid(row.try_get(1)?),
        })
    };
    rows.iter().map(name).collect()
}

/// Puts off claimed deliveries of one organization, without an attempt.
pub(crate) async fn postpone(
    tx: &Tx,
    organization: OrganizationId,
    deliveries: &[Id],
    why: &str,
    now: OffsetDateTime,
    due: OffsetDateTime,
) -> Result<(), Error> {
    let ids: Vec<_> = deliveries.iter().map(|id| id.uuid()).collect();
    tx.execute(POSTPONE, &[&organization.uuid(), &ids, &due, &why, &now]).await.map(drop)
}

/// Takes a delivery off the queue.
pub(crate) async fn remove(tx: &Tx, name: DeliveryName) -> Result<(), Error> {
    tx.execute(REMOVE, &[&name.organization.uuid(), &name.delivery.uuid()]).await.map(drop)
}
