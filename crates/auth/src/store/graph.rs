//! Walking relations from subjects to resources and back. Every statement looks into indexes only. What lies above resources is read
//! whole, as far as [`relation_limit`] lets a request go; what lies below is read by pages.
use std::collections::{HashMap, HashSet};

use api::{OrganizationId, Share, UserId};
use db::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    error::{Authorization, Error},
    model::relation_limit,
};

/// Whose relations count, from which strength on, at what time.
pub(crate) struct Reach<'a> {
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Subjects, by their keys.
    pub(crate) keys: &'a [Vec<u8>],
    /// The least relation.
    pub(crate) least: Share,
    /// Relations that ended before do not count.
    pub(crate) now: OffsetDateTime,
}

/// A resource below another.
pub(crate) struct Child {
    /// Name below the organization.
    pub(crate) path: String,
    /// It has other parents too that let the relation through.
    pub(crate) shared: bool,
    /// Something lies below it.
    pub(crate) holds: bool,
}

/// Resources that the subjects have a relation to themselves, after one, by name.
pub(crate) async fn held(tx: &Tx, reach: &Reach<'_>, after: &str, limit: i64) -> Result<Vec<String>, db::Error> {
    let sql = "select distinct r.object from unnest($2::bytea[]) k(key) cross join lateral ( \
           select object from relations where organization_id = $1 and subject = k.key and object > $5 and relation >= $3 \
             and (expire_time is null or expire_time > $4) order by object limit $6 \
         ) r order by 1 limit $6";
    let Reach { organization, keys, least, now } = reach;
    let rows = tx.query(sql, &[&organization.uuid(), keys, &(*least as i16), now, &after, &limit]).await?;
    rows.iter().map(|row| row.try_get(0).map_err(Into::into)).collect()
}

/// Which of these resources the subjects reach: by a relation to them or to something above them.
pub(crate) async fn reached(tx: &Tx, reach: &Reach<'_>, paths: &[String]) -> Result<HashSet<String>, Error> {
    if paths.is_empty() {
        return Ok(HashSet::new());
    }
    let (mut parts, mut reached) = (vec![paths], HashSet::new());
    while let Some(part) = parts.pop() {
        let asked: Vec<&str> = part.iter().map(String::as_str).collect();
        let above = super::standing::above(tx, reach.organization, reach.keys, &asked, reach.now).await?;
        match above.bounded() {
            Ok(above) => reached.extend(part.iter().filter(|path| above.reaches(path, reach.least)).cloned()),
            // Together they stand below more than is read at once; one by one they do not.
            Err(_) if part.len() > 1 => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
            Err(error) => return Err(error),
        }
    }
    Ok(reached)
}

/// Of each of these resources the first parent by name that the subjects reach. One without is not in the answer.
pub(crate) async fn first_parents(
    tx: &Tx,
    reach: &Reach<'_>,
    paths: &[String],
) -> Result<HashMap<String, String>, Error> {
    let sql =
        "select object, parent from relation_parents where organization_id = $1 and object = any($2) and most >= $3";
    let rows = tx.query(sql, &[&reach.organization.uuid(), &paths, &(reach.least as i16)]).await?;
    let pairs = rows.iter().map(|row| Ok((row.try_get("object")?, row.try_get("parent")?)));
    let pairs: Vec<(String, String)> = pairs.collect::<Result<_, db::Error>>()?;
    let mut parents: Vec<String> = pairs.iter().map(|(_, parent)| parent.clone()).collect();
    parents.sort_unstable();
    parents.dedup();
    let reached = reached(tx, reach, &parents).await?;
    let mut first: HashMap<String, String> = HashMap::new();
    for (object, parent) in pairs.into_iter().filter(|(_, parent)| reached.contains(parent)) {
        let held = first.entry(object).or_insert_with(|| parent.clone());
        if parent < *held {
            *held = parent;
        }
    }
    Ok(first)
}

