//! SQL and rows. Indexing crosses organizations, so it runs in system transactions; what a caller asks for does not.
use api::{Id, OrganizationId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;
use tokio::try_join;

use crate::{
    backend::Generation,
    model::{Kind, Rejection, ResourceName, Revision},
};

const HEARD: &str = "insert into entries (organization_id, kind, id, version)
     select * from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[])
     on conflict (organization_id, kind, id) do update set version = excluded.version
     where entries.version < excluded.version";
const ACCEPTED: &str = "delete from rejections r
     using unnest($1::uuid[], $2::smallint[], $3::uuid[]) as n (organization_id, kind, id)
     where r.organization_id = n.organization_id and r.kind = n.kind and r.id = n.id";
const REJECTED: &str = "insert into rejections (organization_id, kind, id, version, reason, create_time)
     select organization_id, kind, id, version, reason, $6
     from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::text[])
       as n (organization_id, kind, id, version, reason)
     on conflict (organization_id, kind, id) do update
     set version = excluded.version, reason = excluded.reason, create_time = excluded.create_time";
const KNOWN: &str = "select organization_id, kind, id, version from entries
     where ($1::uuid is null or (organization_id, kind, id) > ($1, $2, $3))
     order by organization_id, kind, id limit $4";

/// What became of one resource.
pub(crate) struct Indexed {
    pub(crate) name: ResourceName,
    pub(crate) revision: Revision,
    /// Why it is not in the index, if it is not.
    pub(crate) rejection: Option<Rejection>,
}

/// Which index there is.
pub(crate) struct Made {
    pub(crate) generation: Generation,
    pub(crate) mapping: String,
    pub(crate) building: bool,
}

/// Keeps what was committed to the index: which resources are known, and which could not be indexed.
pub(crate) async fn record(tx: &Tx, indexed: &[Indexed], now: OffsetDateTime) -> Result<(), Error> {
    let (rejected, accepted): (Vec<_>, Vec<_>) = indexed.iter().partition(|one| one.rejection.is_some());
    let heard = async {
        let organizations: Vec<_> = indexed.iter().map(|one| one.name.organization.uuid()).collect();
        let kinds: Vec<_> = indexed.iter().map(|one| number(one.name.kind)).collect();
        let ids: Vec<_> = indexed.iter().map(|one| one.name.id.uuid()).collect();
        let versions: Vec<_> = indexed.iter().map(|one| one.revision.0).collect();
        tx.execute(HEARD, &[&organizations, &kinds, &ids, &versions]).await
    };
    try_join!(heard, accept(tx, &accepted), reject(tx, &rejected, now))?;
    Ok(())
}

async fn accept(tx: &Tx, accepted: &[&Indexed]) -> Result<u64, Error> {
    let organizations: Vec<_> = accepted.iter().map(|one| one.name.organization.uuid()).collect();
    let kinds: Vec<_> = accepted.iter().map(|one| number(one.name.kind)).collect();
    let ids: Vec<_> = accepted.iter().map(|one| one.name.id.uuid()).collect();
    tx.execute(ACCEPTED, &[&organizations, &kinds, &ids]).await
}

async fn reject(tx: &Tx, rejected: &[&Indexed], now: OffsetDateTime) -> Result<u64, Error> {
    if rejected.is_empty() {
        return Ok(0);
    }
    let organizations: Vec<_> = rejected.iter().map(|one| one.name.organization.uuid()).collect();
    let kinds: Vec<_> = rejected.iter().map(|one| number(one.name.kind)).collect();
    let ids: Vec<_> = rejected.iter().map(|one| one.name.id.uuid()).collect();
    let versions: Vec<_> = rejected.iter().map(|one| one.revision.0).collect();
    let reasons: Vec<_> = rejected.iter().map(|one| one.rejection.map_or("", Rejection::as_str)).collect();
    tx.execute(REJECTED, &[&organizations, &kinds, &ids, &versions, &reasons, &now]).await
}

/// Resources that could not be indexed, of the transaction's organization.
pub(crate) async fn count_rejections(tx: &Tx) -> Result<i64, Error> {
    let organization = tx.organization().uuid();
    let row = tx.query_one("select count(*) from rejections where organization_id = $1", &[&organization]).await?;
    Ok(row.try_get(0)?)
}

/// Known resources after one of them, in the order of names, at most so many.
pub(crate) async fn known(
    tx: &Tx,
    after: Option<ResourceName>,
    most: i64,
) -> Result<Vec<(ResourceName, Revision)>, Error> {
    let organization = after.map(|name| name.organization.uuid());
    let (kind, id) = (after.map(|name| number(name.kind)), after.map(|name| name.id.uuid()));
    let rows = tx.query(KNOWN, &[&organization, &kind, &id, &most]).await?;
    rows.iter().map(read_known).collect()
}

/// How many resources are known, over all organizations.
pub(crate) async fn count_known(tx: &Tx) -> Result<i64, Error> {
    Ok(tx.query_one("select count(*) from entries", &[]).await?.try_get(0)?)
}

fn read_known(row: &Row) -> Result<(ResourceName, Revision), Error> {
    let name = ResourceName {
        organization: OrganizationId(Id::from_uuid(row.try_get("organization_id")?)),
        kind: if row.try_get::<_, i16>("kind")? == number(Kind::File) { Kind::File } else { Kind::Document },
        id: Id::from_uuid(row.try_get("id")?),
    };
    Ok((name, Revision(row.try_get("version")?)))
}

/// The newest generation of the index.
pub(crate) async fn newest(tx: &Tx) -> Result<Option<Made>, Error> {
    let sql = "select number, mapping, state from generations order by number desc limit 1";
    let Some(row) = tx.query_opt(sql, &[]).await? else { return Ok(None) };
    Ok(Some(Made {
        generation: Generation(row.try_get("number")?),
        mapping: row.try_get("mapping")?,
        building: row.try_get::<_, String>("state")? == "building",
    }))
}

/// Begins a generation; all others are retired with it.
pub(crate) async fn begin(tx: &Tx, generation: Generation, mapping: &str, now: OffsetDateTime) -> Result<(), Error> {
    let retire =
        "update generations set state = 'retired', live_time = coalesce(live_time, $1) where state <> 'retired'";
    tx.execute(retire, &[&now]).await?;
    let begin = "insert into generations (number, mapping, state, create_time) values ($1, $2, 'building', $3)";
    tx.execute(begin, &[&generation.0, &mapping, &now]).await?;
    Ok(())
}

/// The generation has everything that is known.
pub(crate) async fn complete(tx: &Tx, generation: Generation, now: OffsetDateTime) -> Result<(), Error> {
    let sql = "update generations set state = 'live', live_time = $2 where number = $1 and state = 'building'";
    tx.execute(sql, &[&generation.0, &now]).await?;
    Ok(())
}

fn number(kind: Kind) -> i16 {
    match kind {
        Kind::Document => 1,
        Kind::File => 2,
    }
}
