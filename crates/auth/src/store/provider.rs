//! Rows of identity providers and linked accounts.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};

use super::id;
use crate::model::{Identity, IdentityName, Plain, Protocol, Provider, ProviderName};

const COLUMNS: &str = "organization_id, provider_id, display_name, protocol, issuer, client_id, scopes, hosts, authorization_endpoint, \
     token_endpoint, userinfo_endpoint, email_endpoint, subject_path, email_path, email_verified_path, version, create_time, update_time";

fn read(row: &Row) -> Result<Provider, db::Error> {
    let name =
        ProviderName { organization: OrganizationId(id(row, "organization_id")?), provider: id(row, "provider_id")? };
    let protocol = Protocol::of_number(i32::from(row.try_get::<_, i16>("protocol")?)).unwrap_or(Protocol::Oidc);
    Ok(Provider {
        name,
        display_name: row.try_get("display_name")?,
        protocol,
        issuer: row.try_get("issuer")?,
        client_id: row.try_get("client_id")?,
        scopes: row.try_get("scopes")?,
        hosts: row.try_get("hosts")?,
        plain: Plain {
            authorization_endpoint: row.try_get("authorization_endpoint")?,
            token_endpoint: row.try_get("token_endpoint")?,
            userinfo_endpoint: row.try_get("userinfo_endpoint")?,
            email_endpoint: row.try_get("email_endpoint")?,
            subject_path: row.try_get("subject_path")?,
            email_path: row.try_get("email_path")?,
            email_verified_path: row.try_get("email_verified_path")?,
        },
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// A page of an organization's providers.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<Provider>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from identity_providers where organization_id = $1 and provider_id > $2 order by provider_id limit $3"
    );
    tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A provider; `locked` until the transaction ends.
pub(crate) async fn get(tx: &Tx, name: ProviderName, locked: bool) -> Result<Option<Provider>, db::Error> {
    let lock = if locked { " for update" } else { "" };
    let sql = format!("select {COLUMNS} from identity_providers where organization_id = $1 and provider_id = $2{lock}");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.provider.uuid()]).await?.as_ref().map(read).transpose()
}

/// The sealed secret of a provider.
pub(crate) async fn secret(tx: &Tx, name: ProviderName) -> Result<Option<Vec<u8>>, db::Error> {
    let sql = "select sealed_secret from identity_providers where organization_id = $1 and provider_id = $2";
    let row = tx.query_opt(sql, &[&name.organization.uuid(), &name.provider.uuid()]).await?;
    row.map(|row| row.try_get(0)).transpose().map_err(Into::into)
}

/// A new provider with its sealed secret.
pub(crate) async fn insert(tx: &Tx, provider: &Provider, sealed: &[u8]) -> Result<(), db::Error> {
    let sql = format!(
        "insert into identity_providers ({COLUMNS}, sealed_secret) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18)"
    );
    let Provider {
        name, display_name, protocol, issuer, client_id, scopes, hosts, plain, version, create_time, ..
    } = provider;
    let params: [&(dyn db::ToSql + Sync); 18] = [
        &name.organization.uuid(),
        &name.provider.uuid(),
        display_name,
        &(*protocol as i16),
        issuer,
        client_id,
        scopes,
        hosts,
        &plain.authorization_endpoint,
        &plain.token_endpoint,
        &plain.userinfo_endpoint,
        &plain.email_endpoint,
        &plain.subject_path,
        &plain.email_path,
        &plain.email_verified_path,
        version,
        create_time,
        &sealed,
    ];
    tx.execute(&sql, &params).await.map(drop)
}

/// What an update may change; the row is locked. `sealed` is another secret.
pub(crate) async fn save(tx: &Tx, provider: &Provider, sealed: Option<&[u8]>) -> Result<(), db::Error> {
    let sql = "update identity_providers set display_name = $3, client_id = $4, scopes = $5, hosts = $6, version = $7, update_time = $8, \
         sealed_secret = coalesce($9, sealed_secret) where organization_id = $1 and provider_id = $2";
    let Provider { name, display_name, client_id, scopes, hosts, version, update_time, .. } = provider;
    let params: [&(dyn db::ToSql + Sync); 9] = [
        &name.organization.uuid(),
        &name.provider.uuid(),
        display_name,
        client_id,
        scopes,
        hosts,
        version,
        update_time,
        &sealed,
    ];
    tx.execute(sql, &params).await.map(drop)
}

/// Deletes a provider; false when there is none.
pub(crate) async fn delete(tx: &Tx, name: ProviderName) -> Result<bool, db::Error> {
    let sql = "delete from identity_providers where organization_id = $1 and provider_id = $2";
    Ok(tx.execute(sql, &[&name.organization.uuid(), &name.provider.uuid()]).await? == 1)
}

fn read_identity(row: &Row) -> Result<Identity, db::Error> {
    Ok(Identity {
        name: IdentityName { user: id(row, "user_id")?.into(), identity: id(row, "identity_id")? },
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        email: row.try_get("email")?,
        create_time: row.try_get("create_time")?,
    })
}

/// A page of a user's linked accounts.
pub(crate) async fn identities(tx: &Tx, user: UserId, after: Id, limit: i64) -> Result<Vec<Identity>, db::Error> {
    let sql = "select user_id, identity_id, issuer, subject, email, create_time from identities \
         where user_id = $1 and identity_id > $2 order by identity_id limit $3";
    tx.query(sql, &[&user.uuid(), &after.uuid(), &limit]).await?.iter().map(read_identity).collect()
}

/// A linked account.
pub(crate) async fn identity(tx: &Tx, name: IdentityName) -> Result<Option<Identity>, db::Error> {
    let sql = "select user_id, identity_id, issuer, subject, email, create_time from identities \
         where user_id = $1 and identity_id = $2";
    tx.query_opt(sql, &[&name.user.uuid(), &name.identity.uuid()]).await?.as_ref().map(read_identity).transpose()
}

/// The user to whom an upstream account is linked, and the version of his credentials. System transactions only.
pub(crate) async fn linked(tx: &Tx, issuer: &str, subject: &str) -> Result<Option<(UserId, i64)>, db::Error> {
    let sql = "select user_id, credential_version from identities join users using (user_id) where issuer = $1 and subject = $2";
    let Some(row) = tx.query_opt(sql, &[&issuer, &subject]).await? else { return Ok(None) };
    Ok(Some((UserId(id(&row, "user_id")?), row.try_get("credential_version")?)))
}

/// Links an upstream account.
pub(crate) async fn link(tx: &Tx, identity: &Identity) -> Result<(), db::Error> {
    let sql = "insert into identities (user_id, identity_id, issuer, subject, email, create_time) values ($1, $2, $3, $4, $5, $6)";
    let Identity { name, issuer, subject, email, create_time } = identity;
    tx.execute(sql, &[&name.user.uuid(), &name.identity.uuid(), issuer, subject, email, create_time]).await.map(drop)
}

/// Unlinks an account.
pub(crate) async fn unlink(tx: &Tx, name: IdentityName) -> Result<(), db::Error> {
    let sql = "delete from identities where user_id = $1 and identity_id = $2";
    tx.execute(sql, &[&name.user.uuid(), &name.identity.uuid()]).await.map(drop)
}

/// The user with this address, locked. System transactions only.
pub(crate) async fn user_with_email(tx: &Tx, key: &str) -> Result<Option<UserId>, db::Error> {
    let sql = "select user_id from users where email_key = $1 and state = 1 and kind = 1 for no key update";
    tx.query_opt(sql, &[&key]).await?.map(|row| id(&row, "user_id").map(UserId)).transpose()
}
