//! Rows of the bootstrap. System transactions only.
use db::Tx;
use time::OffsetDateTime;

/// The platform has its first owner.
pub(crate) async fn is_done(tx: &Tx) -> Result<bool, db::Error> {
    Ok(tx.query_one("select exists (select from bootstrap)", &[]).await?.try_get(0)?)
}

/// Claims the bootstrap: of two parallel ones, the second waits for the first and is then refused by `bootstrap_pkey`.
pub(crate) async fn claim(tx: &Tx, now: OffsetDateTime) -> Result<(), db::Error> {
    tx.execute("insert into bootstrap (complete_time) values ($1)", &[&now]).await.map(drop)
}

/// A new one-time code.
pub(crate) async fn insert_code(tx: &Tx, digest: &[u8], expire_time: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "insert into bootstrap_codes (code_digest, expire_time) values ($1, $2)";
    tx.execute(sql, &[&digest, &expire_time]).await.map(drop)
}

/// The code is good now.
pub(crate) async fn has_code(tx: &Tx, digest: &[u8], now: OffsetDateTime) -> Result<bool, db::Error> {
    let sql = "select exists (select from bootstrap_codes where code_digest = $1 and expire_time > $2)";
    Ok(tx.query_one(sql, &[&digest, &now]).await?.try_get(0)?)
}

/// No code is good any more.
pub(crate) async fn delete_codes(tx: &Tx) -> Result<(), db::Error> {
    tx.execute("delete from bootstrap_codes", &[]).await.map(drop)
}
