//! Clearing away what is too old, across organizations, in bounded steps. What still waits to be sent stays.
use api::OrganizationId;
use db::{Error, Tx};
use time::OffsetDateTime;

const STEPS: [&str; 3] = [
    "delete from inbox_items where (organization_id, user_id, sequence) in (
       select organization_id, user_id, sequence from inbox_items where create_time < $1 order by create_time limit $2)",
    "delete from deliveries where (organization_id, id) in (
       select organization_id, id from deliveries where state <> 1 and update_time < $1 order by update_time limit $2)",
    "delete from captured_mails where (organization_id, id) in (
       select organization_id, id from captured_mails where create_time < $1 order by create_time limit $2)",
];

/// Deletes at most so many rows of an organization from each table, and says whether there may be more; attempts and what waits to be
/// sent go with their deliveries.
pub(crate) async fn erase(tx: &Tx, organization: OrganizationId, most: i64) -> Result<bool, Error> {
    let mut more = false;
    for table in ["inbox_items", "inboxes", "deliveries", "captured_mails"] {
        let rows = format!("select ctid from {table} where organization_id = $1 limit $2");
        let sql = format!("delete from {table} where organization_id = $1 and ctid in ({rows})");
        let erased = tx.execute(&sql, &[&organization.uuid(), &most]).await?;
        more |= i64::try_from(erased).unwrap_or(i64::MAX) >= most;
    }
    Ok(more)
}

/// Clears away at most so many rows of each table; says whether there may be more.
pub(crate) async fn clear(tx: &Tx, before: OffsetDateTime, most: i64) -> Result<bool, Error> {
    let mut more = false;
    for step in STEPS {
        let cleared = tx.execute(step, &[&before, &most]).await?;
        more |= i64::try_from(cleared).unwrap_or(i64::MAX) >= most;
    }
    Ok(more)
}
