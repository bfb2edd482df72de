//! Rows of organizations.
use api::OrganizationId;
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{Organization, OrganizationState};

const COLUMNS: &str =
    "organization_id, display_name, version, create_time, update_time, state, purge_time, audit_retention_days";

fn read(row: &Row) -> Result<Organization, db::Error> {
    Ok(Organization {
        id: id(row, "organization_id")?.into(),
        display_name: row.try_get("display_name")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
        // The column's check leaves three numbers; anything else counts as not in force.
        state: OrganizationState::of_number(row.try_get("state")?).unwrap_or(OrganizationState::Suspended),
        purge_time: row.try_get("purge_time")?,
        audit_retention_days: row.try_get("audit_retention_days")?,
    })
}

/// The organization.
pub(crate) async fn get(tx: &Tx, organization: OrganizationId) -> Result<Option<Organization>, db::Error> {
    let sql = select();
    tx.query_opt(&sql, &[&organization.uuid()]).await?.as_ref().map(read).transpose()
}

/// The organization, locked until the transaction ends. Changes of owners take this lock first, so that they come one by one. Rows that
/// refer to the organization, sessions and codes among them, are made all the same: who makes them may hold what is to be ended here.
pub(crate) async fn lock(tx: &Tx, organization: OrganizationId) -> Result<Option<Organization>, db::Error> {
    let sql = select() + " for no key update";
    tx.query_opt(&sql, &[&organization.uuid()]).await?.as_ref().map(read).transpose()
}

/// Waits for whoever has the organization locked, and keeps others from it until the transaction ends: what is read of its members from
/// here on is so until then.
pub(crate) async fn keep(tx: &Tx, organization: OrganizationId) -> Result<(), db::Error> {
    tx.query(&keep_sql("$1"), &[&organization.uuid()]).await.map(drop)
}

/// See [`keep`]; of the organization that an expression names.
pub(super) fn keep_sql(organization: &str) -> String {
    format!("select 1 from organizations where organization_id = {organization} for share")
}

fn select() -> String {
    format!("select {COLUMNS} from organizations where organization_id = $1")
}

/// A new organization.
pub(crate) async fn insert(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let sql = "insert into organizations (organization_id, display_name, version, create_time, update_time) values ($1, $2, $3, $4, $5)";
    let Organization { id, display_name, version, create_time, update_time, .. } = organization;
    tx.execute(sql, &[&id.uuid(), display_name, version, create_time, update_time]).await.map(drop)
}

/// Changes an organization; the row is locked.
pub(crate) async fn save(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let sql = "update organizations set display_name = $2, version = $3, update_time = $4, audit_retention_days = $5 where organization_id = $1";
    let Organization { id, display_name, version, update_time, audit_retention_days, .. } = organization;
    tx.execute(sql, &[&id.uuid(), display_name, version, update_time, audit_retention_days]).await.map(drop)
}

/// Changes the state of an organization; the row is locked.
pub(crate) async fn save_state(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let sql = "update organizations set state = $2, purge_time = $3, version = $4, update_time = $5 where organization_id = $1";
    let Organization { id, state, purge_time, version, update_time, .. } = organization;
    tx.execute(sql, &[&id.uuid(), &(*state as i16), purge_time, version, update_time]).await.map(drop)
}

/// Erases what hangs on organizations whose time is over, and their names; gives them as they are now. System transactions only.
pub(crate) async fn purge(tx: &Tx, now: OffsetDateTime) -> Result<Vec<Organization>, db::Error> {
    let sql = format!(
        "update organizations set display_name = '', purge_time = null, version = version + 1 where purge_time < $1 returning {COLUMNS}"
    );
    let gone = tx.query(&sql, &[&now]).await?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let uuids: Vec<_> = gone.iter().map(|organization| organization.id.uuid()).collect();
    for table in [
        "memberships",
        "invitations",
        "delegations",
        "api_keys",
        "sessions",
        "mail_deliveries",
        "custom_roles",
        "ended_custom_roles",
        "group_members",
        "groups",
        "ended_groups",
        "link_holders",
        "links",
        "relations",
        "relation_parents",
        "relation_objects",
        "relation_heads",
        "oauth_clients",
        "consents",
        "identity_providers",
    ] {
        tx.execute(&format!("delete from {table} where organization_id = any($1)"), &[&uuids]).await?;
    }
    Ok(gone)
}
