//! What an organization that is gone for good leaves behind.
use api::{Id, OrganizationId};
use db::{Error, Tx};
use time::OffsetDateTime;

use crate::model::FileName;

/// Deletes files, and their names; gives them with their versions.
pub(crate) async fn files(
    tx: &Tx,
    organization: OrganizationId,
    now: OffsetDateTime,
    most: i64,
) -> Result<Vec<(FileName, i64)>, Error> {
    let sql = "update files set delete_time = $2, update_time = $2, version = version + 1 \
         where organization_id = $1 and id in ( \
           select id from files where organization_id = $1 and delete_time is null order by id limit $3 for update \
         ) returning id, version";
    let rows = tx.query(sql, &[&organization.uuid(), &now, &most]).await?;
    let read = |row: &db::Row| {
        Ok((FileName { organization, file: Id::from_uuid(row.try_get("id")?) }, row.try_get("version")?))
    };
    rows.iter().map(read).collect()
}

/// Takes the names of at most so many deleted files, and at most so many references and uploads; says whether there may be more.
pub(crate) async fn rest(tx: &Tx, organization: OrganizationId, most: i64) -> Result<bool, Error> {
    const STEPS: [&str; 3] = [
        "update files set display_name = '' where organization_id = $1 and id in (
           select id from files where organization_id = $1 and display_name <> '' limit $2)",
        "delete from file_references where organization_id = $1 and ctid in (
           select ctid from file_references where organization_id = $1 limit $2)",
        "delete from uploads where organization_id = $1 and ctid in (
           select ctid from uploads where organization_id = $1 limit $2)",
    ];
    let mut more = false;
    for step in STEPS {
        let done = tx.execute(step, &[&organization.uuid(), &most]).await?;
        more |= i64::try_from(done).unwrap_or(i64::MAX) >= most;
    }
    Ok(more)
}
