//! Rows of organizations.
use api::OrganizationId;
use db::{Row, Tx};

use super::id;
use crate::model::Organization;

const COLUMNS: &str = "organization_id, display_name, version, create_time, update_time";

fn read(row: &Row) -> Result<Organization, db::Error> {
    Ok(Organization {
        id: id(row, "organization_id")?.into(),
        display_name: row.try_get("display_name")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// The organization.
pub(crate) async fn get(tx: &Tx, organization: OrganizationId) -> Result<Option<Organization>, db::Error> {
    let sql = select();
    tx.query_opt(&sql, &[&organization.uuid()]).await?.as_ref().map(read).transpose()
}

/// The organization, locked until the transaction ends. Changes of owners take this lock first, so that they come one by one.
pub(crate) async fn lock(tx: &Tx, organization: OrganizationId) -> Result<Option<Organization>, db::Error> {
    let sql = select() + " for update";
    tx.query_opt(&sql, &[&organization.uuid()]).await?.as_ref().map(read).transpose()
}

fn select() -> String {
    format!("select {COLUMNS} from organizations where organization_id = $1")
}

/// A new organization.
pub(crate) async fn insert(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let sql = "insert into organizations (organization_id, display_name, version, create_time, update_time) values ($1, $2, $3, $4, $5)";
    let Organization { id, display_name, version, create_time, update_time } = organization;
    tx.execute(sql, &[&id.uuid(), display_name, version, create_time, update_time]).await.map(drop)
}

/// Changes an organization; the row is locked.
pub(crate) async fn save(tx: &Tx, organization: &Organization) -> Result<(), db::Error> {
    let sql = "update organizations set display_name = $2, version = $3, update_time = $4 where organization_id = $1";
    let Organization { id, display_name, version, update_time, .. } = organization;
    tx.execute(sql, &[&id.uuid(), display_name, version, update_time]).await.map(drop)
}
