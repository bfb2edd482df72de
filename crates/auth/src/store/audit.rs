//! Rows of the audit log. They are read here; they are written by `db`, and chained by functions of the database.
use api::{Id, OrganizationId};
use db::{Row, Tx};
use time::{Duration, OffsetDateTime};

use super::id;
use crate::model::{AuditEvent, AuditEventName, AuditFilter, Link};

const COLUMNS: &str = "e.audit_id, e.organization_id, e.create_time, e.method, e.action, e.resource, e.actor, e.acting, e.outcome, e.reason, \
     e.network, e.request_id, e.occurrences, e.details::text as details, c.sequence, c.digest";
const FROM: &str = "from audit_event e left join audit_chain c on c.audit_id = e.audit_id";
const FILTER: &str = "e.organization_id = $1 and ($2 = '' or e.actor = $2) and ($3 = '' or e.action = $3) and ($4 = '' or e.resource = $4) \
     and ($5::timestamptz is null or e.create_time >= $5) and ($6::timestamptz is null or e.create_time < $6)";

fn read(row: &Row) -> Result<AuditEvent, db::Error> {
    let (sequence, digest): (Option<i64>, Option<Vec<u8>>) = (row.try_get("sequence")?, row.try_get("digest")?);
    Ok(AuditEvent {
        id: id(row, "audit_id")?,
        organization: id(row, "organization_id")?.into(),
        create_time: row.try_get("create_time")?,
        method: row.try_get("method")?,
        action: row.try_get("action")?,
        resource: row.try_get("resource")?,
        actor: row.try_get("actor")?,
        acting: row.try_get("acting")?,
        refused: row.try_get::<_, i16>("outcome")? == 2,
        reason: row.try_get("reason")?,
        network: row.try_get("network")?,
        request_id: row.try_get("request_id")?,
        occurrences: row.try_get("occurrences")?,
        details: row.try_get("details")?,
        link: sequence.zip(digest).map(|(sequence, digest)| Link { sequence, digest }),
    })
}

/// An entry.
pub(crate) async fn get(tx: &Tx, name: AuditEventName) -> Result<Option<AuditEvent>, db::Error> {
    let sql = format!("select {COLUMNS} {FROM} where e.organization_id = $1 and e.audit_id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.event.uuid()]).await?.as_ref().map(read).transpose()
}

/// A page of entries before one, newest first; the zero id stands for the end.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    filter: &AuditFilter,
    before: Id,
    limit: i64,
) -> Result<Vec<AuditEvent>, db::Error> {
    let sql = format!(
        "select {COLUMNS} {FROM} where {FILTER} and ($7 = '00000000-0000-0000-0000-000000000000'::uuid or e.audit_id < $7) order by e.audit_id desc limit $8"
    );
    page(tx, &sql, organization, filter, before, limit).await
}

/// A page of entries behind one, oldest first.
pub(crate) async fn export(
    tx: &Tx,
    organization: OrganizationId,
    filter: &AuditFilter,
    after: Id,
    limit: i64,
) -> Result<Vec<AuditEvent>, db::Error> {
    let sql = format!("select {COLUMNS} {FROM} where {FILTER} and e.audit_id > $7 order by e.audit_id limit $8");
    page(tx, &sql, organization, filter, after, limit).await
}

async fn page(
    tx: &Tx,
    sql: &str,
    organization: OrganizationId,
    filter: &AuditFilter,
    position: Id,
    limit: i64,
) -> Result<Vec<AuditEvent>, db::Error> {
    let AuditFilter { actor, action, resource, start, end } = filter;
    let params: [&(dyn db::ToSql + Sync); 8] =
        [&organization.uuid(), actor, action, resource, start, end, &position.uuid(), &limit];
    tx.query(sql, &params).await?.iter().map(read).collect()
}

/// Whether any entry waits for its place.
pub(crate) async fn waits(tx: &Tx) -> Result<bool, db::Error> {
    Ok(tx.query_one("select audit_waits()", &[]).await?.try_get(0)?)
}

/// Chains entries that wait and gives them, in the order of their chains. System transactions only.
pub(crate) async fn seal(tx: &Tx, most: i32) -> Result<Vec<AuditEvent>, db::Error> {
    let chained = "audit_seal($1) c (sequence, audit_id, digest, event)";
    let sql = format!("select {COLUMNS} from {chained} cross join lateral (select (c.event).*) e");
    tx.query(&sql, &[&most]).await?.iter().map(read).collect()
}

/// Deletes entries that were kept long enough; gives their number. System transactions only.
pub(crate) async fn purge(tx: &Tx, kept: Duration, most: i32) -> Result<i64, db::Error> {
    let sql = "select audit_purge(make_interval(secs => $1), $2)";
    Ok(tx.query_one(sql, &[&kept.as_seconds_f64(), &most]).await?.try_get(0)?)
}

/// Both ends of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Whose chain.
    pub(crate) organization: OrganizationId,
    /// Newest link.
    pub(crate) last: Link,
    /// The link before the oldest one kept.
    pub(crate) kept: Link,
}

/// All chains. System transactions only.
pub(crate) async fn ends(tx: &Tx) -> Result<Vec<Ends>, db::Error> {
    let sql = "select organization_id, sequence, digest, kept_sequence, kept_digest from audit_heads order by organization_id";
    let read = |row: &Row| {
        Ok(Ends {
            organization: id(row, "organization_id")?.into(),
            last: Link { sequence: row.try_get("sequence")?, digest: row.try_get("digest")? },
            kept: Link { sequence: row.try_get("kept_sequence")?, digest: row.try_get("kept_digest")? },
        })
    };
    tx.query(sql, &[]).await?.iter().map(read).collect()
}

/// A piece of a chain behind a place; entries whose event is gone are missing in it.
pub(crate) async fn piece(
    tx: &Tx,
    organization: OrganizationId,
    after: i64,
    limit: i64,
) -> Result<Vec<AuditEvent>, db::Error> {
    let sql = format!(
        "select {COLUMNS} {FROM} where c.organization_id = $1 and c.sequence > $2 order by c.sequence limit $3"
    );
    tx.query(&sql, &[&organization.uuid(), &after, &limit]).await?.iter().map(read).collect()
}

/// The newest place in a chain; 0 before the first.
pub(crate) async fn newest(tx: &Tx, organization: OrganizationId) -> Result<i64, db::Error> {
    let found =
        tx.query_opt("select sequence from audit_heads where organization_id = $1", &[&organization.uuid()]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
}

/// Events that are neither chained nor wait for it.
pub(crate) async fn loose(tx: &Tx, before: OffsetDateTime) -> Result<i64, db::Error> {
    let sql = "select count(*) from audit_event e where e.create_time < $1 and not exists (select from audit_chain c where c.audit_id = e.audit_id) \
         and not exists (select from audit_pending p where p.audit_id = e.audit_id)";
    Ok(tx.query_one(sql, &[&before]).await?.try_get(0)?)
}
