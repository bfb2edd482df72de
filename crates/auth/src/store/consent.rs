//! Rows of consents.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};

use super::{id, id_opt, session::scopes};
use crate::model::{Consent, ConsentName, Scopes};

const COLUMNS: &str = "consent_id, user_id, client, organization_id, scope, create_time, update_time";

fn read(row: &Row) -> Result<Consent, db::Error> {
    Ok(Consent {
        id: id(row, "consent_id")?,
        user: id(row, "user_id")?.into(),
        client: row.try_get("client")?,
        organization: id_opt(row, "organization_id")?.map(OrganizationId),
        scopes: scopes(row)?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// What a user has allowed a client in a tenant; it stays until the transaction ends.
pub(crate) async fn find(
    tx: &Tx,
    user: UserId,
    client: &str,
    organization: Option<OrganizationId>,
) -> Result<Option<Scopes>, db::Error> {
    let organization = organization.map(OrganizationId::uuid);
    tx.query_opt(FIND, &[&user.uuid(), &client, &organization]).await?.as_ref().map(scopes).transpose()
}

/// See [`find`].
pub(super) const FIND: &str = "select scope from consents where user_id = $1 and client = $2 and organization_id is not distinct from $3 for share";

/// Allows these scopes beside those allowed before, in the order in which they were; of two parallel consents none is lost.
pub(crate) async fn save(tx: &Tx, consent: &Consent) -> Result<(), db::Error> {
    let sql = format!(
        "insert into consents as c ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $6) \
         on conflict (user_id, client, organization_id) do update set update_time = excluded.update_time, scope = \
         (select string_agg(scope, ' ' order by place) from (select scope, min(place) as place \
         from unnest(string_to_array(c.scope, ' ') || string_to_array(excluded.scope, ' ')) with ordinality as s (scope, place) group by scope) s)"
    );
    let Consent { id, user, client, organization, scopes, create_time, .. } = consent;
    let (organization, scope) = (organization.map(OrganizationId::uuid), scopes.text());
    tx.execute(&sql, &[&id.uuid(), &user.uuid(), client, &organization, &scope, create_time]).await.map(drop)
}

/// A page of the clients that anybody has allowed anything. System transactions only.
pub(crate) async fn clients(tx: &Tx, after: &str, limit: i64) -> Result<Vec<String>, db::Error> {
    let sql = "select distinct client from consents where client > $1 order by client limit $2";
    tx.query(sql, &[&after, &limit]).await?.iter().map(|row| Ok(row.try_get("client")?)).collect()
}

/// A page of a user's consents.
pub(crate) async fn list(tx: &Tx, user: UserId, after: Id, limit: i64) -> Result<Vec<Consent>, db::Error> {
    let sql =
        format!("select {COLUMNS} from consents where user_id = $1 and consent_id > $2 order by consent_id limit $3");
    tx.query(&sql, &[&user.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A consent.
pub(crate) async fn get(tx: &Tx, name: ConsentName) -> Result<Option<Consent>, db::Error> {
    let sql = format!("select {COLUMNS} from consents where user_id = $1 and consent_id = $2");
    tx.query_opt(&sql, &[&name.user.uuid(), &name.consent.uuid()]).await?.as_ref().map(read).transpose()
}

/// Takes a consent back; false when it is gone already.
pub(crate) async fn delete(tx: &Tx, name: ConsentName) -> Result<bool, db::Error> {
    let sql = "delete from consents where user_id = $1 and consent_id = $2";
    Ok(tx.execute(sql, &[&name.user.uuid(), &name.consent.uuid()]).await? == 1)
}

/// Takes back all that a member has allowed in an organization.
pub(crate) async fn delete_of_member(tx: &Tx, user: UserId, organization: OrganizationId) -> Result<(), db::Error> {
    let sql = "delete from consents where user_id = $1 and organization_id = $2";
    tx.execute(sql, &[&user.uuid(), &organization.uuid()]).await.map(drop)
}

/// Codes, those of devices too, that a client of the user has not redeemed yet.
pub(crate) async fn delete_codes(
    tx: &Tx,
    user: UserId,
    client: &str,
    organization: Option<OrganizationId>,
) -> Result<(), db::Error> {
    let organization = organization.map(OrganizationId::uuid);
    for table in ["authorization_codes", "device_codes"] {
        let sql = format!(
            "delete from {table} where user_id = $1 and client = $2 and organization_id is not distinct from $3"
        );
        tx.execute(&sql, &[&user.uuid(), &client, &organization]).await?;
    }
    Ok(())
}
