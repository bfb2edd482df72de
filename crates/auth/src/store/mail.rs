//! Rows of mails: what was asked for, and what is on its way.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::{id, id_opt, session};
use crate::model::{MailDelivery, MailRequest, Purpose};

const COLUMNS: &str = "delivery_id, purpose, email, email_key, user_id, organization_id, invitation_id, flow_digest, display_name, hash, \
     impersonator_name, impersonator_email, impersonation_reason, expire_time, send_time is not null as sent";

/// Requests that wait at most.
const WAITING_MAX: i64 = 10_000;

/// Keeps a request for the worker; false when too many wait. System transactions only, as all of this file that says nothing else.
pub(crate) async fn ask(
    tx: &Tx,
    request_id: Id,
    request: &MailRequest,
    asker: &[u8],
    now: OffsetDateTime,
) -> Result<bool, db::Error> {
    let sql = "insert into mail_requests (request_id, purpose, email, email_key, display_name, hash, flow_digest, create_time, asker) \
         select $1, $2, $3, $4, $5, $6, $7, $8, $10 where (select count(*) from (select from mail_requests limit $9) as waiting) < $9";
    let MailRequest { purpose, email, email_key, display_name, hash, flow } = request;
    let (request_id, purpose) = (request_id.uuid(), *purpose as i16);
    let params: [&(dyn db::ToSql + Sync); 10] =
        [&request_id, &purpose, email, email_key, display_name, hash, flow, &now, &WAITING_MAX, &asker];
    Ok(tx.execute(sql, &params).await? == 1)
}

/// Whether any request waits; any transaction may ask.
pub(crate) async fn waits(tx: &Tx) -> Result<bool, db::Error> {
    Ok(tx.query_one("select mail_waits()", &[]).await?.try_get(0)?)
}

/// Takes requests with who asks: they are gone when the transaction is committed.
pub(crate) async fn take_requests(tx: &Tx, most: i64) -> Result<Vec<(MailRequest, Vec<u8>)>, db::Error> {
    let sql = "delete from mail_requests where request_id in \
         (select request_id from mail_requests order by request_id limit $1 for update skip locked) \
         returning purpose, email, email_key, display_name, hash, flow_digest, asker";
    let rows = tx.query(sql, &[&most]).await?;
    let mut requests = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(purpose) = Purpose::of_number(row.try_get("purpose")?) else { continue };
        let request = MailRequest {
            purpose,
            email: row.try_get("email")?,
            email_key: row.try_get("email_key")?,
            display_name: row.try_get("display_name")?,
            hash: row.try_get("hash")?,
            flow: row.try_get("flow_digest")?,
        };
        requests.push((request, row.try_get("asker")?));
    }
    Ok(requests)
}

/// A new mail.
pub(crate) async fn insert(
    tx: &Tx,
    delivery: &MailDelivery,
    digest: &[u8],
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "insert into mail_deliveries (delivery_id, purpose, email, email_key, user_id, organization_id, invitation_id, flow_digest, \
         display_name, hash, secret_digest, create_time, expire_time, impersonator_name, impersonator_email, impersonation_reason) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let MailDelivery { id, purpose, email, email_key, flow, display_name, hash, expire_time, told, .. } = delivery;
    let told = told.as_ref();
    let (user, organization) = (delivery.user.map(UserId::uuid), delivery.organization.map(OrganizationId::uuid));
    let (purpose, invitation) = (*purpose as i16, delivery.invitation.map(|id| id.uuid()));
    let params: [&(dyn db::ToSql + Sync); 16] = [
        &id.uuid(),
        &purpose,
        email,
        email_key,
        &user,
        &organization,
        &invitation,
        flow,
        display_name,
        hash,
        &digest,
        &now,
        expire_time,
        &told.map(|told| &told.display_name),
        &told.map(|told| &told.email),
        &told.map(|told| &told.reason),
    ];
    tx.execute(sql, &params).await.map(drop)
}

fn read(row: &Row) -> Result<MailDelivery, db::Error> {
    Ok(MailDelivery {
        id: id(row, "delivery_id")?,
        // The column's check leaves no other numbers.
        purpose: Purpose::of_number(row.try_get("purpose")?).unwrap_or(Purpose::NoticeSignUp),
        email: row.try_get("email")?,
        email_key: row.try_get("email_key")?,
        user: id_opt(row, "user_id")?.map(UserId),
        organization: id_opt(row, "organization_id")?.map(OrganizationId),
        invitation: id_opt(row, "invitation_id")?,
        flow: row.try_get("flow_digest")?,
        display_name: row.try_get("display_name")?,
        hash: row.try_get("hash")?,
        told: session::told(row)?,
        expire_time: row.try_get("expire_time")?,
        sent: row.try_get("sent")?,
    })
}

/// A mail that may still be made, locked.
pub(crate) async fn lock(tx: &Tx, delivery: Id, now: OffsetDateTime) -> Result<Option<MailDelivery>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from mail_deliveries where delivery_id = $1 and end_time is null and expire_time > $2 for update"
    );
    tx.query_opt(&sql, &[&delivery.uuid(), &now]).await?.as_ref().map(read).transpose()
}

/// The mail was made for the first time: its link ends so.
pub(crate) async fn mark_sent(
    tx: &Tx,
    delivery: Id,
    now: OffsetDateTime,
    end: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql =
        "update mail_deliveries set send_time = $2, expire_time = $3 where delivery_id = $1 and send_time is null";
    tx.execute(sql, &[&delivery.uuid(), &now, &end]).await.map(drop)
}

