//! Rows of relations. Those of customers' types change only while the organization's row in `relation_heads` is locked.
use api::{OrganizationId, Share};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::standing::share_of;
use crate::model::{Holder, Object, Relation, Subject, Tie, relation_limit};

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
            forget(tx, parent).await?;
        }
    }
    forget(tx, object).await
}

async fn forget(tx: &Tx, object: &Object) -> Result<(), db::Error> {
    let sql = "delete from relation_objects o where organization_id = $1 and object = $2 and version = 0 \
         and not exists (select from relations r where r.organization_id = $1 and r.object = $2) \
         and not exists (select from relation_parents p where p.organization_id = $1 and p.object = $2) \
         and not exists (select from relation_parents p where p.organization_id = $1 and p.parent = $2)";
    tx.execute(sql, &[&object.organization.uuid(), &object.path]).await.map(drop)
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

/// Subjects and parents of a resource; what has ended and was not yet cleared away counts too.
pub(crate) async fn counts(tx: &Tx, object: &Object) -> Result<(i64, i64), db::Error> {
    let sql = "select (select count(distinct subject) from relations where organization_id = $1 and object = $2), \
         (select count(*) from relation_parents where organization_id = $1 and object = $2)";
    let row = tx.query_one(sql, &[&object.organization.uuid(), &object.path]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Resources on the longest chain through this one, more than may be when there are more; a circle has no end. Each resource counts
/// once a level, so the work is bounded by the levels, not by the ways.
pub(crate) async fn chain(tx: &Tx, object: &Object) -> Result<i32, db::Error> {
    let sql = "with recursive up as ( \
           select $2::text collate \"C\" as object, 1 as level \
           union select a.parent, up.level + 1 from up cross join lateral ( \
             select parent from relation_parents where organization_id = $1 and object = up.object offset 0 \
           ) a where up.level <= $3 \
         ), down as ( \
           select $2::text collate \"C\" as object, 1 as level \
           union select c.object, down.level + 1 from down cross join lateral ( \
             select object from relation_parents where organization_id = $1 and parent = down.object offset 0 \
           ) c where down.level <= $3 \
         ) select (select max(level) from up) + (select max(level) from down) - 1";
    let params = (object.organization.uuid(), relation_limit::CHAIN);
    Ok(tx.query_one(sql, &[&params.0, &object.path, &params.1]).await?.try_get(0)?)
}

/// A page of the relations of a resource: parents first, then holders. `after` is what [`position`] gave.
pub(crate) async fn of_object(tx: &Tx, object: &Object, after: &[u8], limit: i64) -> Result<Vec<Relation>, db::Error> {
    let sql = "select object, parent, subject, relation, expire_time from ( \
           select object, parent, null::bytea as subject, null::int2 as relation, null::timestamptz as expire_time, \
             '\\x00'::bytea || convert_to(parent, 'UTF8') as place \
           from relation_parents where organization_id = $1 and object = $2 \
           union all select object, null, subject, relation, expire_time, '\\x01'::bytea || subject || int2send(relation) \
           from relations where organization_id = $1 and object = $2 \
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
