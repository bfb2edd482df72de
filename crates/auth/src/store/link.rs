//! Rows of links and of who holds them. They change only while the organization is locked.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::id;
use crate::model::{LinkName, ShareLink};

const SELECT: &str = "select organization_id, link_id, user_id, display_name, expire_time, create_time, version, holder_count from links";

fn read(row: &Row) -> Result<ShareLink, db::Error> {
    Ok(ShareLink {
        id: id(row, "link_id")?,
        organization: id(row, "organization_id")?.into(),
        owner: UserId(id(row, "user_id")?),
        display_name: row.try_get("display_name")?,
        expire_time: row.try_get("expire_time")?,
        create_time: row.try_get("create_time")?,
        version: row.try_get("version")?,
        holders: row.try_get("holder_count")?,
    })
}

/// A link by name, ended or not.
pub(crate) async fn get(tx: &Tx, name: LinkName) -> Result<Option<ShareLink>, db::Error> {
    let sql = format!("{SELECT} where organization_id = $1 and link_id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.link.uuid()]).await?.as_ref().map(read).transpose()
}

/// The digest of a link's secret.
pub(crate) async fn digest(tx: &Tx, name: LinkName) -> Result<Option<Vec<u8>>, db::Error> {
    let sql = "select secret_digest from links where organization_id = $1 and link_id = $2";
    let row = tx.query_opt(sql, &[&name.organization.uuid(), &name.link.uuid()]).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// A page of the links that have not ended: of one member, or of everybody in the organization.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    (owner, now): (Option<UserId>, OffsetDateTime),
    after: Id,
    limit: i64,
) -> Result<Vec<ShareLink>, db::Error> {
    let sql = format!(
        "{SELECT} where organization_id = $1 and ($2::uuid is null or user_id = $2) and expire_time > $3 and link_id > $4 \
         order by link_id limit $5"
    );
    let owner = owner.map(UserId::uuid);
    let rows = tx.query(&sql, &[&organization.uuid(), &owner, &now, &after.uuid(), &limit]).await?;
    rows.iter().map(read).collect()
}

/// How many an organization has that have not ended.
pub(crate) async fn count(tx: &Tx, organization: OrganizationId, now: OffsetDateTime) -> Result<i64, db::Error> {
    let sql = "select count(*) from links where organization_id = $1 and expire_time > $2";
    Ok(tx.query_one(sql, &[&organization.uuid(), &now]).await?.try_get(0)?)
}

/// How many of one member have not ended.
pub(crate) async fn count_of(
    tx: &Tx,
    organization: OrganizationId,
    owner: UserId,
    now: OffsetDateTime,
) -> Result<i64, db::Error> {
    let sql = "select count(*) from links where organization_id = $1 and user_id = $2 and expire_time > $3";
    Ok(tx.query_one(sql, &[&organization.uuid(), &owner.uuid(), &now]).await?.try_get(0)?)
}

/// How many of these links are there and have not ended.
pub(crate) async fn there(
    tx: &Tx,
    organization: OrganizationId,
    links: &[Id],
    now: OffsetDateTime,
) -> Result<usize, db::Error> {
    let sql = "select count(*) from links where organization_id = $1 and link_id = any($2) and expire_time > $3";
    let links: Vec<Uuid> = links.iter().map(|link| link.uuid()).collect();
    let count: i64 = tx.query_one(sql, &[&organization.uuid(), &links, &now]).await?.try_get(0)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// A new link.
pub(crate) async fn insert(tx: &Tx, link: &ShareLink, digest: &[u8]) -> Result<(), db::Error> {
    let sql = "insert into links (organization_id, link_id, user_id, display_name, secret_digest, expire_time, create_time, version) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let ShareLink { id, organization, owner, display_name, expire_time, create_time, version, .. } = link;
    let params: [&(dyn db::ToSql + Sync); 8] =
        [&organization.uuid(), &id.uuid(), &owner.uuid(), display_name, &digest, expire_time, create_time, version];
    tx.execute(sql, &params).await.map(drop)
}

/// Whether a user holds a link.
pub(crate) async fn holds(tx: &Tx, name: LinkName, user: UserId) -> Result<bool, db::Error> {
    let sql = "select exists (select from link_holders where organization_id = $1 and link_id = $2 and user_id = $3)";
    Ok(tx.query_one(sql, &[&name.organization.uuid(), &name.link.uuid(), &user.uuid()]).await?.try_get(0)?)
}

/// One more holder, with the next version of the link.
pub(crate) async fn hold(tx: &Tx, next: &ShareLink, user: UserId) -> Result<(), db::Error> {
    let sql = "insert into link_holders (organization_id, link_id, user_id, expire_time) values ($1, $2, $3, $4)";
    let (organization, link) = (next.organization.uuid(), next.id.uuid());
    tx.execute(sql, &[&organization, &link, &user.uuid(), &next.expire_time]).await?;
    let sql = "update links set version = $3, holder_count = $4 where organization_id = $1 and link_id = $2";
    tx.execute(sql, &[&organization, &link, &next.version, &next.holders]).await.map(drop)
}

/// Takes all links from somebody.
pub(crate) async fn forget(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<(), db::Error> {
    let sql = "with gone as (delete from link_holders where organization_id = $1 and user_id = $2 returning link_id) \
         update links set holder_count = holder_count - 1 where organization_id = $1 and link_id in (select link_id from gone)";
    tx.execute(sql, &[&organization.uuid(), &user.uuid()]).await.map(drop)
}

/// Ends a link with what its holders hold by it.
pub(crate) async fn delete(tx: &Tx, name: LinkName) -> Result<(), db::Error> {
    let sql = "delete from links where organization_id = $1 and link_id = $2";
    tx.execute(sql, &[&name.organization.uuid(), &name.link.uuid()]).await.map(drop)
}

/// Some links whose time is over, the oldest first; for a system transaction.
pub(crate) async fn ended(tx: &Tx, now: OffsetDateTime, most: i64) -> Result<Vec<LinkName>, db::Error> {
    let sql = "select organization_id, link_id from links where expire_time <= $1 order by expire_time limit $2";
    let name = |row: &Row| Ok(LinkName { organization: id(row, "organization_id")?.into(), link: id(row, "link_id")? });
    tx.query(sql, &[&now, &most]).await?.iter().map(name).collect()
}
