//! SQL and rows. Every statement names the organization although row-level security already keeps to it: the index begins with it, and
//! one wall is not enough.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};

use crate::model::{__Name__, __Name__Name, Window};

const INSERT: &str = "insert into __names__ (organization_id, id, display_name, version, create_time)
     values ($1, $2, $3, $4, $5)";
const GET: &str = "select id, display_name, version, create_time from __names__ where organization_id = $1 and id = $2";
const LIST: &str = "select id, display_name, version, create_time from __names__
     where organization_id = $1 and ($2::uuid is null or id > $2) order by id limit $3";

/// Inserts one.
pub(crate) async fn insert(tx: &Tx, new: &__Name__) -> Result<(), Error> {
    let __Name__ { name, display_name, version, create_time } = new;
    let (organization, id) = (name.organization.uuid(), name.__name__.uuid());
    tx.execute(INSERT, &[&organization, &id, display_name, version, create_time]).await.map(drop)
}

/// Reads one.
pub(crate) async fn get(tx: &Tx, name: __Name__Name) -> Result<Option<__Name__>, Error> {
    let row = tx.query_opt(GET, &[&name.organization.uuid(), &name.__name__.uuid()]).await?;
    row.map(|row| read(name.organization, &row)).transpose()
}

/// Reads a page and one row more, which tells whether there is a next one.
pub(crate) async fn list(tx: &Tx, organization: OrganizationId, window: Window) -> Result<Vec<__Name__>, Error> {
    let rows = i64::try_from(window.size).unwrap_or(i64::MAX).saturating_add(1);
    let rows = tx.query(LIST, &[&organization.uuid(), &window.after.map(Id::uuid), &rows]).await?;
    rows.iter().map(|row| read(organization, row)).collect()
}

fn read(organization: OrganizationId, row: &Row) -> Result<__Name__, Error> {
    Ok(__Name__ {
        name: __Name__Name { organization, __name__: Id::from_uuid(row.try_get("id")?) },
        display_name: row.try_get("display_name")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
    })
}
