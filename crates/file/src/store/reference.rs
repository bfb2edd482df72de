//! Which documents a file is attached to.
use api::{Id, OrganizationId};
use db::{Error, Tx};

use crate::model::{DocumentName, FileName};

/// Replaces the files of a document; gives those that came or went.
pub(crate) async fn replace(tx: &Tx, document: DocumentName, files: &[Id]) -> Result<Vec<Id>, Error> {
    let (organization, id) = (document.organization.uuid(), document.document.uuid());
    let files: Vec<_> = files.iter().map(|file| file.uuid()).collect();
    let sql = "with gone as (delete from file_references where organization_id = $1 and document_id = $2 and file_id <> all($3) returning file_id), \
               came as (insert into file_references (organization_id, document_id, file_id) select $1, $2, file from unnest($3::uuid[]) as file \
               on conflict do nothing returning file_id) \
               select file_id from gone union select file_id from came order by file_id";
    let rows = tx.query(sql, &[&organization, &id, &files]).await?;
    rows.iter().map(|row| Ok(Id::from_uuid(row.try_get("file_id")?))).collect()
}

/// The files of a document.
pub(crate) async fn files(tx: &Tx, document: DocumentName) -> Result<Vec<Id>, Error> {
    let sql = "select file_id from file_references where organization_id = $1 and document_id = $2 order by file_id";
    let rows = tx.query(sql, &[&document.organization.uuid(), &document.document.uuid()]).await?;
    rows.iter().map(|row| Ok(Id::from_uuid(row.try_get("file_id")?))).collect()
}

/// At most `limit` documents of a file.
pub(crate) async fn documents(tx: &Tx, file: FileName, limit: usize) -> Result<Vec<DocumentName>, Error> {
    let pairs = documents_of_many(tx, file.organization, &[file.file], limit).await?;
    Ok(pairs.into_iter().map(|(_, document)| document).collect())
}

/// Documents of many files, at most `limit` for each.
pub(crate) async fn documents_of_many(
    tx: &Tx,
    organization: OrganizationId,
    files: &[Id],
    limit: usize,
) -> Result<Vec<(Id, DocumentName)>, Error> {
    let files: Vec<_> = files.iter().map(|file| file.uuid()).collect();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "select f.id, r.document_id from unnest($2::uuid[]) as f(id) join lateral \
               (select document_id from file_references where organization_id = $1 and file_id = f.id order by document_id limit $3) r on true";
    let rows = tx.query(sql, &[&organization.uuid(), &files, &limit]).await?;
    let pair = |row: &db::Row| {
        let document = DocumentName { organization, document: Id::from_uuid(row.try_get("document_id")?) };
        Ok((Id::from_uuid(row.try_get("id")?), document))
    };
    rows.iter().map(pair).collect()
}
