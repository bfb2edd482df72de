//! Rows of second factors and recovery codes.
use api::{Id, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{FactorKind, FactorName, MfaFactor};

const COLUMNS: &str = "f.user_id, f.factor_id, f.kind, f.display_name, f.confirmed, f.create_time, f.last_use_time, \
     case f.kind when 2 then (select count(*) from recovery_codes r where r.user_id = f.user_id) else 0 end as remaining";

fn read(row: &Row) -> Result<MfaFactor, db::Error> {
    Ok(MfaFactor {
        user: id(row, "user_id")?.into(),
        id: id(row, "factor_id")?,
        kind: FactorKind::of_number(row.try_get("kind")?).unwrap_or(FactorKind::Totp),
        display_name: row.try_get("display_name")?,
        confirmed: row.try_get("confirmed")?,
        remaining: row.try_get("remaining")?,
        create_time: row.try_get("create_time")?,
        last_use_time: row.try_get("last_use_time")?,
    })
}

/// A factor.
pub(crate) async fn get(tx: &Tx, name: FactorName) -> Result<Option<MfaFactor>, db::Error> {
    let sql = format!("select {COLUMNS} from mfa_factors f where f.user_id = $1 and f.factor_id = $2");
    tx.query_opt(&sql, &[&name.user.uuid(), &name.factor.uuid()]).await?.as_ref().map(read).transpose()
}

/// A page of a user's factors.
pub(crate) async fn list(tx: &Tx, user: UserId, after: Id, limit: i64) -> Result<Vec<MfaFactor>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from mfa_factors f where f.user_id = $1 and f.factor_id > $2 order by f.factor_id limit $3"
    );
    tx.query(&sql, &[&user.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A new factor with its sealed secret, if it has one.
pub(crate) async fn insert(tx: &Tx, factor: &MfaFactor, sealed: Option<&[u8]>) -> Result<(), db::Error> {
    let sql = "insert into mfa_factors (user_id, factor_id, kind, display_name, sealed_secret, confirmed, create_time) \
         values ($1, $2, $3, $4, $5, $6, $7)";
    let MfaFactor { user, id, kind, display_name, confirmed, create_time, .. } = factor;
    let kind = *kind as i16;
    tx.execute(sql, &[&user.uuid(), &id.uuid(), &kind, display_name, &sealed, confirmed, create_time]).await.map(drop)
}

/// Sealed secrets of a user's apps, confirmed or not.
pub(crate) async fn secrets(tx: &Tx, user: UserId, confirmed: bool) -> Result<Vec<(Id, Vec<u8>)>, db::Error> {
    let sql = "select factor_id, sealed_secret from mfa_factors where user_id = $1 and kind = 1 and confirmed = $2 order by factor_id";
    let rows = tx.query(sql, &[&user.uuid(), &confirmed]).await?;
    rows.iter().map(|row| Ok((id(row, "factor_id")?, row.try_get("sealed_secret")?))).collect()
}

/// Takes the code of a step, unless it or a newer one was taken: of two parallel uses one wins. `confirmed` is what the factor is
/// before; afterwards it is confirmed.
pub(crate) async fn take_step(
    tx: &Tx,
    name: FactorName,
    confirmed: bool,
    step: i64,
    now: OffsetDateTime,
) -> Result<bool, db::Error> {
    let sql = "update mfa_factors set last_step = $4, last_use_time = $5, confirmed = true \
         where user_id = $1 and factor_id = $2 and kind = 1 and confirmed = $3 and last_step < $4";
    let rows = tx.execute(sql, &[&name.user.uuid(), &name.factor.uuid(), &confirmed, &step, &now]).await?;
    Ok(rows == 1)
}

/// Deletes a factor; false when there is none.
pub(crate) async fn delete(tx: &Tx, name: FactorName) -> Result<bool, db::Error> {
    let sql = "delete from mfa_factors where user_id = $1 and factor_id = $2";
    Ok(tx.execute(sql, &[&name.user.uuid(), &name.factor.uuid()]).await? == 1)
}

/// Deletes the set of recovery codes.
pub(crate) async fn delete_recovery(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    tx.execute("delete from recovery_codes where user_id = $1", &[&user.uuid()]).await?;
    tx.execute("delete from mfa_factors where user_id = $1 and kind = 2", &[&user.uuid()]).await.map(drop)
}

/// Deletes everything that a user answers with beside the password, and what would become such a thing.
pub(crate) async fn delete_all(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    for table in ["recovery_codes", "mfa_factors", "passkeys", "passkey_registrations"] {
        tx.execute(&format!("delete from {table} where user_id = $1"), &[&user.uuid()]).await?;
    }
    Ok(())
}

/// Codes of a new set.
pub(crate) async fn insert_codes(tx: &Tx, user: UserId, digests: &[[u8; 32]]) -> Result<(), db::Error> {
    let digests: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
    let sql = "insert into recovery_codes (user_id, code_digest) select $1, unnest($2::bytea[])";
    tx.execute(sql, &[&user.uuid(), &digests]).await.map(drop)
}

/// Uses a recovery code up; of two parallel uses one wins. Gives how many are left.
pub(crate) async fn use_code(
    tx: &Tx,
    user: UserId,
    digest: &[u8],
    now: OffsetDateTime,
) -> Result<Option<i64>, db::Error> {
    let sql = "delete from recovery_codes where user_id = $1 and code_digest = $2";
    if tx.execute(sql, &[&user.uuid(), &digest]).await? == 0 {
        return Ok(None);
    }
    tx.execute("update mfa_factors set last_use_time = $2 where user_id = $1 and kind = 2", &[&user.uuid(), &now])
        .await?;
    let left = tx.query_one("select count(*) from recovery_codes where user_id = $1", &[&user.uuid()]).await?;
    Ok(Some(left.try_get(0)?))
}