/// The mail whose link carries this, if that is still good.
pub(crate) async fn find(
    tx: &Tx,
    digest: &[u8],
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<MailDelivery>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from mail_deliveries where secret_digest = $1 and purpose = any($2) and end_time is null and expire_time > $3"
    );
    tx.query_opt(&sql, &[&digest, &numbers(purposes), &now]).await?.as_ref().map(read).transpose()
}

/// As [`find`], for one caller only: the link is dead afterwards.
pub(crate) async fn consume(
    tx: &Tx,
    digest: &[u8],
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<MailDelivery>, db::Error> {
    let sql = format!(
        "update mail_deliveries set end_time = $3 where secret_digest = $1 and purpose = any($2) and end_time is null and expire_time > $3 \
         returning {COLUMNS}"
    );
    tx.query_opt(&sql, &[&digest, &numbers(purposes), &now]).await?.as_ref().map(read).transpose()
}

fn numbers(purposes: &[Purpose]) -> Vec<i16> {
    purposes.iter().map(|purpose| *purpose as i16).collect()
}

/// Earlier mails of this kind to an address are dead.
pub(crate) async fn end_earlier(
    tx: &Tx,
    email_key: &str,
    purpose: Purpose,
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "update mail_deliveries set end_time = $3 where email_key = $1 and purpose = $2 and end_time is null";
    tx.execute(sql, &[&email_key, &(purpose as i16), &now]).await.map(drop)
}

/// Links of an account are dead, its password or address has changed. Notices go on.
pub(crate) async fn end_of_user(tx: &Tx, user: UserId, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update mail_deliveries set end_time = $2 where user_id = $1 and purpose <= 5 and end_time is null";
    tx.execute(sql, &[&user.uuid(), &now]).await.map(drop)
}

/// Links by which somebody signs in or begins anew are dead: one has been used. A new address that waits for its confirmation is another
/// matter.
pub(crate) async fn end_of_sign_in(tx: &Tx, user: UserId, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update mail_deliveries set end_time = $2 where user_id = $1 and purpose <= 5 and purpose <> $3 and end_time is null";
    tx.execute(sql, &[&user.uuid(), &now, &(Purpose::ChangeEmail as i16)]).await.map(drop)
}

/// Links of an invitation are dead. Tenant transactions may.
pub(crate) async fn end_of_invitation(tx: &Tx, invitation: Id, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update mail_deliveries set end_time = $2 where invitation_id = $1 and end_time is null";
    tx.execute(sql, &[&invitation.uuid(), &now]).await.map(drop)
}

/// A stranger has asked for this mail.
pub(crate) async fn asked_by(tx: &Tx, delivery: Id, asker: &[u8]) -> Result<(), db::Error> {
    let sql = "update mail_deliveries set asker = $2 where delivery_id = $1";
    tx.execute(sql, &[&delivery.uuid(), &asker]).await.map(drop)
}

/// Mails of one kind to an address since a time: those of an asker, or, without one, those that the transaction sees; and all that there
/// are. Any transaction may ask.
pub(crate) async fn count_since(
    tx: &Tx,
    email_key: &str,
    purpose: Purpose,
    asker: Option<&[u8]>,
    since: OffsetDateTime,
) -> Result<(i64, i64), db::Error> {
    let sql = "select count(*) filter (where $4::bytea is null or asker = $4), mails_to($1, $2, $3) from mail_deliveries \
         where email_key = $1 and purpose = $2 and create_time > $3";
    let row = tx.query_one(sql, &[&email_key, &(purpose as i16), &since, &asker]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Deletes what nobody can use any more; gives the number of rows.
pub(crate) async fn purge(tx: &Tx, now: OffsetDateTime) -> Result<u64, db::Error> {
    tx.execute("delete from mail_deliveries where expire_time < $1::timestamptz - interval '1 day'", &[&now]).await
}

/// Links of one kind of an account are dead. Transactions of the user may.
pub(crate) async fn end_pending(tx: &Tx, user: UserId, purpose: Purpose, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update mail_deliveries set end_time = $3 where user_id = $1 and purpose = $2 and end_time is null";
    tx.execute(sql, &[&user.uuid(), &(purpose as i16), &now]).await.map(drop)
}

/// Who got the newest code that was sent for a flow.
pub(crate) async fn user_of_flow(tx: &Tx, flow: &[u8], now: OffsetDateTime) -> Result<Option<UserId>, db::Error> {
    let sql = "select user_id from mail_deliveries where flow_digest = $1 and purpose = 5 and end_time is null and expire_time > $2 \
         order by delivery_id desc limit 1";
    let row = tx.query_opt(sql, &[&flow, &now]).await?;
    Ok(row.as_ref().map(|row| id_opt(row, "user_id")).transpose()?.flatten().map(UserId))
}

/// The newest code that was sent for a flow, locked.
pub(crate) async fn of_flow(tx: &Tx, flow: &[u8], now: OffsetDateTime) -> Result<Option<MailDelivery>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from mail_deliveries where flow_digest = $1 and purpose = 5 and end_time is null and expire_time > $2 \
         order by delivery_id desc limit 1 for update"
    );
    tx.query_opt(&sql, &[&flow, &now]).await?.as_ref().map(read).transpose()
}
