//! Sealed secrets of whatever rows have one, to be sealed anew. System transactions only.
use api::Id;
use db::{Row, Tx};
use uuid::Uuid;

use super::id;

/// A column of sealed secrets.
pub(crate) struct Column {
    table: &'static str,
    /// The two columns of the key.
    owner: &'static str,
    id: &'static str,
}

/// Secrets of authenticator apps.
pub(crate) const FACTORS: Column = Column { table: "mfa_factors", owner: "user_id", id: "factor_id" };
/// Secrets for identity providers.
pub(crate) const PROVIDERS: Column =
    Column { table: "identity_providers", owner: "organization_id", id: "provider_id" };

/// A sealed secret.
pub(crate) struct Sealed {
    /// Whose it is.
    pub(crate) owner: Id,
    /// Id below that.
    pub(crate) id: Id,
    /// The secret.
    pub(crate) sealed: Vec<u8>,
}

/// Some secrets after one, in the order of their keys; locked until the transaction ends.
pub(crate) async fn some(
    tx: &Tx,
    column: &Column,
    (owner, after): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<Sealed>, db::Error> {
    let Column { table, owner: of, id: key } = column;
    let sql = format!(
        "select {of} as owner, {key} as id, sealed_secret from {table} \
         where ({of}, {key}) > ($1, $2) and sealed_secret is not null order by {of}, {key} limit $3 for update"
    );
    let read =
        |row: &Row| Ok(Sealed { owner: id(row, "owner")?, id: id(row, "id")?, sealed: row.try_get("sealed_secret")? });
    tx.query(&sql, &[&owner, &after, &limit]).await?.iter().map(read).collect()
}

/// The same secret, sealed anew.
pub(crate) async fn save(tx: &Tx, column: &Column, secret: &Sealed, sealed: &[u8]) -> Result<(), db::Error> {
    let Column { table, owner, id } = column;
    let sql = format!("update {table} set sealed_secret = $3 where {owner} = $1 and {id} = $2");
    tx.execute(&sql, &[&secret.owner.uuid(), &secret.id.uuid(), &sealed]).await.map(drop)
}
