//! Rows of relations. Those of customers' types change only while the organization's row in `relation_heads` is locked.
use std::collections::HashMap;

use api::{OrganizationId, Share};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::standing::share_of;
use crate::{
    error::{Authorization, Error},
    model::{Holder, Object, Relation, Subject, Tie, relation_limit},
};

/// Locks the relations of an organization for a change; gives the number of this change.
pub(crate) async fn advance(tx: &Tx, organization: OrganizationId) -> Result<i64, db::Error> {
    let sql = "insert into relation_heads as h (organization_id, revision) values ($1, 1) \
         on conflict (organization_id) do update set revision = h.revision + 1 returning revision";
    Ok(tx.query_one(sql, &[&organization.uuid()]).await?.try_get(0)?)
}

/// Writes relations of holders; one that is there gets the new end. Resources that were not known are from here on.
pub(crate) async fn put(tx: &Tx, relation: &Relation) -> Result<(), db::Error> {
    let Relation { object, tie, expire_time } = relation;
    let organization = object.organization.uuid();
    know(tx, object).await?;
    match tie {
        Tie::Held(subject, share) => {
            let sql = "insert into relations (organization_id, object, subject, relation, expire_time) values ($1, $2, $3, $4, $5) \
                 on conflict (organization_id, object, subject, relation) do update set expire_time = excluded.expire_time";
            let share = *share as i16;
            tx.execute(sql, &[&organization, &object.path, &subject.key(), &share, expire_time]).await.map(drop)
        }
        Tie::Parent(parent) => {
            know(tx, parent).await?;
            let sql = "insert into relation_parents (organization_id, object, parent, most) values ($1, $2, $3, 4) on conflict do nothing";
            tx.execute(sql, &[&organization, &object.path, &parent.path]).await.map(drop)
        }
    }
}

async fn know(tx: &Tx, object: &Object) -> Result<(), db::Error> {
    let sql = "insert into relation_objects (organization_id, object) values ($1, $2) on conflict do nothing";
    tx.execute(sql, &[&object.organization.uuid(), &object.path]).await.map(drop)
}

/// Deletes a relation, if it is there. A resource that no relation speaks of any more is forgotten.
pub(crate) async fn delete(tx: &Tx, relation: &Relation) -> Result<(), db::Error> {
    let Relation { object, tie, .. } = relation;
    let organization = object.organization.uuid();
    match tie {
        Tie::Held(subject, share) => {
            let sql =
                "delete from relations where organization_id = $1 and object = $2 and subject = $3 and relation = $4";
            tx.execute(sql, &[&organization, &object.path, &subject.key(), &(*share as i16)]).await?;
        }
        Tie::Parent(parent) => {
            let sql = "delete from relation_parents where organization_id = $1 and object = $2 and parent = $3";
            tx.execute(sql, &[&organization, &object.path, &parent.path]).await?;
            forget(tx, object.organization, &[&parent.path]).await?;
        }
    }
    forget(tx, object.organization, &[&object.path]).await
}

/// Forgets those of these resources that no relation speaks of.
async fn forget(tx: &Tx, organization: OrganizationId, paths: &[&str]) -> Result<(), db::Error> {
    let sql = "delete from relation_objects o where organization_id = $1 and object = any($2) and version = 0 \
         and not exists (select from relations r where r.organization_id = $1 and r.object = o.object) \
         and not exists (select from relation_parents p where p.organization_id = $1 and p.object = o.object) \
         and not exists (select from relation_parents p where p.organization_id = $1 and p.parent = o.object)";
    tx.execute(sql, &[&organization.uuid(), &paths]).await.map(drop)
}

/// Deletes what a subject holds on resources of customers' types, for its end: an id that is taken again begins with nothing. Under the
/// lock of [`advance`].
pub(crate) async fn delete_of_subject(
    tx: &Tx,
    organization: OrganizationId,
    subject: Subject,
) -> Result<(), db::Error> {
    let sql = "delete from relations where organization_id = $1 and subject = $2 and object like 'objectTypes/%' returning object";
    let rows = tx.query(sql, &[&organization.uuid(), &subject.key()]).await?;
    let paths: Vec<&str> =
        rows.iter().map(|row| row.try_get(0).map_err(Into::into)).collect::<Result<_, db::Error>>()?;
    forget(tx, organization, &paths).await
}

