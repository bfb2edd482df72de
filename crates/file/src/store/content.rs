//! Which stored bytes belong to a row. For system transactions, which see every organization.
use api::Id;
use db::{Error, Tx};

/// Those of `ids` whose pieces an upload in progress still needs.
pub(crate) async fn in_progress(tx: &Tx, ids: &[Id]) -> Result<Vec<Id>, Error> {
    of(tx, "select content_id from uploads where content_id = any($1) and not complete", ids).await
}

/// Those of `ids` whose object a file has, or an upload will have.
pub(crate) async fn objects(tx: &Tx, ids: &[Id]) -> Result<Vec<Id>, Error> {
    let sql = "select content_id from uploads where content_id = any($1) and not complete \
               union select content_id from files where content_id = any($1) and purge_time is null";
    of(tx, sql, ids).await
}

async fn of(tx: &Tx, sql: &str, ids: &[Id]) -> Result<Vec<Id>, Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(sql, &[&ids]).await?;
    rows.iter().map(|row| Ok(Id::from_uuid(row.try_get("content_id")?))).collect()
}
