//! Rows of OAuth clients.
use std::collections::HashSet;

use api::{Id, OrganizationId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{
    Client, ClientKind, ClientName, ClientProof, ClientSecrets, IdTokenAlgorithm, RefreshMode, Role, Scopes,
};

const COLUMNS: &str = "organization_id, client_id, display_name, kind, redirect_uris, post_logout_redirect_uris, scopes, authentication_method, \
     id_token_algorithm, refresh_mode, role, actors, version, create_time, update_time";

fn read(row: &Row) -> Result<Client, db::Error> {
    let number = |column: &str| row.try_get::<_, i16>(column);
    Ok(Client {
        id: id(row, "client_id")?.to_string(),
        organization: Some(id(row, "organization_id")?.into()),
        display_name: row.try_get("display_name")?,
        // The checks of the table leave no other numbers; the strictest stands for one of a newer program.
        kind: ClientKind::of_number(number("kind")?).unwrap_or(ClientKind::Machine),
        redirect_uris: row.try_get("redirect_uris")?,
        post_logout_redirect_uris: row.try_get("post_logout_redirect_uris")?,
        scopes: Scopes(row.try_get("scopes")?),
        proof: ClientProof::of_number(number("authentication_method")?).unwrap_or(ClientProof::Basic),
        algorithm: IdTokenAlgorithm::of_number(number("id_token_algorithm")?).unwrap_or(IdTokenAlgorithm::Rs256),
        refresh: RefreshMode::of_number(number("refresh_mode")?).unwrap_or(RefreshMode::Strict),
        role: row.try_get::<_, Option<i16>>("role")?.and_then(Role::of_number),
        actors: row.try_get("actors")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// The client with this id, with the digests of its secrets. System transactions: whoever authenticates belongs to no tenant yet.
pub(crate) async fn find(tx: &Tx, client: Id) -> Result<Option<(Client, ClientSecrets)>, db::Error> {
    let sql = format!(
        "select {COLUMNS}, secret_digest, previous_digest, previous_expire_time from oauth_clients where client_id = $1"
    );
    let Some(row) = tx.query_opt(&sql, &[&client.uuid()]).await? else { return Ok(None) };
    let previous: Option<Vec<u8>> = row.try_get("previous_digest")?;
    let previous = previous.zip(row.try_get::<_, Option<OffsetDateTime>>("previous_expire_time")?);
    Ok(Some((read(&row)?, ClientSecrets { present: row.try_get("secret_digest")?, previous })))
}

/// A client of an organization; `locked` until the transaction ends.
pub(crate) async fn get(tx: &Tx, name: ClientName, locked: bool) -> Result<Option<Client>, db::Error> {
    let lock = if locked { " for update" } else { "" };
    let sql = format!("select {COLUMNS} from oauth_clients where organization_id = $1 and client_id = $2{lock}");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.client.uuid()]).await?.as_ref().map(read).transpose()
}

/// A page of an organization's clients.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<Client>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from oauth_clients where organization_id = $1 and client_id > $2 order by client_id limit $3"
    );
    tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// How many clients an organization has.
pub(crate) async fn count(tx: &Tx, organization: OrganizationId) -> Result<i64, db::Error> {
    let sql = "select count(*) from oauth_clients where organization_id = $1";
    Ok(tx.query_one(sql, &[&organization.uuid()]).await?.try_get(0)?)
}

/// Those of these ids that are there. System transactions only.
pub(crate) async fn those(tx: &Tx, ids: &[String]) -> Result<HashSet<String>, db::Error> {
    let ids: Vec<_> = ids.iter().filter_map(|id| id.parse::<Id>().ok()).map(Id::uuid).collect();
    let rows = tx.query("select client_id from oauth_clients where client_id = any($1)", &[&ids]).await?;
    rows.iter().map(|row| Ok(id(row, "client_id")?.to_string())).collect()
}

/// Those of these clients that the organization has, each with its actors.
pub(crate) async fn with_actors(
    tx: &Tx,
    organization: OrganizationId,
    ids: &[Id],
) -> Result<Vec<(Id, Vec<String>)>, db::Error> {
    let sql = "select client_id, actors from oauth_clients where organization_id = $1 and client_id = any($2)";
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(sql, &[&organization.uuid(), &ids]).await?;
    rows.iter().map(|row| Ok((id(row, "client_id")?, row.try_get("actors")?))).collect()
}

/// A new client.
pub(crate) async fn insert(tx: &Tx, name: ClientName, client: &Client, secret: Option<&[u8]>) -> Result<(), db::Error> {
    let sql = "insert into oauth_clients (organization_id, client_id, display_name, kind, redirect_uris, post_logout_redirect_uris, scopes, \
         authentication_method, id_token_algorithm, refresh_mode, role, actors, version, create_time, update_time, secret_digest) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let (organization, id, role) = (name.organization.uuid(), name.client.uuid(), client.role.map(|role| role as i16));
    let Client { display_name, redirect_uris, post_logout_redirect_uris, scopes, actors, .. } = client;
    let (kind, proof) = (client.kind as i16, client.proof as i16);
    let (algorithm, refresh) = (client.algorithm as i16, client.refresh as i16);
    let Client { version, create_time, update_time, .. } = client;
    tx.execute(
        sql,
        &[
            &organization,
            &id,
            display_name,
            &kind,
            redirect_uris,
            post_logout_redirect_uris,
            &scopes.0,
            &proof,
            &algorithm,
            &refresh,
            &role,
            actors,
            version,
            create_time,
            update_time,
            &secret,
        ],
    )
    .await
    .map(drop)
}

/// A changed client; kind and secret stay.
pub(crate) async fn save(tx: &Tx, name: ClientName, client: &Client) -> Result<(), db::Error> {
    let sql = "update oauth_clients set display_name = $3, redirect_uris = $4, post_logout_redirect_uris = $5, scopes = $6, \
         authentication_method = $7, id_token_algorithm = $8, refresh_mode = $9, role = $10, actors = $11, version = $12, update_time = $13 \
         where organization_id = $1 and client_id = $2";
    let (organization, id, role) = (name.organization.uuid(), name.client.uuid(), client.role.map(|role| role as i16));
    let Client { display_name, redirect_uris, post_logout_redirect_uris, scopes, actors, version, update_time, .. } =
        client;
    let (proof, algorithm, refresh) = (client.proof as i16, client.algorithm as i16, client.refresh as i16);
    tx.execute(
        sql,
        &[
            &organization,
            &id,
            display_name,
            redirect_uris,
            post_logout_redirect_uris,
            &scopes.0,
            &proof,
            &algorithm,
            &refresh,
            &role,
            actors,
            version,
            update_time,
        ],
    )
    .await
    .map(drop)
}

/// A new secret; the present one lives on until then, if it does.
pub(crate) async fn save_secret(
    tx: &Tx,
    name: ClientName,
    digest: &[u8],
    previous_until: Option<OffsetDateTime>,
) -> Result<(), db::Error> {
    let sql = "update oauth_clients set previous_digest = case when $4::timestamptz is null then null else secret_digest end, \
         previous_expire_time = $4, secret_digest = $3 where organization_id = $1 and client_id = $2";
    tx.execute(sql, &[&name.organization.uuid(), &name.client.uuid(), &digest, &previous_until]).await.map(drop)
}

/// Deletes a client; false when there is none.
pub(crate) async fn delete(tx: &Tx, name: ClientName) -> Result<bool, db::Error> {
    let sql = "delete from oauth_clients where organization_id = $1 and client_id = $2";
    Ok(tx.execute(sql, &[&name.organization.uuid(), &name.client.uuid()]).await? == 1)
}

/// What a deleted client leaves behind: codes, requests, devices, consents. System transactions.
pub(crate) async fn delete_traces(tx: &Tx, client: &str) -> Result<(), db::Error> {
    for table in ["authorization_codes", "authorization_requests", "device_codes", "consents"] {
        tx.execute(&format!("delete from {table} where client = $1"), &[&client]).await?;
    }
    Ok(())
}
