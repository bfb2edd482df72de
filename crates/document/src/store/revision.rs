//! Revisions of a document.
use api::{Id, UserId};
use db::{Error, Row, Tx};

use super::document::body;
use crate::model::{DocumentName, Number, Revision, RevisionName, Window};

const GET: &str = "select number, title, author_id, create_time, media_type, content, metadata
     from revisions where organization_id = $1 and document_id = $2 and number = $3";
const LIST: &str = "select number, title, author_id, create_time
     from revisions where organization_id = $1 and document_id = $2 and number < $3 order by number desc limit $4";

/// One revision with its text.
pub(crate) async fn get(tx: &Tx, document: DocumentName, number: i64) -> Result<Option<Revision>, Error> {
    let row = tx.query_opt(GET, &[&document.organization.uuid(), &document.document.uuid(), &number]).await?;
    let read = |row: &Row| Ok(Revision { body: Some(body(row)?), ..revision(document, row)? });
    row.as_ref().map(read).transpose()
}

/// The revisions below a number, newest first, without their text.
pub(crate) async fn list(tx: &Tx, document: DocumentName, window: &Window<i64>) -> Result<Vec<Revision>, Error> {
    let below = window.after.unwrap_or(i64::MAX);
    let rows =
        tx.query(LIST, &[&document.organization.uuid(), &document.document.uuid(), &below, &window.rows()]).await?;
    rows.iter().map(|row| revision(document, row)).collect()
}

fn revision(document: DocumentName, row: &Row) -> Result<Revision, Error> {
    Ok(Revision {
        name: RevisionName { document, number: Number::At(row.try_get("number")?) },
        title: row.try_get("title")?,
        body: None,
        author: UserId(Id::from_uuid(row.try_get("author_id")?)),
        create_time: row.try_get("create_time")?,
    })
}
