//! Documents as the index and access checks of other services see them.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use super::document::head_revision;
use crate::model::{Content, DocumentName, FolderName, Indexed, Shown, head_of, limit};

const ACCESS: &str = "select d.id, d.version, d.delete_time is not null as deleted, array(
       select principal from grants
       where organization_id = d.organization_id and document_id = d.id and (expire_time is null or expire_time > $3)
       order by principal
     ) as principals
     from documents d where d.organization_id = $1 and d.id = any($2)";
/// As many characters as the bytes that are wanted: never fewer bytes, so that Rust can cut between characters.
const FULL: &str = concat!(
    "select d.id, d.version, d.delete_time is not null as deleted, array(
       select principal from grants
       where organization_id = d.organization_id and document_id = d.id and (expire_time is null or expire_time > $3)
       order by principal
     ) as principals, d.title, d.folder_id, d.update_time, r.media_type, left(r.content, $4) as content
     from documents d",
    head_revision!(),
    "where d.organization_id = $1 and d.id = any($2)"
);

/// Version, state and principals of the documents that are there, in any order.
pub(crate) async fn access(
    tx: &Tx,
    organization: OrganizationId,
    ids: &[Id],
    now: OffsetDateTime,
) -> Result<Vec<Indexed>, Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(ACCESS, &[&organization.uuid(), &ids, &now]).await?;
    rows.iter().map(|row| indexed(organization, row)).collect()
}

/// As [`access`], with all that is searched.
pub(crate) async fn full(
    tx: &Tx,
    organization: OrganizationId,
    ids: &[Id],
    now: OffsetDateTime,
) -> Result<Vec<Indexed>, Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let characters = i32::try_from(limit::INDEX_BODY).unwrap_or(i32::MAX);
    let rows = tx.query(FULL, &[&organization.uuid(), &ids, &now, &characters]).await?;
    let read = |row: &Row| Ok(Indexed { shown: Some(shown(organization, row)?), ..indexed(organization, row)? });
    rows.iter().map(read).collect()
}

fn indexed(organization: OrganizationId, row: &Row) -> Result<Indexed, Error> {
    Ok(Indexed {
        name: DocumentName { organization, document: Id::from_uuid(row.try_get("id")?) },
        version: row.try_get("version")?,
        deleted: row.try_get("deleted")?,
        principals: row.try_get("principals")?,
        shown: None,
    })
}

fn shown(organization: OrganizationId, row: &Row) -> Result<Shown, Error> {
    let text = head_of(row.try_get("content")?, limit::INDEX_BODY).to_owned();
    Ok(Shown {
        title: row.try_get("title")?,
        content: Content { media_type: row.try_get("media_type")?, text },
        folder: FolderName { organization, folder: row.try_get::<_, Option<_>>("folder_id")?.map(Id::from_uuid) },
        update_time: row.try_get("update_time")?,
    })
}