/// What lies directly below a resource, after one, by name.
pub(crate) async fn children(
    tx: &Tx,
    reach: &Reach<'_>,
    parent: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Child>, db::Error> {
    let sql = "select c.object, \
           exists (select from relation_parents p where p.organization_id = $1 and p.object = c.object and p.parent <> $2 and p.most >= $3) as shared, \
           exists (select from relation_parents p where p.organization_id = $1 and p.parent = c.object and p.most >= $3) as holds \
         from relation_parents c where c.organization_id = $1 and c.parent = $2 and c.object > $4 and c.most >= $3 \
         order by c.object limit $5";
    let rows = tx.query(sql, &[&reach.organization.uuid(), &parent, &(reach.least as i16), &after, &limit]).await?;
    let read = |row: &db::Row| {
        Ok(Child { path: row.try_get("object")?, shared: row.try_get("shared")?, holds: row.try_get("holds")? })
    };
    rows.iter().map(read).collect()
}

/// All known resources of a collection, after one, by name.
pub(crate) async fn of_collection(
    tx: &Tx,
    organization: OrganizationId,
    collection: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, db::Error> {
    let sql = "select object from relation_objects o where organization_id = $1 and object > $2 and object < $3 \
         and (version = 0 or exists (select from relations r where r.organization_id = $1 and r.object = o.object) \
           or exists (select from relation_parents p where p.organization_id = $1 and p.object = o.object)) \
         order by object limit $4";
    // A slash is followed by the digit zero in the order of bytes.
    let (first, end) = (format!("{collection}/"), format!("{collection}0"));
    let after = if after < first.as_str() { first.as_str() } else { after };
    let rows = tx.query(sql, &[&organization.uuid(), &after, &end, &limit]).await?;
    rows.iter().map(|row| row.try_get(0).map_err(Into::into)).collect()
}

/// Who may have a relation to a resource: keys of subjects on it and above it, groups within groups included.
pub(crate) async fn holders(
    tx: &Tx,
    organization: OrganizationId,
    path: &str,
    least: i16,
    now: OffsetDateTime,
) -> Result<Vec<Vec<u8>>, Error> {
    let sql = "with recursive up as ( \
           select $2::text collate \"C\" as object \
           union select a.parent from up cross join lateral ( \
             select parent from relation_parents where organization_id = $1 and object = up.object and most >= $3 offset 0 \
           ) a \
         ), down as ( \
           select r.subject as key from up cross join lateral ( \
             select subject from relations where organization_id = $1 and object = up.object and relation >= $3 \
               and (expire_time is null or expire_time > $4) offset 0 \
           ) r \
           union select m.member from down cross join lateral ( \
             select member from group_members where organization_id = $1 \
               and group_id = encode(substr(down.key, 2), 'hex')::uuid and member >= '\\x02'::bytea and member < '\\x03'::bytea offset 0 \
           ) m where down.key >= '\\x02'::bytea and down.key < '\\x03'::bytea \
         ) select key from down limit $5";
    let most = i64::try_from(relation_limit::LINKS).unwrap_or(i64::MAX - 1);
    let rows = tx.query(sql, &[&organization.uuid(), &path, &least, &now, &(most + 1)]).await?;
    if rows.len() > relation_limit::LINKS {
        return Err(Authorization::Limit("subjects of one resource and those above it", most).into());
    }
    rows.iter().map(|row| row.try_get(0).map_err(|error| Error::from(db::Error::from(error)))).collect()
}

/// Who of the members counts, for [`members`].
pub(crate) struct Members {
    /// Everybody.
    pub(crate) all: bool,
    /// Who has one of these built-in roles.
    pub(crate) roles: Vec<i16>,
    /// Who has one of these custom roles.
    pub(crate) custom_roles: Vec<Uuid>,
    /// These users.
    pub(crate) users: Vec<Uuid>,
    /// Who is a direct member of one of these groups.
    pub(crate) groups: Vec<Uuid>,
    /// Who holds one of these links.
    pub(crate) links: Vec<Uuid>,
    /// At this time.
    pub(crate) now: OffsetDateTime,
}

/// Active members of the organization who count, after one, by id. Each kind is read in that order and no further than the page.
pub(crate) async fn members(
    tx: &Tx,
    organization: OrganizationId,
    who: &Members,
    after: Uuid,
    limit: i64,
) -> Result<Vec<UserId>, db::Error> {
    // A subquery per row keeps the order of the index: a join would be planned by guesses.
    const ACTIVE: &str = "state = 1 and (select u.state from users u where u.user_id = memberships.user_id) = 1 order by user_id limit $8";
    let sql = format!(
        "select user_id from ( \
           (select user_id from memberships where $2 and organization_id = $1 and user_id > $7 and {ACTIVE}) \
           union (select m.user_id from unnest($3::int2[]) r(role) cross join lateral ( \
             select user_id from memberships where organization_id = $1 and role = r.role and user_id > $7 and {ACTIVE}) m) \
           union (select user_id from memberships where organization_id = $1 and custom_roles <> '{{}}' and custom_roles && $4 \
             and user_id > $7 and {ACTIVE}) \
           union (select m.user_id from unnest($5::uuid[]) u(user_id) cross join lateral ( \
             select user_id from memberships where organization_id = $1 and user_id = u.user_id and user_id > $7 and {ACTIVE}) m) \
           union (select m.user_id from unnest($6::uuid[]) g(group_id) cross join lateral ( \
             select k.user_id from group_members x \
               cross join lateral (select user_id from memberships where organization_id = $1 \
                 and user_id = encode(substr(x.member, 2), 'hex')::uuid and {ACTIVE}) k \
             where x.organization_id = $1 and x.group_id = g.group_id \
               and x.member > '\\x01'::bytea || uuid_send($7) and x.member < '\\x02'::bytea order by x.member limit $8) m) \
           union (select m.user_id from unnest($9::uuid[]) l(link_id) cross join lateral ( \
             select k.user_id from link_holders h \
               cross join lateral (select user_id from memberships where organization_id = $1 and user_id = h.user_id and {ACTIVE}) k \
             where h.organization_id = $1 and h.link_id = l.link_id and h.user_id > $7 and h.expire_time > $10 \
             order by h.user_id limit $8) m) \
         ) found order by user_id limit $8"
    );
    let Members { all, roles, custom_roles, users, groups, links, now } = who;
    let params: [&(dyn db::ToSql + Sync); 10] =
        [&organization.uuid(), all, roles, custom_roles, users, groups, &after, &limit, links, now];
    let rows = tx.query(&sql, &params).await?;
    rows.iter().map(|row| Ok(UserId(api::Id::from_uuid(row.try_get::<_, Uuid>(0)?)))).collect()
}
