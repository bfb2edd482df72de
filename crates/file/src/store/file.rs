//! Files.
use api::{Id, OrganizationId, UserId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use crate::model::{File, FileName, Position};

const COLUMNS: &str = "organization_id, id, content_id, owner_id, display_name, media_type, size_bytes, sha256, version, create_time, update_time, delete_time";

/// Inserts a file.
pub(crate) async fn insert(tx: &Tx, file: &File) -> Result<(), Error> {
    let sql = "insert into files (organization_id, id, owner_id, display_name, media_type, size_bytes, sha256, version, create_time, update_time, content_id) \
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)";
    tx.execute(
        sql,
        &[
            &file.name.organization.uuid(),
            &file.name.file.uuid(),
            &file.owner.uuid(),
            &file.display_name,
            &file.media_type,
            &file.size,
            &file.sha256.as_slice(),
            &file.version,
            &file.create_time,
            &file.content.uuid(),
        ],
    )
    .await?;
    Ok(())
}

/// Finds a file, deleted ones too.
pub(crate) async fn find(tx: &Tx, name: FileName) -> Result<Option<File>, Error> {
    let sql = format!("select {COLUMNS} from files where organization_id = $1 and id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.file.uuid()]).await?.map(|row| read(&row)).transpose()
}

/// Finds a file and locks it.
pub(crate) async fn lock(tx: &Tx, name: FileName) -> Result<Option<File>, Error> {
    let sql = format!("select {COLUMNS} from files where organization_id = $1 and id = $2 for update");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.file.uuid()]).await?.map(|row| read(&row)).transpose()
}

/// Finds many files of one organization.
pub(crate) async fn find_many(tx: &Tx, organization: OrganizationId, ids: &[Id]) -> Result<Vec<File>, Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let sql = format!("select {COLUMNS} from files where organization_id = $1 and id = any($2)");
    let rows = tx.query(&sql, &[&organization.uuid(), &ids]).await?;
    rows.iter().map(read).collect()
}

/// Lists files that are not deleted, newest first; `owner` keeps to one user's own.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    owner: Option<UserId>,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<File>, Error> {
    let owner = owner.map(UserId::uuid);
    let (micros, id) = after.map_or((None, None), |after| (Some(after.create_micros), Some(after.id.uuid())));
    let sql = format!(
        "select {COLUMNS} from files where organization_id = $1 and delete_time is null and ($2::uuid is null or owner_id = $2) \
         and ($3::bigint is null or (create_time, id) < ('epoch'::timestamptz + $3 * interval '1 microsecond', $4::uuid)) \
         order by create_time desc, id desc limit $5"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx.query(&sql, &[&organization.uuid(), &owner, &micros, &id, &limit]).await?;
    rows.iter().map(read).collect()
}

/// Saves version, times and deletion.
pub(crate) async fn save(tx: &Tx, file: &File) -> Result<(), Error> {
    let sql =
        "update files set version = $3, update_time = $4, delete_time = $5 where organization_id = $1 and id = $2";
    tx.execute(
        sql,
        &[&file.name.organization.uuid(), &file.name.file.uuid(), &file.version, &file.update_time, &file.delete_time],
    )
    .await?;
    Ok(())
}

/// Files that were deleted before a time and whose bytes are still there, oldest first.
pub(crate) async fn released(tx: &Tx, before: OffsetDateTime, limit: i64) -> Result<Vec<File>, Error> {
    let sql = format!(
        "select {COLUMNS} from files where delete_time <= $1 and purge_time is null order by delete_time limit $2"
    );
    tx.query(&sql, &[&before, &limit]).await?.iter().map(read).collect()
}

/// Notes that the bytes of a deleted file are gone. Its name goes with them; the id stays taken.
pub(crate) async fn purged(tx: &Tx, name: FileName, now: OffsetDateTime) -> Result<(), Error> {
    let sql = "update files set purge_time = $3, display_name = '' \
               where organization_id = $1 and id = $2 and delete_time is not null";
    tx.execute(sql, &[&name.organization.uuid(), &name.file.uuid(), &now]).await?;
    Ok(())
}

fn read(row: &Row) -> Result<File, Error> {
    let organization = Id::from_uuid(row.try_get("organization_id")?).into();
    let sha256: &[u8] = row.try_get("sha256")?;
    Ok(File {
        name: FileName { organization, file: Id::from_uuid(row.try_get("id")?) },
        content: Id::from_uuid(row.try_get("content_id")?),
        owner: UserId(Id::from_uuid(row.try_get("owner_id")?)),
        display_name: row.try_get("display_name")?,
        media_type: row.try_get("media_type")?,
        size: row.try_get("size_bytes")?,
        sha256: sha256.try_into().unwrap_or_default(),
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
        delete_time: row.try_get("delete_time")?,
    })
}
