//! Rows of users and their password hashes.
use api::{OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::id;
use crate::{
    credential::PasswordHash,
    model::{Email, User},
};

const COLUMNS: &str = "u.user_id, u.email, u.display_name, u.managing_organization_id, u.create_time, u.update_time";

fn read(row: &Row) -> Result<User, db::Error> {
    Ok(User {
        id: id(row, "user_id")?.into(),
        email: row.try_get("email")?,
        display_name: row.try_get("display_name")?,
        managing_organization: id(row, "managing_organization_id")?.into(),
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
         where m.organization_id = $1 and m.state = 1 and u.user_id = any($2)"
    );
    tx.query(&sql, &[&organization.uuid(), &ids]).await?.iter().map(read).collect()
}

/// A new user with its password. The membership is inserted in between: without it the tenant does not see the user.
pub(crate) async fn insert(tx: &Tx, user: &User, email: &Email) -> Result<(), db::Error> {
    let sql = "insert into users (user_id, email, email_key, display_name, managing_organization_id, create_time, update_time) \
         values ($1, $2, $3, $4, $5, $6, $6)";
    let User { id, display_name, managing_organization, create_time, .. } = user;
    let params: [&(dyn db::ToSql + Sync); 6] =
        [&id.uuid(), &email.text, &email.key, display_name, &managing_organization.uuid(), create_time];
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

/// Another password for a user.
pub(crate) async fn save_password(
    tx: &Tx,
    user: UserId,
    hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "update passwords set hash = $2, fit_alone = true, update_time = $3 where user_id = $1";
    tx.execute(sql, &[&user.uuid(), &hash.0, &now]).await.map(drop)
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

/// The password hash of a user.
pub(crate) async fn password(tx: &Tx, user: UserId) -> Result<Option<PasswordHash>, db::Error> {
    let sql = "select hash from passwords where user_id = $1";
    Ok(tx.query_opt(sql, &[&user.uuid()]).await?.map(|row| row.try_get(0)).transpose()?.map(PasswordHash))
}

/// The user with this e-mail key, and the password hash.
pub(crate) async fn by_email(tx: &Tx, email_key: &str) -> Result<Option<(UserId, PasswordHash)>, db::Error> {
    let sql = "select u.user_id, p.hash from users u join passwords p on p.user_id = u.user_id where u.email_key = $1";
    let Some(row) = tx.query_opt(sql, &[&email_key]).await? else { return Ok(None) };
    Ok(Some((id(&row, "user_id")?.into(), PasswordHash(row.try_get("hash")?))))
}
