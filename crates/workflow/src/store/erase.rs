//! What an organization that is gone for good leaves behind.
use api::{Id, OrganizationId};
use db::{Error, Tx};
use uuid::Uuid;

use crate::model::RunName;

/// Some of the runs that are left, and whether each has yet to end.
pub(crate) async fn some(tx: &Tx, organization: OrganizationId, most: i64) -> Result<Vec<(RunName, bool)>, Error> {
    let sql = "select id, end_time is null from runs where organization_id = $1 order by id limit $2";
    let rows = tx.query(sql, &[&organization.uuid(), &most]).await?;
    let read = |row: &db::Row| Ok((RunName { organization, run: Id::from_uuid(row.try_get(0)?) }, row.try_get(1)?));
    rows.iter().map(read).collect()
}

/// Deletes runs with their tasks.
pub(crate) async fn forget(tx: &Tx, organization: OrganizationId, runs: &[Id]) -> Result<(), Error> {
    let runs: Vec<Uuid> = runs.iter().map(|run| run.uuid()).collect();
    for sql in [
        "delete from tasks where organization_id = $1 and run_id = any($2)",
        "delete from runs where organization_id = $1 and id = any($2)",
    ] {
        tx.execute(sql, &[&organization.uuid(), &runs]).await?;
    }
    Ok(())
}
