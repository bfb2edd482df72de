//! Rows of delegations.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{Delegation, DelegationName};

const COLUMNS: &str =
    "delegation_id, organization_id, user_id, actor, purpose, methods, scopes, expire_time, create_time";

/// A new delegation.
pub(crate) async fn insert(tx: &Tx, delegation: &Delegation) -> Result<(), db::Error> {
    let sql = "insert into delegations (organization_id, delegation_id, user_id, actor, purpose, methods, expire_time, create_time, scopes) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let Delegation { id, organization, user, actor, purpose, methods, scopes, expire_time, create_time } = delegation;
    let (organization, id, user) = (organization.uuid(), id.uuid(), user.uuid());
    let params: [&(dyn db::ToSql + Sync); 9] =
        [&organization, &id, &user, actor, purpose, methods, expire_time, create_time, scopes];
    tx.execute(sql, &params).await.map(drop)
}

/// A delegation.
pub(crate) async fn get(tx: &Tx, name: DelegationName) -> Result<Option<Delegation>, db::Error> {
    let sql = format!("select {COLUMNS} from delegations where organization_id = $1 and delegation_id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.delegation.uuid()]).await?.as_ref().map(read).transpose()
}

/// A page of delegations that have not ended: in the name of one user, or of everybody in the organization.
pub(crate) async fn list(
    tx: &Tx,
    (organization, user): (OrganizationId, Option<UserId>),
    now: OffsetDateTime,
    after: Id,
    limit: i64,
) -> Result<Vec<Delegation>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from delegations where organization_id = $1 and ($2::uuid is null or user_id = $2) and expire_time > $3 \
         and delegation_id > $4 order by delegation_id limit $5"
    );
    let user = user.map(UserId::uuid);
    tx.query(&sql, &[&organization.uuid(), &user, &now, &after.uuid(), &limit]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Delegation, db::Error> {
    Ok(Delegation {
        id: id(row, "delegation_id")?,
        organization: id(row, "organization_id")?.into(),
        user: id(row, "user_id")?.into(),
        actor: row.try_get("actor")?,
        purpose: row.try_get("purpose")?,
        methods: row.try_get("methods")?,
        scopes: row.try_get("scopes")?,
        expire_time: row.try_get("expire_time")?,
        create_time: row.try_get("create_time")?,
    })
}

/// Ends a delegation, of one workload if one is named; false when there is none.
pub(crate) async fn delete(tx: &Tx, name: DelegationName, actor: Option<&str>) -> Result<bool, db::Error> {
    let sql = "delete from delegations where organization_id = $1 and delegation_id = $2 and ($3::text is null or actor = $3)";
    Ok(tx.execute(sql, &[&name.organization.uuid(), &name.delegation.uuid(), &actor]).await? == 1)
}

/// Ends all delegations of a member.
pub(crate) async fn delete_of_member(tx: &Tx, user: UserId, organization: OrganizationId) -> Result<(), db::Error> {
    let sql = "delete from delegations where organization_id = $1 and user_id = $2";
    tx.execute(sql, &[&organization.uuid(), &user.uuid()]).await.map(drop)
}
