//! Rows of signing keys. System transactions only.
use db::Tx;
use time::OffsetDateTime;

use crate::{
    credential::{GoneKey, KeyUse, NewKey, StoredKey},
    model::{IdTokenAlgorithm, KeyTimes},
};

/// Holds everybody else back who would make keys, until the transaction ends.
pub(crate) async fn lock(tx: &Tx) -> Result<(), db::Error> {
    tx.query("select pg_advisory_xact_lock(hashtextextended('workos.auth.signing_keys', 0))", &[]).await.map(drop)
}

/// All keys that are not gone, oldest first.
pub(crate) async fn list(tx: &Tx, now: OffsetDateTime) -> Result<Vec<StoredKey>, db::Error> {
    let sql = "select key_id, use, kid, public_key, sealed_key, activate_time, expire_time from signing_keys \
         where expire_time is null or expire_time > $1 order by key_id";
    let rows = tx.query(sql, &[&now]).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let key_id: i32 = row.try_get("key_id")?;
        let Some(kind) = KeyUse::of_number(row.try_get("use")?) else { continue };
        keys.push(StoredKey {
            key_id: key_id.unsigned_abs(),
            kind,
            kid: row.try_get("kid")?,
            public_key: row.try_get("public_key")?,
            sealed_key: row.try_get("sealed_key")?,
            times: KeyTimes { activate: row.try_get("activate_time")?, expire: row.try_get("expire_time")? },
        });
    }
    Ok(keys)
}

/// Public halves of keys that have signed ID tokens and went after that time, but not later than now.
pub(crate) async fn gone(tx: &Tx, after: OffsetDateTime, now: OffsetDateTime) -> Result<Vec<GoneKey>, db::Error> {
    let sql = "select use, kid, public_key from signing_keys where expire_time > $1 and expire_time <= $2 \
         and revoke_time is null order by key_id";
    let rows = tx.query(sql, &[&after, &now]).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let signed = match KeyUse::of_number(row.try_get("use")?) {
            Some(KeyUse::Edge) => IdTokenAlgorithm::Es256,
            Some(KeyUse::IdToken) => IdTokenAlgorithm::Rs256,
            Some(KeyUse::Internal | KeyUse::Refresh) | None => continue,
        };
        keys.push(GoneKey { kid: row.try_get("kid")?, signed, bytes: row.try_get("public_key")? });
    }
    Ok(keys)
}

/// The greatest number that a key has had, gone ones included: numbers are never given twice.
pub(crate) async fn newest(tx: &Tx) -> Result<i32, db::Error> {
    let row = tx.query_one("select coalesce(max(key_id), 0) from signing_keys", &[]).await?;
    Ok(row.try_get(0)?)
}

/// A new key, under the lock.
pub(crate) async fn insert(tx: &Tx, key: &NewKey, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "insert into signing_keys (key_id, use, kid, public_key, sealed_key, create_time, activate_time) \
         values ($1, $2, $3, $4, $5, $6, $7)";
    let NewKey { key_id, kind, kid, public_key, sealed_key, activate } = key;
    tx.execute(sql, &[key_id, &(*kind as i16), kid, public_key, sealed_key, &now, activate]).await.map(drop)
}

/// The keys of a kind that have no end get one: they have a successor now. Its own row comes after.
pub(crate) async fn retire(tx: &Tx, kind: KeyUse, expire_time: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update signing_keys set expire_time = $2 where use = $1 and expire_time is null";
    tx.execute(sql, &[&(kind as i16), &expire_time]).await.map(drop)
}

/// Ends a key for all there is, its private half too. Gives false where no such key was ever made.
pub(crate) async fn revoke(tx: &Tx, kid: &str, now: OffsetDateTime) -> Result<bool, db::Error> {
    let sql = "update signing_keys set revoke_time = coalesce(revoke_time, $2), expire_time = least(expire_time, $2), sealed_key = '' \
         where kid = $1";
    Ok(tx.execute(sql, &[&kid, &now]).await? == 1)
}

/// An announced key signs from now on.
pub(crate) async fn begin(tx: &Tx, kid: &str, now: OffsetDateTime) -> Result<(), db::Error> {
    tx.execute("update signing_keys set activate_time = $2 where kid = $1", &[&kid, &now]).await.map(drop)
}

/// A key that has a successor goes on until then.
pub(crate) async fn keep(tx: &Tx, kid: &str, expire_time: OffsetDateTime) -> Result<(), db::Error> {
    tx.execute("update signing_keys set expire_time = $2 where kid = $1", &[&kid, &expire_time]).await.map(drop)
}

/// The private half of a key, sealed anew.
pub(crate) async fn reseal(tx: &Tx, kid: &str, sealed: &[u8]) -> Result<(), db::Error> {
    tx.execute("update signing_keys set sealed_key = $2 where kid = $1", &[&kid, &sealed]).await.map(drop)
}

/// Private halves of keys that are gone.
pub(crate) async fn forget(tx: &Tx, now: OffsetDateTime) -> Result<(), db::Error> {
    tx.execute("update signing_keys set sealed_key = '' where expire_time <= $1 and sealed_key <> ''", &[&now])
        .await
        .map(drop)
}