/// Deletes relations of customers' types that have ended, some at a time; gives how many. For a system transaction.
pub(crate) async fn purge(tx: &Tx, now: OffsetDateTime) -> Result<u64, db::Error> {
    let sql = "select distinct organization_id from ( \
           select organization_id from relations where expire_time < $1 and object like 'objectTypes/%' order by expire_time limit 1000 \
         ) r order by organization_id";
    let mut deleted = 0;
    for row in tx.query(sql, &[&now]).await? {
        let organization: OrganizationId = super::id(&row, "organization_id")?.into();
        advance(tx, organization).await?;
        let sql = "delete from relations where organization_id = $1 and (object, subject, relation) in ( \
               select object, subject, relation from relations \
               where organization_id = $1 and expire_time < $2 and object like 'objectTypes/%' order by expire_time limit 1000 \
             ) returning object";
        let rows = tx.query(sql, &[&organization.uuid(), &now]).await?;
        let paths: Vec<&str> =
            rows.iter().map(|row| row.try_get(0).map_err(Into::into)).collect::<Result<_, db::Error>>()?;
        forget(tx, organization, &paths).await?;
        deleted += rows.len() as u64;
    }
    Ok(deleted)
}

/// Whether a relation is there and has not ended.
pub(crate) async fn exists(tx: &Tx, relation: &Relation, now: OffsetDateTime) -> Result<bool, db::Error> {
    let Relation { object, tie, .. } = relation;
    let organization = object.organization.uuid();
    let row = match tie {
        Tie::Held(subject, share) => {
            let sql = "select exists (select from relations where organization_id = $1 and object = $2 and subject = $3 \
                 and relation = $4 and (expire_time is null or expire_time > $5))";
            tx.query_one(sql, &[&organization, &object.path, &subject.key(), &(*share as i16), &now]).await?
        }
        Tie::Parent(parent) => {
            let sql = "select exists (select from relation_parents where organization_id = $1 and object = $2 and parent = $3)";
            tx.query_one(sql, &[&organization, &object.path, &parent.path]).await?
        }
    };
    Ok(row.try_get(0)?)
}

