//! Grants of a document. They change only while the document is locked.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use super::count;
use crate::model::{DocumentName, Grant, GrantName, Principal, Share, Window};

const OF_PRINCIPAL: &str = "select id, principal, role, create_time, expire_time
     from grants where organization_id = $1 and document_id = $2 and principal = $3";
const COUNT: &str = "select count(*) from grants where organization_id = $1 and document_id = $2";
const PUT: &str = "insert into grants (organization_id, document_id, id, principal, role, create_time, expire_time)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (organization_id, document_id, principal)
     do update set role = excluded.role, create_time = excluded.create_time, expire_time = excluded.expire_time";
const LIST: &str = "select id, principal, role, create_time, expire_time
     from grants where organization_id = $1 and document_id = $2 and id > $3 and (expire_time is null or expire_time > $4)
     order by id limit $5";
const ALL: &str = "select id, principal, role, create_time, expire_time
     from grants where organization_id = $1 and document_id = $2 order by id";
const DELETE: &str = "delete from grants where organization_id = $1 and document_id = $2 and id = $3
     returning id, principal, role, create_time, expire_time";
const DOCUMENTS_OF: &str =
    "select document_id from grants where organization_id = $1 and principal = $2 order by document_id limit $3";
const END_OF: &str =
    "delete from grants where organization_id = $1 and document_id = $2 and principal = $3 returning principal";

/// The grant of a principal, also one that has ended.
pub(crate) async fn of_principal(
    tx: &Tx,
    document: DocumentName,
    principal: &Principal,
) -> Result<Option<Grant>, Error> {
    let params = (document.organization.uuid(), document.document.uuid());
    let row = tx.query_opt(OF_PRINCIPAL, &[&params.0, &params.1, &principal.as_str()]).await?;
    row.map(|row| grant(document, &row)).transpose()
}

/// How many grants a document has, those that have ended included.
pub(crate) async fn count_of(tx: &Tx, document: DocumentName) -> Result<usize, Error> {
    let row = tx.query_one(COUNT, &[&document.organization.uuid(), &document.document.uuid()]).await?;
    Ok(count(row.try_get(0)?))
}

/// Saves a grant in place of the principal's earlier one.
pub(crate) async fn put(tx: &Tx, grant: &Grant) -> Result<(), Error> {
    let GrantName { organization, document, grant: id } = grant.name;
    tx.execute(
        PUT,
        &[
            &organization.uuid(),
            &document.uuid(),
            &id.uuid(),
            &grant.principal.as_str(),
            &(grant.role as i16),
            &grant.create_time,
            &grant.expire_time,
        ],
    )
    .await
    .map(drop)
}

/// The grants of a document that hold, oldest first.
pub(crate) async fn list(
    tx: &Tx,
    document: DocumentName,
    now: OffsetDateTime,
    window: &Window<Id>,
) -> Result<Vec<Grant>, Error> {
    let after = window.after.unwrap_or(Id::ZERO);
    let params = (document.organization.uuid(), document.document.uuid(), after.uuid(), window.rows());
    let rows = tx.query(LIST, &[&params.0, &params.1, &params.2, &now, &params.3]).await?;
    rows.iter().map(|row| grant(document, row)).collect()
}

/// All grants of a document.
pub(crate) async fn all(tx: &Tx, document: DocumentName) -> Result<Vec<Grant>, Error> {
    let rows = tx.query(ALL, &[&document.organization.uuid(), &document.document.uuid()]).await?;
    rows.iter().map(|row| grant(document, row)).collect()
}

/// Takes a grant back; gives it as it was.
pub(crate) async fn delete(tx: &Tx, name: GrantName) -> Result<Option<Grant>, Error> {
    let row = tx.query_opt(DELETE, &[&name.organization.uuid(), &name.document.uuid(), &name.grant.uuid()]).await?;
    row.map(|row| grant(name.document(), &row)).transpose()
}

/// Documents of the organization that are shared with a principal, at most so many.
pub(crate) async fn documents_of(
    tx: &Tx,
    organization: OrganizationId,
    principal: &Principal,
    most: i64,
) -> Result<Vec<DocumentName>, Error> {
    let rows = tx.query(DOCUMENTS_OF, &[&organization.uuid(), &principal.as_str(), &most]).await?;
    let name = |row: &Row| Ok(DocumentName { organization, document: Id::from_uuid(row.try_get("document_id")?) });
    rows.iter().map(name).collect()
}

/// Ends the grant of a principal; gives whose it was.
pub(crate) async fn end_of(tx: &Tx, name: DocumentName, principal: &Principal) -> Result<Vec<String>, Error> {
    let params = (name.organization.uuid(), name.document.uuid());
    let rows = tx.query(END_OF, &[&params.0, &params.1, &principal.as_str()]).await?;
    rows.iter().map(|row| Ok(row.try_get("principal")?)).collect()
}

fn grant(document: DocumentName, row: &Row) -> Result<Grant, Error> {
    let DocumentName { organization, document } = document;
    let role: i16 = row.try_get("role")?;
    Ok(Grant {
        name: GrantName { organization, document, grant: Id::from_uuid(row.try_get("id")?) },
        principal: Principal::restore(row.try_get("principal")?),
        role: Share::try_from(i32::from(role)).unwrap_or_default(),
        create_time: row.try_get("create_time")?,
        expire_time: row.try_get("expire_time")?,
    })
}
