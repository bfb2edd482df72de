//! Rows of passkeys, user handles and registrations.
use api::{Id, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::id;
use crate::{
    credential::Credential,
    model::{Passkey, PasskeyName},
};

const COLUMNS: &str =
    "user_id, passkey_id, credential_id, credential, display_name, disabled, version, create_time, last_use_time";

fn read(row: &Row) -> Result<(Passkey, Credential), db::Error> {
    let passkey = Passkey {
        user: id(row, "user_id")?.into(),
        id: id(row, "passkey_id")?,
        display_name: row.try_get("display_name")?,
        disabled: row.try_get("disabled")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        last_use_time: row.try_get("last_use_time")?,
    };
    Ok((passkey, Credential { id: row.try_get("credential_id")?, text: row.try_get("credential")? }))
}

/// The handle under which authenticators know a user; made at the first question.
pub(crate) async fn handle(tx: &Tx, user: UserId, fresh: Uuid) -> Result<Uuid, db::Error> {
    let sql = "insert into passkey_handles (user_id, handle) values ($1, $2) \
         on conflict (user_id) do update set handle = passkey_handles.handle returning handle";
    Ok(tx.query_one(sql, &[&user.uuid(), &fresh]).await?.try_get(0)?)
}

/// A page of a user's passkeys with their credentials.
pub(crate) async fn list(
    tx: &Tx,
    user: UserId,
    after: Id,
    limit: i64,
) -> Result<Vec<(Passkey, Credential)>, db::Error> {
    let sql =
        format!("select {COLUMNS} from passkeys where user_id = $1 and passkey_id > $2 order by passkey_id limit $3");
    tx.query(&sql, &[&user.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A passkey; `locked` until the transaction ends.
pub(crate) async fn get(tx: &Tx, name: PasskeyName, locked: bool) -> Result<Option<Passkey>, db::Error> {
    let lock = if locked { " for update" } else { "" };
    let sql = format!("select {COLUMNS} from passkeys where user_id = $1 and passkey_id = $2{lock}");
    let row = tx.query_opt(&sql, &[&name.user.uuid(), &name.passkey.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?.map(|(passkey, _)| passkey))
}

/// The passkey with this credential, of the user with this handle, and the version of his credentials; locked until the transaction ends.
/// System transactions only.
pub(crate) async fn presented(
    tx: &Tx,
    handle: Uuid,
    credential: &[u8],
) -> Result<Option<((Passkey, Credential), i64)>, db::Error> {
    let sql = format!(
        "select {COLUMNS}, (select credential_version from users u where u.user_id = passkeys.user_id) from passkeys where credential_id = $2 and not disabled \
         and user_id = (select user_id from passkey_handles where handle = $1) for update"
    );
    let Some(row) = tx.query_opt(&sql, &[&handle, &credential]).await? else { return Ok(None) };
    Ok(Some((read(&row)?, row.try_get("credential_version")?)))
}

/// The passkey with this credential, of this user; locked until the transaction ends.
pub(crate) async fn of_user(
    tx: &Tx,
    user: UserId,
    credential: &[u8],
) -> Result<Option<(Passkey, Credential)>, db::Error> {
    let sql =
        format!("select {COLUMNS} from passkeys where credential_id = $2 and not disabled and user_id = $1 for update");
    tx.query_opt(&sql, &[&user.uuid(), &credential]).await?.as_ref().map(read).transpose()
}

/// A new passkey.
pub(crate) async fn insert(tx: &Tx, passkey: &Passkey, credential: &Credential) -> Result<(), db::Error> {
    let sql = "insert into passkeys (user_id, passkey_id, credential_id, credential, display_name, create_time) \
         values ($1, $2, $3, $4, $5, $6)";
    let Passkey { user, id, display_name, create_time, .. } = passkey;
    let params: [&(dyn db::ToSql + Sync); 6] =
        [&user.uuid(), &id.uuid(), &credential.id, &credential.text, display_name, create_time];
    tx.execute(sql, &params).await.map(drop)
}

/// It served a sign-in: counter and flags may have changed.
pub(crate) async fn used(
    tx: &Tx,
    name: PasskeyName,
    credential: &Credential,
    now: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "update passkeys set credential = $3, last_use_time = $4 where user_id = $1 and passkey_id = $2";
    tx.execute(sql, &[&name.user.uuid(), &name.passkey.uuid(), &credential.text, &now]).await.map(drop)
}

/// It counts no more.
pub(crate) async fn disable(tx: &Tx, name: PasskeyName) -> Result<(), db::Error> {
    let sql = "update passkeys set disabled = true, version = version + 1 where user_id = $1 and passkey_id = $2";
    tx.execute(sql, &[&name.user.uuid(), &name.passkey.uuid()]).await.map(drop)
}

/// Another name; the row is locked.
pub(crate) async fn rename(tx: &Tx, passkey: &Passkey) -> Result<(), db::Error> {
    let sql = "update passkeys set display_name = $3, version = $4 where user_id = $1 and passkey_id = $2";
    let Passkey { user, id, display_name, version, .. } = passkey;
    tx.execute(sql, &[&user.uuid(), &id.uuid(), display_name, version]).await.map(drop)
}

/// Deletes a passkey.
pub(crate) async fn delete(tx: &Tx, name: PasskeyName) -> Result<(), db::Error> {
    let sql = "delete from passkeys where user_id = $1 and passkey_id = $2";
    tx.execute(sql, &[&name.user.uuid(), &name.passkey.uuid()]).await.map(drop)
}

/// A registration that waits for the browser.
pub(crate) async fn insert_registration(
    tx: &Tx,
    digest: &[u8],
    user: UserId,
    state: &str,
    expire_time: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql =
        "insert into passkey_registrations (registration_digest, user_id, state, expire_time) values ($1, $2, $3, $4)";
    tx.execute(sql, &[&digest, &user.uuid(), &state, &expire_time]).await.map(drop)
}

/// Takes a registration: nobody can take it again.
pub(crate) async fn take_registration(
    tx: &Tx,
    digest: &[u8],
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<String>, db::Error> {
    let sql = "delete from passkey_registrations where registration_digest = $1 and user_id = $2 and expire_time > $3 returning state";
    tx.query_opt(sql, &[&digest, &user.uuid(), &now]).await?.map(|row| row.try_get(0)).transpose().map_err(Into::into)
}
