//! Rows of invitations.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{Email, Invitation, InvitationState, Role};

const COLUMNS: &str = "organization_id, invitation_id, email, role, inviter_id, state, create_time, expire_time";

fn read(row: &Row) -> Result<Invitation, db::Error> {
    Ok(Invitation {
        id: id(row, "invitation_id")?,
        organization: id(row, "organization_id")?.into(),
        email: row.try_get("email")?,
        role: row.try_get::<_, Option<i16>>("role")?.and_then(Role::of_number),
        inviter: UserId(id(row, "inviter_id")?),
        // The column's check leaves three numbers; anything else counts as taken back.
        state: InvitationState::of_number(row.try_get("state")?).unwrap_or(InvitationState::Revoked),
        create_time: row.try_get("create_time")?,
        expire_time: row.try_get("expire_time")?,
    })
}

/// An invitation.
pub(crate) async fn get(
    tx: &Tx,
    organization: OrganizationId,
    invitation: Id,
) -> Result<Option<Invitation>, db::Error> {
    let sql = format!("select {COLUMNS} from invitations where organization_id = $1 and invitation_id = $2");
    tx.query_opt(&sql, &[&organization.uuid(), &invitation.uuid()]).await?.as_ref().map(read).transpose()
}

/// A page of the invitations of an organization, in the order in which they were made.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<Invitation>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from invitations where organization_id = $1 and invitation_id > $2 order by invitation_id limit $3"
    );
    tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A new invitation.
pub(crate) async fn insert(tx: &Tx, invitation: &Invitation, email: &Email) -> Result<(), db::Error> {
    let sql = "insert into invitations (organization_id, invitation_id, email, email_key, role, inviter_id, state, create_time, expire_time) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let Invitation { id, organization, role, inviter, state, create_time, expire_time, .. } = invitation;
    let (role, state) = (role.map(|role| role as i16), *state as i16);
    let params: [&(dyn db::ToSql + Sync); 9] = [
        &organization.uuid(),
        &id.uuid(),
        &email.text,
        &email.key,
        &role,
        &inviter.uuid(),
        &state,
        create_time,
        expire_time,
    ];
    tx.execute(sql, &params).await.map(drop)
}

/// Changes the state of an open invitation; false when it is not open.
pub(crate) async fn close(
    tx: &Tx,
    invitation: &Invitation,
    state: InvitationState,
    now: OffsetDateTime,
) -> Result<bool, db::Error> {
    let sql = "update invitations set state = $3, accept_time = $4 where organization_id = $1 and invitation_id = $2 and state = 1";
    let accepted = (state == InvitationState::Accepted).then_some(now);
    let params: [&(dyn db::ToSql + Sync); 4] =
        [&invitation.organization.uuid(), &invitation.id.uuid(), &(state as i16), &accepted];
    Ok(tx.execute(sql, &params).await? == 1)
}

/// An open invitation goes on until another time.
pub(crate) async fn extend(tx: &Tx, invitation: &Invitation, end: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update invitations set expire_time = $3 where organization_id = $1 and invitation_id = $2";
    tx.execute(sql, &[&invitation.organization.uuid(), &invitation.id.uuid(), &end]).await.map(drop)
}

/// Invitations of an address that have ended make place for a new one.
pub(crate) async fn close_ended(
    tx: &Tx,
    organization: OrganizationId,
    email_key: &str,
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "update invitations set state = 3 where organization_id = $1 and email_key = $2 and state = 1 and expire_time <= $3";
    tx.execute(sql, &[&organization.uuid(), &email_key, &now]).await.map(drop)
}

/// How many invitations of an organization are open.
pub(crate) async fn count_open(tx: &Tx, organization: OrganizationId, now: OffsetDateTime) -> Result<i64, db::Error> {
    let sql = "select count(*) from invitations where organization_id = $1 and state = 1 and expire_time > $2";
    Ok(tx.query_one(sql, &[&organization.uuid(), &now]).await?.try_get(0)?)
}
