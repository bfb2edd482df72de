//! What an organization that is gone for good leaves behind.
use api::{Id, OrganizationId};
use db::{Error, Tx};
use time::OffsetDateTime;

use crate::model::DocumentName;

/// Moves documents to the trash, their time there over; gives them with their versions.
pub(crate) async fn trash(
    tx: &Tx,
    organization: OrganizationId,
    now: OffsetDateTime,
    most: i64,
) -> Result<Vec<(DocumentName, i64)>, Error> {
    let sql = "update documents set delete_time = $2, purge_time = $2, update_time = $2, version = version + 1 \
         where organization_id = $1 and id in ( \
           select id from documents where organization_id = $1 and delete_time is null order by id limit $3 for update \
         ) returning id, version";
    let rows = tx.query(sql, &[&organization.uuid(), &now, &most]).await?;
    let read = |row: &db::Row| {
        Ok((DocumentName { organization, document: Id::from_uuid(row.try_get("id")?) }, row.try_get("version")?))
    };
    rows.iter().map(read).collect()
}

/// What lies in the trash has no time left there; folders are gone.
pub(crate) async fn rest(tx: &Tx, organization: OrganizationId, now: OffsetDateTime) -> Result<(), Error> {
    let sql = "update documents set purge_time = $2 where organization_id = $1 and purge_time > $2";
    tx.execute(sql, &[&organization.uuid(), &now]).await?;
    tx.execute("delete from folders where organization_id = $1", &[&organization.uuid()]).await.map(drop)
}
