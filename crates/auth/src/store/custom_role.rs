//! Rows of custom roles.
use api::{Id, OrganizationId};
use db::{Row, Tx};
use uuid::Uuid;

use super::id;
use crate::model::{CustomRole, CustomRoleName, Permissions};

const SELECT: &str =
    "select organization_id, role_id, display_name, permissions, version, create_time, update_time from custom_roles";

fn read(row: &Row) -> Result<CustomRole, db::Error> {
    Ok(CustomRole {
        id: id(row, "role_id")?,
        organization: id(row, "organization_id")?.into(),
        display_name: row.try_get("display_name")?,
        permissions: Permissions::restore(&row.try_get::<_, Vec<String>>("permissions")?),
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

fn texts(role: &CustomRole) -> Vec<&'static str> {
    role.permissions.iter().collect()
}

/// A role by name.
pub(crate) async fn get(tx: &Tx, name: CustomRoleName) -> Result<Option<CustomRole>, db::Error> {
    let sql = format!("{SELECT} where organization_id = $1 and role_id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.role.uuid()]).await?.as_ref().map(read).transpose()
}

/// Those of these roles that the organization has.
pub(crate) async fn many(tx: &Tx, organization: OrganizationId, ids: &[Id]) -> Result<Vec<CustomRole>, db::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("{SELECT} where organization_id = $1 and role_id = any($2)");
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    tx.query(&sql, &[&organization.uuid(), &ids]).await?.iter().map(read).collect()
}

/// A page of the roles of an organization.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<CustomRole>, db::Error> {
    let sql = format!("{SELECT} where organization_id = $1 and role_id > $2 order by role_id limit $3");
    tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A page of the roles of all organizations: for a system transaction.
pub(crate) async fn of_all(tx: &Tx, after: CustomRoleName, limit: i64) -> Result<Vec<CustomRole>, db::Error> {
    let sql =
        format!("{SELECT} where (organization_id, role_id) > ($1, $2) order by organization_id, role_id limit $3");
    let rows = tx.query(&sql, &[&after.organization.uuid(), &after.role.uuid(), &limit]).await?;
    rows.iter().map(read).collect()
}

/// What changes with every change of any role, and with a restore of the database: for a system transaction.
pub(crate) async fn revision(tx: &Tx) -> Result<String, db::Error> {
    let sql = "select (select value from epoch)::text || '.' || value from custom_role_revision";
    Ok(tx.query_one(sql, &[]).await?.try_get(0)?)
}

/// How many an organization has.
pub(crate) async fn count(tx: &Tx, organization: OrganizationId) -> Result<i64, db::Error> {
    let sql = "select count(*) from custom_roles where organization_id = $1";
    Ok(tx.query_one(sql, &[&organization.uuid()]).await?.try_get(0)?)
}

/// A new role; gives whether it was made. The id of a role that ended is not taken again: its versions would begin anew.
pub(crate) async fn insert(tx: &Tx, role: &CustomRole) -> Result<bool, db::Error> {
    let sql = "insert into custom_roles (organization_id, role_id, display_name, permissions, version, create_time, update_time) \
         select $1, $2, $3, $4, $5, $6, $6 \
         where not exists (select from ended_custom_roles where organization_id = $1 and role_id = $2)";
    let CustomRole { id, organization, display_name, version, create_time, .. } = role;
    let made =
        tx.execute(sql, &[&organization.uuid(), &id.uuid(), display_name, &texts(role), version, create_time]).await?;
    Ok(made == 1)
}

/// Changes a role; the organization is locked.
pub(crate) async fn save(tx: &Tx, role: &CustomRole) -> Result<(), db::Error> {
    let sql = "update custom_roles set display_name = $3, permissions = $4, version = $5, update_time = $6 \
         where organization_id = $1 and role_id = $2";
    let CustomRole { id, organization, display_name, version, update_time, .. } = role;
    tx.execute(sql, &[&organization.uuid(), &id.uuid(), display_name, &texts(role), version, update_time])
        .await
        .map(drop)
}

/// Ends a role; the organization is locked.
pub(crate) async fn delete(tx: &Tx, name: CustomRoleName) -> Result<(), db::Error> {
    let sql = "insert into ended_custom_roles (organization_id, role_id) values ($1, $2)";
    tx.execute(sql, &[&name.organization.uuid(), &name.role.uuid()]).await?;
    let sql = "delete from custom_roles where organization_id = $1 and role_id = $2";
    tx.execute(sql, &[&name.organization.uuid(), &name.role.uuid()]).await.map(drop)
}

/// Whether a member holds it, active or not.
pub(crate) async fn is_held(tx: &Tx, name: CustomRoleName) -> Result<bool, db::Error> {
    let sql = "select exists (select from memberships where organization_id = $1 and custom_roles <> '{}' and $2 = any(custom_roles))";
    Ok(tx.query_one(sql, &[&name.organization.uuid(), &name.role.uuid()]).await?.try_get(0)?)
}

/// Ids of the roles of an organization that allow this.
pub(crate) async fn allowing(tx: &Tx, organization: OrganizationId, permission: &str) -> Result<Vec<Uuid>, db::Error> {
    let sql = "select role_id from custom_roles where organization_id = $1 and $2 = any(permissions)";
    let rows = tx.query(sql, &[&organization.uuid(), &permission]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
