//! Rows of API keys and service accounts.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{ApiKey, ApiKeyName, Role, ServiceAccount};

const SELECT: &str = "select k.organization_id, k.key_id, k.user_id, u.kind, k.display_name, k.scopes, k.expire_time, k.last_use_time, \
     k.create_time, k.version from api_keys k join users u on u.user_id = k.user_id";
const ACCOUNTS: &str = "select m.organization_id, u.user_id, u.display_name, m.role, u.create_time from users u \
     join memberships m on m.user_id = u.user_id where u.kind = 2 and u.state <> 3 and m.organization_id = $1";

fn read(row: &Row) -> Result<ApiKey, db::Error> {
    Ok(ApiKey {
        id: id(row, "key_id")?,
        organization: id(row, "organization_id")?.into(),
        owner: UserId(id(row, "user_id")?),
        of_service: row.try_get::<_, i16>("kind")? == 2,
        display_name: row.try_get("display_name")?,
        scopes: row.try_get("scopes")?,
        expire_time: row.try_get("expire_time")?,
        create_time: row.try_get("create_time")?,
        last_use_time: row.try_get("last_use_time")?,
        version: row.try_get("version")?,
    })
}

/// A key; `locked` until the transaction ends.
pub(crate) async fn get(tx: &Tx, name: ApiKeyName, locked: bool) -> Result<Option<ApiKey>, db::Error> {
    let lock = if locked { " for update of k" } else { "" };
    let sql = format!("{SELECT} where k.organization_id = $1 and k.key_id = $2{lock}");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.key.uuid()]).await?.as_ref().map(read).transpose()
}

/// The key with this secret; system transactions only.
pub(crate) async fn find(tx: &Tx, digest: &[u8]) -> Result<Option<ApiKey>, db::Error> {
    let sql = format!("{SELECT} where k.secret_digest = $1");
    tx.query_opt(&sql, &[&digest]).await?.as_ref().map(read).transpose()
}

/// A page of keys: of one owner, or of everybody in the organization.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    owner: Option<UserId>,
    after: Id,
    limit: i64,
) -> Result<Vec<ApiKey>, db::Error> {
    let sql = format!(
        "{SELECT} where k.organization_id = $1 and ($2::uuid is null or k.user_id = $2) and k.key_id > $3 order by k.key_id limit $4"
    );
    let owner = owner.map(UserId::uuid);
    tx.query(&sql, &[&organization.uuid(), &owner, &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// Keys of an owner that have not ended.
pub(crate) async fn count(
    tx: &Tx,
    organization: OrganizationId,
    owner: UserId,
    now: OffsetDateTime,
) -> Result<i64, db::Error> {
    let sql = "select count(*) from api_keys where organization_id = $1 and user_id = $2 and expire_time > $3";
    Ok(tx.query_one(sql, &[&organization.uuid(), &owner.uuid(), &now]).await?.try_get(0)?)
}

/// A new key.
pub(crate) async fn insert(tx: &Tx, key: &ApiKey, digest: &[u8]) -> Result<(), db::Error> {
    let sql = "insert into api_keys (organization_id, key_id, user_id, display_name, scopes, secret_digest, expire_time, create_time) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let ApiKey { id, organization, owner, display_name, scopes, expire_time, create_time, .. } = key;
    let params: [&(dyn db::ToSql + Sync); 8] =
        [&organization.uuid(), &id.uuid(), &owner.uuid(), display_name, scopes, &digest, expire_time, create_time];
    tx.execute(sql, &params).await.map(drop)
}

/// Another name; the row is locked.
pub(crate) async fn rename(tx: &Tx, key: &ApiKey) -> Result<(), db::Error> {
    let sql = "update api_keys set display_name = $3, version = $4 where organization_id = $1 and key_id = $2";
    let ApiKey { organization, id, display_name, version, .. } = key;
    tx.execute(sql, &[&organization.uuid(), &id.uuid(), display_name, version]).await.map(drop)
}

/// Another secret; gives the version, `None` when there is no such key, or it has ended.
pub(crate) async fn rotate(
    tx: &Tx,
    name: ApiKeyName,
    digest: &[u8],
    now: OffsetDateTime,
) -> Result<Option<i64>, db::Error> {
    let sql = "update api_keys set secret_digest = $3, version = version + 1 where organization_id = $1 and key_id = $2 \
         and expire_time > $4 returning version";
    let row = tx.query_opt(sql, &[&name.organization.uuid(), &name.key.uuid(), &digest, &now]).await?;
    row.map(|row| row.try_get(0).map_err(db::Error::from)).transpose()
}

/// The key was used; written at most once a minute.
pub(crate) async fn touch(tx: &Tx, name: ApiKeyName, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update api_keys set last_use_time = $3 where organization_id = $1 and key_id = $2 \
         and (last_use_time is null or last_use_time < $3::timestamptz - interval '1 minute')";
    tx.execute(sql, &[&name.organization.uuid(), &name.key.uuid(), &now]).await.map(drop)
}

/// Ends a key; false when there is none.
pub(crate) async fn delete(tx: &Tx, name: ApiKeyName) -> Result<bool, db::Error> {
    let sql = "delete from api_keys where organization_id = $1 and key_id = $2";
    Ok(tx.execute(sql, &[&name.organization.uuid(), &name.key.uuid()]).await? == 1)
}

/// Ends all keys of a member; gives their ids.
pub(crate) async fn delete_of_member(
    tx: &Tx,
    user: UserId,
    organization: OrganizationId,
) -> Result<Vec<Id>, db::Error> {
    let sql = "delete from api_keys where organization_id = $1 and user_id = $2 returning key_id";
    tx.query(sql, &[&organization.uuid(), &user.uuid()]).await?.iter().map(|row| id(row, "key_id")).collect()
}

fn read_account(row: &Row) -> Result<ServiceAccount, db::Error> {
    Ok(ServiceAccount {
        organization: id(row, "organization_id")?.into(),
        user: UserId(id(row, "user_id")?),
        display_name: row.try_get("display_name")?,
        role: row.try_get::<_, Option<i16>>("role")?.and_then(Role::of_number),
        create_time: row.try_get("create_time")?,
    })
}

/// A service account.
pub(crate) async fn account(
    tx: &Tx,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<ServiceAccount>, db::Error> {
    let sql = format!("{ACCOUNTS} and u.user_id = $2");
    tx.query_opt(&sql, &[&organization.uuid(), &user.uuid()]).await?.as_ref().map(read_account).transpose()
}

/// A page of service accounts.
pub(crate) async fn accounts(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<ServiceAccount>, db::Error> {
    let sql = format!("{ACCOUNTS} and u.user_id > $2 order by u.user_id limit $3");
    tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?.iter().map(read_account).collect()
}

/// The user row of a new service account. Its address is empty, and nobody can sign in with what it is compared by.
pub(crate) async fn insert_account(tx: &Tx, account: &ServiceAccount) -> Result<(), db::Error> {
    let sql = "insert into users (user_id, email, email_key, display_name, managing_organization_id, kind, create_time, update_time) \
         values ($1, '', 'serviceAccounts/' || $1::uuid, $2, $3, 2, $4, $4)";
    let ServiceAccount { organization, user, display_name, create_time, .. } = account;
    tx.execute(sql, &[&user.uuid(), display_name, &organization.uuid(), create_time]).await.map(drop)
}
