//! Uploads and their segments.
use api::{Id, UserId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use crate::{
    content::Segment,
    model::{Draft, Upload, UploadName},
};

const COLUMNS: &str = "organization_id, id, content_id, owner_id, length_bytes, offset_bytes, raw_metadata, display_name, media_type, complete, \
     create_time, expire_time";

/// What a writer holds.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The upload as it stood.
    pub(crate) upload: Upload,
    /// Only the holder of the newest fence moves the offset.
    pub(crate) fence: i64,
    /// All segments so far, the writer's own last.
    pub(crate) segments: Vec<Segment>,
}

/// Inserts an upload, unless one of this name is there.
pub(crate) async fn insert(tx: &Tx, upload: &Upload) -> Result<bool, Error> {
    let sql = "insert into uploads (organization_id, id, content_id, owner_id, length_bytes, raw_metadata, display_name, \
               media_type, create_time, expire_time) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";
    let draft = &upload.draft;
    let inserted = tx
        .execute(
            sql,
            &[
                &upload.name.organization.uuid(),
                &upload.name.upload.uuid(),
                &upload.content.uuid(),
                &upload.owner.uuid(),
                &draft.length,
                &draft.raw_metadata,
                &draft.display_name,
                &draft.media_type,
                &upload.create_time,
                &upload.expire_time,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Finds an upload.
pub(crate) async fn find(tx: &Tx, name: UploadName) -> Result<Option<Upload>, Error> {
    let sql = format!("select {COLUMNS} from uploads where organization_id = $1 and id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.upload.uuid()]).await?.map(|row| read(&row)).transpose()
}

/// Finds an upload and locks it.
pub(crate) async fn lock(tx: &Tx, name: UploadName) -> Result<Option<Upload>, Error> {
    let sql = format!("select {COLUMNS} from uploads where organization_id = $1 and id = $2 for update");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.upload.uuid()]).await?.map(|row| read(&row)).transpose()
}

/// Takes the lease for this process; `None` while another one holds it, and when there is nothing left to write. A process that
/// wrote last goes on with its segment, any other one begins its own under a new fence.
pub(crate) async fn take(
    tx: &Tx,
    name: UploadName,
    holder: Id,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Option<Lease>, Error> {
    let sql = format!(
        "update uploads set fence = case when holder = $3 then fence else fence + 1 end, holder = $3, lease_until = $5 \
         where organization_id = $1 and id = $2 and not complete and (holder is null or holder = $3 or lease_until <= $4) \
         returning {COLUMNS}, fence"
    );
    let (organization, id) = (name.organization.uuid(), name.upload.uuid());
    let row = tx.query_opt(&sql, &[&organization, &id, &holder.uuid(), &now, &until]).await?;
    let Some(row) = row else { return Ok(None) };
    let (upload, fence) = (read(&row)?, row.try_get::<_, i64>("fence")?);
    let sql = "insert into segments (organization_id, upload_id, fence, start_bytes) values ($1, $2, $3, $4) \
               on conflict do nothing";
    tx.execute(sql, &[&organization, &id, &fence, &upload.offset]).await?;
    let segments = segments(tx, name).await?;
    Ok(Some(Lease { upload, fence, segments }))
}

/// Keeps the lease until a later time; says whether it is still held.
pub(crate) async fn renew(tx: &Tx, lease: &Lease, until: OffsetDateTime) -> Result<bool, Error> {
    let sql =
        "update uploads set lease_until = $4 where organization_id = $1 and id = $2 and fence = $3 and not complete";
    let name = lease.upload.name;
    let (organization, id) = (name.organization.uuid(), name.upload.uuid());
    Ok(tx.execute(sql, &[&organization, &id, &lease.fence, &until]).await? == 1)
}

/// Lets go; gives the offset that counts if the lease was still held.
pub(crate) async fn release(tx: &Tx, lease: &Lease) -> Result<Option<i64>, Error> {
    let sql = "update uploads set lease_until = '-infinity' \
               where organization_id = $1 and id = $2 and fence = $3 and not complete returning offset_bytes";
    let name = lease.upload.name;
    let row = tx.query_opt(sql, &[&name.organization.uuid(), &name.upload.uuid(), &lease.fence]).await?;
    row.map(|row| Ok(row.try_get("offset_bytes")?)).transpose()
}

/// The segments in order.
pub(crate) async fn segments(tx: &Tx, name: UploadName) -> Result<Vec<Segment>, Error> {
    let sql = "select fence, start_bytes from segments where organization_id = $1 and upload_id = $2 order by fence";
    let rows = tx.query(sql, &[&name.organization.uuid(), &name.upload.uuid()]).await?;
    rows.iter().map(|row| Ok(Segment { fence: row.try_get("fence")?, start: row.try_get("start_bytes")? })).collect()
}

/// Moves the offset; says whether the fence is still the newest.
pub(crate) async fn advance(
    tx: &Tx,
    lease: &Lease,
    offset: i64,
    until: OffsetDateTime,
    expire: OffsetDateTime,
) -> Result<bool, Error> {
    let sql = "update uploads set offset_bytes = $4, lease_until = $5, expire_time = $6 \
               where organization_id = $1 and id = $2 and fence = $3 and not complete";
    let name = lease.upload.name;
    let changed = tx
        .execute(sql, &[&name.organization.uuid(), &name.upload.uuid(), &lease.fence, &offset, &until, &expire])
        .await?;
    Ok(changed == 1)
}

/// Marks an upload as complete; says whether the fence is still the newest.
pub(crate) async fn complete(tx: &Tx, lease: &Lease) -> Result<bool, Error> {
    let sql = "update uploads set complete = true, lease_until = '-infinity' \
               where organization_id = $1 and id = $2 and fence = $3 and not complete and offset_bytes = length_bytes";
    let name = lease.upload.name;
    Ok(tx.execute(sql, &[&name.organization.uuid(), &name.upload.uuid(), &lease.fence]).await? == 1)
}

/// Locks an upload that nobody writes and whose time is over.
pub(crate) async fn lock_expired(tx: &Tx, name: UploadName, now: OffsetDateTime) -> Result<bool, Error> {
    let sql = "select from uploads where organization_id = $1 and id = $2 and not complete and expire_time <= $3 \
               and lease_until <= $3 for update";
    Ok(tx.query_opt(sql, &[&name.organization.uuid(), &name.upload.uuid(), &now]).await?.is_some())
}

/// Deletes an upload with its segments.
pub(crate) async fn delete(tx: &Tx, name: UploadName) -> Result<(), Error> {
    let sql = "delete from uploads where organization_id = $1 and id = $2";
    tx.execute(sql, &[&name.organization.uuid(), &name.upload.uuid()]).await?;
    Ok(())
}

/// Uploads that expired or whose bytes are all there without a file, oldest first.
pub(crate) async fn due(tx: &Tx, now: OffsetDateTime, limit: i64) -> Result<Vec<(Upload, bool)>, Error> {
    let sql = format!(
        "select {COLUMNS}, expire_time <= $1 as expired from uploads \
         where not complete and lease_until <= $1 and (expire_time <= $1 or offset_bytes = length_bytes) order by expire_time limit $2"
    );
    let rows = tx.query(&sql, &[&now, &limit]).await?;
    rows.iter().map(|row| Ok((read(row)?, row.try_get("expired")?))).collect()
}

/// Forgets complete uploads that nobody asks for any more.
pub(crate) async fn forget(tx: &Tx, before: OffsetDateTime, limit: i64) -> Result<u64, Error> {
    let sql = "delete from uploads where (organization_id, id) in \
               (select organization_id, id from uploads where complete and expire_time <= $1 order by expire_time limit $2)";
    tx.execute(sql, &[&before, &limit]).await
}

fn read(row: &Row) -> Result<Upload, Error> {
    let organization = Id::from_uuid(row.try_get("organization_id")?).into();
    Ok(Upload {
        name: UploadName { organization, upload: Id::from_uuid(row.try_get("id")?) },
        content: Id::from_uuid(row.try_get("content_id")?),
        owner: UserId(Id::from_uuid(row.try_get("owner_id")?)),
        draft: Draft {
            length: row.try_get("length_bytes")?,
            raw_metadata: row.try_get("raw_metadata")?,
            display_name: row.try_get("display_name")?,
            media_type: row.try_get("media_type")?,
        },
        offset: row.try_get("offset_bytes")?,
        complete: row.try_get("complete")?,
        create_time: row.try_get("create_time")?,
        expire_time: row.try_get("expire_time")?,
    })
}
