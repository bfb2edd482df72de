//! Rows of delegations.
use api::{OrganizationId, UserId};
use db::Tx;

use super::id;
use crate::model::{Delegation, DelegationName};

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
    let sql = "select delegation_id, organization_id, user_id, actor, purpose, methods, scopes, expire_time, create_time from delegations \
         where organization_id = $1 and delegation_id = $2";
    let Some(row) = tx.query_opt(sql, &[&name.organization.uuid(), &name.delegation.uuid()]).await? else {
        return Ok(None);
    };
    Ok(Some(Delegation {
        id: id(&row, "delegation_id")?,
        organization: id(&row, "organization_id")?.into(),
        user: id(&row, "user_id")?.into(),
        actor: row.try_get("actor")?,
        purpose: row.try_get("purpose")?,
        methods: row.try_get("methods")?,
        scopes: row.try_get("scopes")?,
        expire_time: row.try_get("expire_time")?,
        create_time: row.try_get("create_time")?,
    }))
}

/// Ends a delegation of one workload; false when there is none.
pub(crate) async fn delete(tx: &Tx, name: DelegationName, actor: &str) -> Result<bool, db::Error> {
    let sql = "delete from delegations where organization_id = $1 and delegation_id = $2 and actor = $3";
    Ok(tx.execute(sql, &[&name.organization.uuid(), &name.delegation.uuid(), &actor]).await? == 1)
}

/// Ends all delegations of a member.
pub(crate) async fn delete_of_member(tx: &Tx, user: UserId, organization: OrganizationId) -> Result<(), db::Error> {
    let sql = "delete from delegations where organization_id = $1 and user_id = $2";
    tx.execute(sql, &[&organization.uuid(), &user.uuid()]).await.map(drop)
}
