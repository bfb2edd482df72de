//! Captured mails.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;

use super::before;
use crate::model::{CapturedMail, CapturedMailName, Mail, Window};

const INSERT: &str =
    "insert into captured_mails (organization_id, id, message_id, sender, recipient, subject, text, create_time)
     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (organization_id, message_id) do nothing";
const LIST: &str = "select id, message_id, sender, recipient, subject, text, create_time from captured_mails
     where organization_id = $1 and id < $2 order by id desc limit $3";

/// Keeps a mail, unless one with its Message-ID is there already.
pub(crate) async fn insert(tx: &Tx, id: Id, mail: &Mail, now: OffsetDateTime) -> Result<(), Error> {
    let (organization, id, recipient) = (mail.organization.uuid(), id.uuid(), &mail.recipient.address);
    let params: [&(dyn db::ToSql + Sync); 8] =
        [&organization, &id, &mail.message_id, &mail.sender, recipient, &mail.subject, &mail.text, &now];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Lists captured mails, newest first.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    window: &Window<Id>,
) -> Result<Vec<CapturedMail>, Error> {
    let (before, rows) = (before(window), window.rows());
    let rows = tx.query(LIST, &[&organization.uuid(), &before, &rows]).await?;
    rows.iter().map(|row| mail(organization, row)).collect()
}

fn mail(organization: OrganizationId, row: &Row) -> Result<CapturedMail, Error> {
    Ok(CapturedMail {
        name: CapturedMailName { organization, mail: Id::from_uuid(row.try_get("id")?) },
        message_id: row.try_get("message_id")?,
        sender: row.try_get("sender")?,
        recipient: row.try_get("recipient")?,
        subject: row.try_get("subject")?,
        text: row.try_get("text")?,
        create_time: row.try_get("create_time")?,
    })
}
