//! Rows of signing keys. System transactions only.
use db::Tx;
use time::OffsetDateTime;

use crate::credential::{KeyUse, NewKey, StoredKey};

/// Holds everybody else back who would make keys, until the transaction ends.
pub(crate) async fn lock(tx: &Tx) -> Result<(), db::Error> {
    tx.query("select pg_advisory_xact_lock(hashtextextended('workos.auth.signing_keys', 0))", &[]).await.map(drop)
}

/// All keys, oldest first.
pub(crate) async fn list(tx: &Tx) -> Result<Vec<StoredKey>, db::Error> {
    let rows =
        tx.query("select key_id, use, kid, public_key, sealed_key from signing_keys order by key_id", &[]).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let key_id: i32 = row.try_get("key_id")?;
        let Some(kind) = KeyUse::of_number(row.try_get("use")?) else { continue };
        let public_key = row.try_get("public_key")?;
        let sealed_key = row.try_get("sealed_key")?;
        keys.push(StoredKey { key_id: key_id.unsigned_abs(), kind, kid: row.try_get("kid")?, public_key, sealed_key });
    }
    Ok(keys)
}

/// A new key, under the lock.
pub(crate) async fn insert(tx: &Tx, key: &NewKey, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "insert into signing_keys (key_id, use, kid, public_key, sealed_key, create_time) values ($1, $2, $3, $4, $5, $6)";
    let NewKey { key_id, kind, kid, public_key, sealed_key } = key;
    tx.execute(sql, &[key_id, &(*kind as i16), kid, public_key, sealed_key, &now]).await.map(drop)
}
