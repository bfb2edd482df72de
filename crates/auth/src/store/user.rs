//! Rows of users and their password hashes.
use api::{OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{id, id_opt};
use crate::{
    credential::PasswordHash,
    model::{Email, User, UserState},
};

const COLUMNS: &str = "u.user_id, u.email, u.display_name, u.managing_organization_id, u.create_time, u.update_time, \
     u.state, u.email_verified_time is not null as email_verified";

fn read(row: &Row) -> Result<User, db::Error> {
    Ok(User {
        id: id(row, "user_id")?.into(),
        email: row.try_get("email")?,
        display_name: row.try_get("display_name")?,
        managing_organization: id_opt(row, "managing_organization_id")?.map(OrganizationId),
        // The column's check leaves three numbers; anything else counts as not in force.
        state: UserState::of_number(row.try_get("state")?).unwrap_or(UserState::Disabled),
        email_verified: row.try_get("email_verified")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// A user.
pub(crate) async fn get(tx: &Tx, user: UserId) -> Result<Option<User>, db::Error> {
    let sql = format!("select {COLUMNS} from users u where u.user_id = $1");
    tx.query_opt(&sql, &[&user.uuid()]).await?.as_ref().map(read).transpose()
}

/// Active members of an organization among these users, in any order.
pub(crate) async fn members(tx: &Tx, organization: OrganizationId, users: &[UserId]) -> Result<Vec<User>, db::Error> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.uuid()).collect();
    let sql = format!(
        "select {COLUMNS} from users u join memberships m on m.user_id = u.user_id \
         where m.organization_id = $1 and m.state = 1 and u.state = 1 and u.user_id = any($2)"
    );
    tx.query(&sql, &[&organization.uuid(), &ids]).await?.iter().map(read).collect()
}

/// A new user with its password. The membership is inserted in between: without it the tenant does not see the user.
pub(crate) async fn insert(tx: &Tx, user: &User, email: &Email) -> Result<(), db::Error> {
    let sql = "insert into users (user_id, email, email_key, display_name, managing_organization_id, create_time, update_time) \
         values ($1, $2, $3, $4, $5, $6, $6)";
    let User { id, display_name, managing_organization, create_time, .. } = user;
    let params: [&(dyn db::ToSql + Sync); 6] = [
        &id.uuid(),
        &email.text,
        &email.key,
        display_name,
        &managing_organization.map(OrganizationId::uuid),
        create_time,
    ];
    tx.execute(sql, &params).await.map(drop)
}

/// The first password of a user.
pub(crate) async fn insert_password(
    tx: &Tx,
    user: UserId,
    hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "insert into passwords (user_id, hash, update_time) values ($1, $2, $3)";
    tx.execute(sql, &[&user.uuid(), &hash.0, &now]).await.map(drop)
}

/// Another password for a user, in place of the one that was tested; false when that is not in force any more.
pub(crate) async fn save_password(
    tx: &Tx,
    user: UserId,
    tested: &PasswordHash,
    hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<bool, db::Error> {
    let sql = "update passwords set hash = $3, fit_alone = true, update_time = $4 where user_id = $1 and hash = $2";
    Ok(tx.execute(sql, &[&user.uuid(), &tested.0, &hash.0, &now]).await? == 1)
}

/// The password just saved is too short to be the only factor.
pub(crate) async fn mark_short_password(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    tx.execute("update passwords set fit_alone = false where user_id = $1", &[&user.uuid()]).await.map(drop)
}

/// The user's password may be his only factor; true without one.
pub(crate) async fn password_fits_alone(tx: &Tx, user: UserId) -> Result<bool, db::Error> {
    let row = tx.query_opt("select fit_alone from passwords where user_id = $1", &[&user.uuid()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(true))
}

/// The password is gone; a new one is chosen by mail.
pub(crate) async fn delete_password(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    tx.execute("delete from passwords where user_id = $1", &[&user.uuid()]).await.map(drop)
}

/// The password hash of a user.
pub(crate) async fn password(tx: &Tx, user: UserId) -> Result<Option<PasswordHash>, db::Error> {
    let sql = "select hash from passwords where user_id = $1";
    Ok(tx.query_opt(sql, &[&user.uuid()]).await?.map(|row| row.try_get(0)).transpose()?.map(PasswordHash))
}

/// The user with this e-mail key and the version of his credentials, and the password hash.
pub(crate) async fn by_email(tx: &Tx, email_key: &str) -> Result<Option<((UserId, i64), PasswordHash)>, db::Error> {
    let sql = "select u.user_id, u.credential_version, p.hash from users u join passwords p on p.user_id = u.user_id where u.email_key = $1 and u.state = 1";
    let Some(row) = tx.query_opt(sql, &[&email_key]).await? else { return Ok(None) };
    let user = (id(&row, "user_id")?.into(), row.try_get("credential_version")?);
    Ok(Some((user, PasswordHash(row.try_get("hash")?))))
}

/// The account with this address, whatever its state. System transactions only.
pub(crate) async fn find(tx: &Tx, email_key: &str) -> Result<Option<User>, db::Error> {
    let sql = format!("select {COLUMNS} from users u where u.email_key = $1");
    tx.query_opt(&sql, &[&email_key]).await?.as_ref().map(read).transpose()
}

/// The address was proven, if it still is that of the user.
pub(crate) async fn verify(tx: &Tx, user: UserId, email_key: &str, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update users set email_verified_time = $3 where user_id = $1 and email_key = $2 and email_verified_time is null";
    tx.execute(sql, &[&user.uuid(), &email_key, &now]).await.map(drop)
}

/// A user who has this address and never showed that it is his, held as in [`super::pending::hold`]. System transactions only.
pub(crate) async fn lock_unproven(tx: &Tx, user: UserId, email_key: &str) -> Result<Option<User>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from users u where u.user_id = $1 and u.email_key = $2 and u.email_verified_time is null for no key update"
    );
    tx.query_opt(&sql, &[&user.uuid(), &email_key]).await?.as_ref().map(read).transpose()
}

/// Everything that signs in or acts for the user, set up by somebody who never showed that the address is his.
pub(crate) async fn drop_credentials(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    for table in [
        "passwords",
        "passkeys",
        "passkey_registrations",
        "mfa_factors",
        "recovery_codes",
        "identities",
        "api_keys",
        "consents",
        "delegations",
    ] {
        tx.execute(&format!("delete from {table} where user_id = $1"), &[&user.uuid()]).await?;
    }
    Ok(())
}

/// Another address, proven just now.
pub(crate) async fn save_email(tx: &Tx, user: UserId, email: &Email, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update users set email = $2, email_key = $3, email_verified_time = $4, update_time = $4, version = version + 1 where user_id = $1";
    tx.execute(sql, &[&user.uuid(), &email.text, &email.key, &now]).await.map(drop)
}

/// A password for a user, whether he has one or not.
pub(crate) async fn set_password(
    tx: &Tx,
    user: UserId,
    hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "insert into passwords (user_id, hash, update_time) values ($1, $2, $3) \
         on conflict (user_id) do update set hash = $2, fit_alone = true, update_time = $3";
    tx.execute(sql, &[&user.uuid(), &hash.0, &now]).await.map(drop)
}

/// Another name; gives the version.
pub(crate) async fn rename(tx: &Tx, user: &User) -> Result<i64, db::Error> {
    let sql = "update users set display_name = $2, update_time = $3, version = version + 1 where user_id = $1 returning version";
    Ok(tx.query_one(sql, &[&user.id.uuid(), &user.display_name, &user.update_time]).await?.try_get(0)?)
}

/// Another state; gives the version. System transactions only.
pub(crate) async fn save_state(tx: &Tx, user: &User, purge_time: Option<OffsetDateTime>) -> Result<i64, db::Error> {
    let sql = "update users set state = $2, update_time = $3, purge_time = $4, version = version + 1 where user_id = $1 returning version";
    let params: [&(dyn db::ToSql + Sync); 4] = [&user.id.uuid(), &(user.state as i16), &user.update_time, &purge_time];
    Ok(tx.query_one(sql, &params).await?.try_get(0)?)
}

/// Whether an operator has disabled the account at the machine. System transactions only.
pub(crate) async fn is_held(tx: &Tx, user: UserId) -> Result<bool, db::Error> {
    let row = tx.query_opt("select disabled_by_operator from users where user_id = $1", &[&user.uuid()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// An operator disables the account, or takes that back. System transactions only.
pub(crate) async fn hold_back(tx: &Tx, user: UserId, held: bool) -> Result<(), db::Error> {
    let sql = "update users set disabled_by_operator = $2 where user_id = $1";
    tx.execute(sql, &[&user.uuid(), &held]).await.map(drop)
}

/// A service account is gone; the organization that manages it may say so.
pub(crate) async fn mark_deleted(tx: &Tx, user: UserId, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update users set state = 3, update_time = $2, version = version + 1 where user_id = $1 and kind = 2";
    tx.execute(sql, &[&user.uuid(), &now]).await.map(drop)
}

/// Erases names, addresses and everything to sign in with of accounts whose time is over; gives their ids. System transactions only.
pub(crate) async fn purge(tx: &Tx, now: OffsetDateTime) -> Result<Vec<UserId>, db::Error> {
    let sql = "update users set email = '', email_key = 'purged/' || user_id, display_name = '', email_verified_time = null, purge_time = null \
         where purge_time < $1 returning user_id";
    let rows = tx.query(sql, &[&now]).await?;
    let ids = rows.iter().map(|row| id(row, "user_id").map(UserId)).collect::<Result<Vec<_>, _>>()?;
    let uuids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    for table in [
        "passwords",
        "mail_deliveries",
        "api_keys",
        "mfa_factors",
        "recovery_codes",
        "passkeys",
        "passkey_handles",
        "passkey_registrations",
        "identities",
        "consents",
    ] {
        tx.execute(&format!("delete from {table} where user_id = any($1)"), &[&uuids]).await?;
    }
    Ok(ids)
}