/// Subjects and parents of a resource.
pub(crate) async fn counts(tx: &Tx, object: &Object, now: OffsetDateTime) -> Result<(i64, i64), db::Error> {
    let sql = "select (select count(distinct subject) from relations where organization_id = $1 and object = $2 \
           and (expire_time is null or expire_time > $3)), \
         (select count(*) from relation_parents where organization_id = $1 and object = $2)";
    let row = tx.query_one(sql, &[&object.organization.uuid(), &object.path, &now]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Heights of these resources, as they are kept: the longest chain below each, or more.
pub(crate) async fn heights(
    tx: &Tx,
    organization: OrganizationId,
    paths: &[&str],
) -> Result<HashMap<String, i32>, db::Error> {
    let sql = "select object, height from relation_objects where organization_id = $1 and object = any($2)";
    let rows = tx.query(sql, &[&organization.uuid(), &paths]).await?;
    rows.iter().map(|row| Ok((row.try_get("object")?, row.try_get("height")?))).collect()
}

/// Keeps heights.
pub(crate) async fn raise(tx: &Tx, organization: OrganizationId, heights: &[(&str, i32)]) -> Result<(), db::Error> {
    let sql = "update relation_objects o set height = t.height from unnest($2::text[], $3::int4[]) as t(object, height) \
         where o.organization_id = $1 and o.object = t.object";
    let (paths, heights): (Vec<&str>, Vec<i32>) = heights.iter().copied().unzip();
    tx.execute(sql, &[&organization.uuid(), &paths, &heights]).await.map(drop)
}

/// The longest chain below a resource, measured; one more than may be when it is longer. Each resource counts once a level, so the work
/// is bounded by the levels, not by the ways, and below more than is read for one request it is not measured.
pub(crate) async fn height(tx: &Tx, organization: OrganizationId, path: &str) -> Result<i32, Error> {
    let sql = "with recursive down as ( \
           select $2::text collate \"C\" as object, 0 as level \
           union select c.object, down.level + 1 from down cross join lateral ( \
             select object from relation_parents where organization_id = $1 and parent = down.object offset 0 \
           ) c where down.level <= $3 \
         ) select max(level), count(*) from (select level from down limit $4) d";
    let most = i64::try_from(relation_limit::LINKS).unwrap_or(i64::MAX - 1);
    let row = tx.query_one(sql, &[&organization.uuid(), &path, &relation_limit::CHAIN, &(most + 1)]).await?;
    if row.try_get::<_, i64>(1).map_err(db::Error::from)? > most {
        return Err(Authorization::Limit("resources below one that is hung below another", most).into());
    }
    Ok(row.try_get(0).map_err(db::Error::from)?)
}

/// A page of the relations of a resource: parents first, then holders. `after` is what [`position`] gave. Subjects of kinds that a newer
/// release wrote take no place on it.
pub(crate) async fn of_object(tx: &Tx, object: &Object, after: &[u8], limit: i64) -> Result<Vec<Relation>, db::Error> {
    let sql = "select object, parent, subject, relation, expire_time from ( \
           select object, parent, null::bytea as subject, null::int2 as relation, null::timestamptz as expire_time, \
             '\\x00'::bytea || convert_to(parent, 'UTF8') as place \
           from relation_parents where organization_id = $1 and object = $2 \
           union all select object, null, subject, relation, expire_time, '\\x01'::bytea || subject || int2send(relation) \
           from relations where organization_id = $1 and object = $2 and subject < '\\x07'::bytea \
         ) r where place > $3 order by place limit $4";
    read_all(object.organization, &tx.query(sql, &[&object.organization.uuid(), &object.path, &after, &limit]).await?)
}

/// A page of the relations of a subject, by resource.
pub(crate) async fn of_subject(
    tx: &Tx,
    organization: OrganizationId,
    subject: Subject,
    (object, share): (&str, i16),
    limit: i64,
) -> Result<Vec<Relation>, db::Error> {
    let sql = "select object, null::text as parent, subject, relation, expire_time from relations \
         where organization_id = $1 and subject = $2 and (object, relation) > ($3, $4) order by object, relation limit $5";
    read_all(organization, &tx.query(sql, &[&organization.uuid(), &subject.key(), &object, &share, &limit]).await?)
}

/// Where a relation stands among those of its resource.
pub(crate) fn position(relation: &Relation) -> Vec<u8> {
    match &relation.tie {
        Tie::Parent(parent) => [b"\0", parent.path.as_bytes()].concat(),
        Tie::Held(subject, share) => {
            [&[1], subject.key().as_slice(), (*share as i16).to_be_bytes().as_slice()].concat()
        }
    }
}

fn read_all(organization: OrganizationId, rows: &[Row]) -> Result<Vec<Relation>, db::Error> {
    let mut relations = Vec::with_capacity(rows.len());
    for row in rows {
        let tie = match row.try_get::<_, Option<String>>("parent")? {
            Some(parent) => Tie::Parent(Object::restore(organization, parent)),
            None => match Subject::of_key(&row.try_get::<_, Vec<u8>>("subject")?) {
                Some(subject) => Tie::Held(subject, share_of(row.try_get("relation")?)),
                None => continue,
            },
        };
        let object = Object::restore(organization, row.try_get("object")?);
        relations.push(Relation { object, tie, expire_time: row.try_get("expire_time")? });
    }
    Ok(relations)
}

/// Puts what its owner says of a resource in the place of what is held, unless that is newer. Gives whether it was.
pub(crate) async fn replace(
    tx: &Tx,
    object: &Object,
    (epoch, version): (i32, i64),
    holders: &[Holder],
    parents: &[(String, Share)],
) -> Result<bool, db::Error> {
    let organization = object.organization.uuid();
    let sql = "insert into relation_objects as o (organization_id, object, epoch, version) values ($1, $2, $3, $4) \
         on conflict (organization_id, object) do update set epoch = excluded.epoch, version = excluded.version \
         where (o.epoch, o.version) < (excluded.epoch, excluded.version)";
    if tx.execute(sql, &[&organization, &object.path, &epoch, &version]).await? == 0 {
        return Ok(false);
    }
    for sql in [
        "delete from relations where organization_id = $1 and object = $2",
        "delete from relation_parents where organization_id = $1 and object = $2",
    ] {
        tx.execute(sql, &[&organization, &object.path]).await?;
    }
    let sql = "insert into relations (organization_id, object, subject, relation, expire_time) \
         select $1, $2, * from unnest($3::bytea[], $4::int2[], $5::timestamptz[]) on conflict do nothing";
    let subjects: Vec<Vec<u8>> = holders.iter().map(|(subject, ..)| subject.key()).collect();
    let shares: Vec<i16> = holders.iter().map(|(_, share, _)| *share as i16).collect();
    let ends: Vec<Option<OffsetDateTime>> = holders.iter().map(|(.., end)| *end).collect();
    tx.execute(sql, &[&organization, &object.path, &subjects, &shares, &ends]).await?;
    let sql = "insert into relation_parents (organization_id, object, parent, most) \
         select $1, $2, * from unnest($3::text[], $4::int2[]) on conflict do nothing";
    let names: Vec<&str> = parents.iter().map(|(name, _)| name.as_str()).collect();
    let most: Vec<i16> = parents.iter().map(|(_, most)| *most as i16).collect();
    tx.execute(sql, &[&organization, &object.path, &names, &most]).await?;
    Ok(true)
}
