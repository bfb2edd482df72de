//! What time has ended: documents whose time in the trash is over, and grants.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use crate::model::DocumentName;

const TO_PURGE: &str = "select organization_id, id from documents where purge_time <= $1 order by purge_time limit $2";
const WITH_ENDED_GRANTS: &str = "select distinct organization_id, document_id as id from (
       select organization_id, document_id from grants where expire_time <= $1 order by expire_time limit $2
     ) ended";
/// Revisions and grants go with the document. One that had files or grants publishes a last event, so its last version is one higher.
const PURGE: &str = "with purged as (
       delete from documents where organization_id = $1 and id = $2 and purge_time <= $3
       returning organization_id, id, version, cardinality(files) > 0 or exists (
         select from grants g where g.organization_id = documents.organization_id and g.document_id = documents.id
       ) as referred
     )
     insert into purged_documents (organization_id, id, version)
     select organization_id, id, case when referred then version + 1 else version end from purged
     on conflict (organization_id, id) do update set version = excluded.version
     returning version, (select referred from purged) as referred";
const NEXT_VERSION: &str =
    "update documents set version = version + 1 where organization_id = $1 and id = $2 returning version, title";
const END_GRANTS: &str =
    "delete from grants where organization_id = $1 and document_id = $2 and expire_time <= $3 returning principal";

/// Documents whose time in the trash is over. Needs a system transaction.
pub(crate) async fn to_purge(tx: &Tx, now: OffsetDateTime, most: i64) -> Result<Vec<DocumentName>, Error> {
    tx.query(TO_PURGE, &[&now, &most]).await?.iter().map(name).collect()
}

/// Documents with grants that have ended. Needs a system transaction.
pub(crate) async fn with_ended_grants(tx: &Tx, now: OffsetDateTime, most: i64) -> Result<Vec<DocumentName>, Error> {
    tx.query(WITH_ENDED_GRANTS, &[&now, &most]).await?.iter().map(name).collect()
}

/// A document that is gone.
pub(crate) struct Purged {
    /// Its last version.
    pub(crate) version: i64,
    /// It had files attached, or was shared: others keep something of it.
    pub(crate) referred: bool,
}

/// Deletes a document for good if its time is still over.
pub(crate) async fn purge(tx: &Tx, name: DocumentName, now: OffsetDateTime) -> Result<Option<Purged>, Error> {
    let row = tx.query_opt(PURGE, &[&name.organization.uuid(), &name.document.uuid(), &now]).await?;
    let read = |row: Row| Ok(Purged { version: row.try_get("version")?, referred: row.try_get("referred")? });
    row.map(read).transpose()
}

/// Locks a document for a change of its grants; gives its next version and its title.
pub(crate) async fn next_version(tx: &Tx, name: DocumentName) -> Result<Option<(i64, String)>, Error> {
    let row = tx.query_opt(NEXT_VERSION, &[&name.organization.uuid(), &name.document.uuid()]).await?;
    row.map(|row| Ok((row.try_get("version")?, row.try_get("title")?))).transpose()
}

/// Deletes the grants of a locked document that have ended; gives their principals.
pub(crate) async fn end_grants(tx: &Tx, name: DocumentName, now: OffsetDateTime) -> Result<Vec<String>, Error> {
    let rows = tx.query(END_GRANTS, &[&name.organization.uuid(), &name.document.uuid(), &now]).await?;
    rows.iter().map(|row| Ok(row.try_get("principal")?)).collect()
}

fn name(row: &Row) -> Result<DocumentName, Error> {
    let organization = OrganizationId(Id::from_uuid(row.try_get("organization_id")?));
    Ok(DocumentName { organization, document: Id::from_uuid(row.try_get("id")?) })
}
