//! Folders.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};

use crate::model::{Folder, FolderName, Window, key};

const GET: &str = "select id, parent_id, display_name, version, create_time, update_time
     from folders where organization_id = $1 and id = $2";
/// The row of the parent is locked against its deletion until the commit; the check constraint keeps the depth.
const INSERT: &str = "with parent as (
       select depth from folders where organization_id = $1 and id = $3 for key share
     )
     insert into folders (organization_id, id, parent_id, display_name, name_key, depth, version, create_time, update_time)
     select $1::uuid, $2::uuid, $3::uuid, $4::text, $5::text,
       case when $3::uuid is null then 1 else (select depth + 1 from parent) end, $6::bigint, $7::timestamptz, $7::timestamptz
     where $3::uuid is null or exists (select from parent)";
const LIST: &str = "select id, parent_id, display_name, version, create_time, update_time
     from folders where organization_id = $1 and parent_id is not distinct from $2 and name_key > $3
     order by name_key limit $4";
const HOLD: &str = "select from folders where organization_id = $1 and id = $2 for key share";
const LOCK: &str = "select id, parent_id, display_name, version, create_time, update_time
     from folders where organization_id = $1 and id = $2 for update";
const IN_USE: &str =
    "select exists (select from documents where organization_id = $1 and folder_id = $2 and delete_time is null)
     or exists (select from folders where organization_id = $1 and parent_id = $2)";
const DELETE: &str = "delete from folders where organization_id = $1 and id = $2";

/// One folder that is not the root.
pub(crate) async fn get(tx: &Tx, organization: OrganizationId, id: Id) -> Result<Option<Folder>, Error> {
    let row = tx.query_opt(GET, &[&organization.uuid(), &id.uuid()]).await?;
    row.map(|row| folder(organization, &row)).transpose()
}

/// Inserts a folder; says whether its parent exists. Fails on `folders_pkey`, `folders_name` and `folders_depth`.
pub(crate) async fn insert(tx: &Tx, organization: OrganizationId, id: Id, folder: &Folder) -> Result<bool, Error> {
    let inserted = tx
        .execute(
            INSERT,
            &[
                &organization.uuid(),
                &id.uuid(),
                &folder.parent.and_then(|parent| parent.folder).map(Id::uuid),
                &folder.display_name,
                &key(&folder.display_name),
                &folder.version,
                &folder.create_time,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The folders directly in a folder, in the order of their names.
pub(crate) async fn list(tx: &Tx, parent: FolderName, window: &Window<String>) -> Result<Vec<Folder>, Error> {
    let after = window.after.as_deref().unwrap_or_default();
    let organization = parent.organization;
    let rows = tx.query(LIST, &[&organization.uuid(), &parent.folder.map(Id::uuid), &after, &window.rows()]).await?;
    rows.iter().map(|row| folder(organization, row)).collect()
}

/// Keeps a folder until the end of the transaction; says whether it exists.
pub(crate) async fn hold(tx: &Tx, organization: OrganizationId, id: Id) -> Result<bool, Error> {
    Ok(tx.execute(HOLD, &[&organization.uuid(), &id.uuid()]).await? == 1)
}

/// As [`get`], with the folder locked against whoever would put something into it.
pub(crate) async fn lock(tx: &Tx, organization: OrganizationId, id: Id) -> Result<Option<Folder>, Error> {
    let row = tx.query_opt(LOCK, &[&organization.uuid(), &id.uuid()]).await?;
    row.map(|row| folder(organization, &row)).transpose()
}

/// Something that is not in the trash lies in a locked folder.
pub(crate) async fn is_in_use(tx: &Tx, organization: OrganizationId, id: Id) -> Result<bool, Error> {
    Ok(tx.query_one(IN_USE, &[&organization.uuid(), &id.uuid()]).await?.try_get(0)?)
}

/// Deletes a locked folder.
pub(crate) async fn delete(tx: &Tx, organization: OrganizationId, id: Id) -> Result<(), Error> {
    tx.execute(DELETE, &[&organization.uuid(), &id.uuid()]).await.map(drop)
}

fn folder(organization: OrganizationId, row: &Row) -> Result<Folder, Error> {
    let parent = row.try_get::<_, Option<_>>("parent_id")?.map(Id::from_uuid);
    Ok(Folder {
        name: FolderName { organization, folder: Some(Id::from_uuid(row.try_get("id")?)) },
        parent: Some(FolderName { organization, folder: parent }),
        display_name: row.try_get("display_name")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}
