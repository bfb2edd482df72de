//! How somebody stands to a resource: roles, groups and relations in one statement, so that all answers are from one state.
use api::{Id, OrganizationId, Share, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::model::{Held, Permissions, Role, Standing, Subject};

/// Everything about the items $2 (numbers), $3 (users) and $4 (names below the organization) at the time $5.
///
/// `limit` and `offset 0` fence subqueries, so that each step is a look into an index and no plan reads a table. Recursion is
/// bounded: groups by five levels, parents by a hundred; `union` lets each row in once.
const STANDING: &str = "with recursive item as materialized (
       select * from unnest($2::int4[], $3::uuid[], $4::text[]) as t(i, user_id, object)
     ), person as materialized (
       select u.user_id, m.role, m.custom_roles from (select distinct user_id from item) u cross join lateral (
         select role, custom_roles from memberships
         where organization_id = $1 and user_id = u.user_id and state = 1 limit 1
       ) m
     ), nest as (
       select p.user_id, g.group_id, 1 as level from person p cross join lateral (
         select group_id from group_members
         where organization_id = $1 and member = '\\x01'::bytea || uuid_send(p.user_id) offset 0
       ) g
       union
       select n.user_id, g.group_id, n.level + 1 from nest n cross join lateral (
         select group_id from group_members
         where organization_id = $1 and member = '\\x02'::bytea || uuid_send(n.group_id) offset 0
       ) g where n.level < 5
     ), who as materialized (
       select p.user_id, p.role,
         case when p.custom_roles <> '{}' then array(
           select distinct unnest(c.permissions) from custom_roles c
           where c.organization_id = $1 and c.role_id = any(p.custom_roles)
         ) end as permissions,
         array['\\x01'::bytea || uuid_send(p.user_id), '\\x03'::bytea || uuid_send($1)]
           || array(select distinct '\\x02'::bytea || uuid_send(n.group_id) from nest n where n.user_id = p.user_id) as keys
       from person p
     ), up as (
       select i, object collate \"C\" as object, 4::int2 as most, 0 as depth from item
       union
       select u.i, a.parent, least(u.most, a.most), u.depth + 1 from up u cross join lateral (
         select parent, most from relation_parents where organization_id = $1 and object = u.object offset 0
       ) a where u.depth < 100
     )
     select i.i, w.user_id is not null as member, w.role, w.permissions, f.*,
       (select revision from relation_heads where organization_id = $1) as revision
     from item i
     left join who w on w.user_id = i.user_id
     left join lateral (
       select least(r.relation, u.most) as share, u.object, r.subject, r.relation as given from up u cross join lateral (
         select subject, relation from relations
         where organization_id = $1 and object = u.object and subject = any(w.keys)
           and (expire_time is null or expire_time > $5) offset 0
       ) r
       where u.i = i.i order by 1 desc, u.depth, r.subject limit 1
     ) f on true
     order by i.i";

/// How each of these users stands to each of these resources (names below the organization), and the revision of that state.
pub(crate) async fn of(
    tx: &Tx,
    organization: OrganizationId,
    items: &[(UserId, &str)],
    now: OffsetDateTime,
) -> Result<(Vec<Standing>, i64), db::Error> {
    let numbers: Vec<i32> = (0..).take(items.len()).collect();
    let users: Vec<Uuid> = items.iter().map(|(user, _)| user.uuid()).collect();
    let paths: Vec<&str> = items.iter().map(|(_, path)| *path).collect();
    let rows = tx.query(STANDING, &[&organization.uuid(), &numbers, &users, &paths, &now]).await?;
    let revision = rows.first().map(|row| row.try_get::<_, Option<i64>>("revision")).transpose()?.flatten();
    let standings = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((standings, revision.unwrap_or_default()))
}

fn read(row: &Row) -> Result<Standing, db::Error> {
    let permissions: Option<Vec<String>> = row.try_get("permissions")?;
    let held = match row.try_get::<_, Option<i16>>("share")? {
        None => None,
        Some(share) => Subject::of_key(&row.try_get::<_, Vec<u8>>("subject")?).map(|subject| {
            Ok::<_, db::Error>(Held {
                share: share_of(share),
                path: row.try_get("object")?,
                subject,
                given: share_of(row.try_get("given")?),
            })
        }),
    };
    Ok(Standing {
        member: row.try_get("member")?,
        role: row.try_get::<_, Option<i16>>("role")?.and_then(Role::of_number),
        permissions: Permissions::restore(&permissions.unwrap_or_default()),
        held: held.transpose()?,
    })
}

/// The column's check leaves four numbers; anything else is as weak as nothing.
pub(super) fn share_of(number: i16) -> Share {
    Share::try_from(i32::from(number)).unwrap_or_default()
}

/// Keys under which a user holds relations: his own, all members, his groups. `None` when he is no active member.
pub(crate) async fn keys(
    tx: &Tx,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Vec<Vec<u8>>>, db::Error> {
    let sql = "with recursive nest as ( \
           select group_id, 1 as level from group_members where organization_id = $1 and member = $3 \
           union select g.group_id, n.level + 1 from nest n cross join lateral ( \
             select group_id from group_members where organization_id = $1 and member = '\\x02'::bytea || uuid_send(n.group_id) offset 0 \
           ) g where n.level < 5 \
         ) select array(select distinct group_id from nest) as groups from memberships \
         where organization_id = $1 and user_id = $2 and state = 1";
    let own = Subject::User(user).key();
    let Some(row) = tx.query_opt(sql, &[&organization.uuid(), &user.uuid(), &own]).await? else { return Ok(None) };
    let groups =
        row.try_get::<_, Vec<Uuid>>("groups")?.into_iter().map(|group| Subject::Group(Id::from_uuid(group)).key());
    Ok(Some([own, Subject::Members(organization).key()].into_iter().chain(groups).collect()))
}

/// The resources on a way from this one up to that one, both included; empty when there is none. The shortest way is given.
pub(crate) async fn way_up(
    tx: &Tx,
    organization: OrganizationId,
    from: &str,
    to: &str,
) -> Result<Vec<String>, db::Error> {
    let sql = "with recursive up as ( \
           select $2::text collate \"C\" as object, array[$2::text collate \"C\"] as way \
           union all select a.parent, up.way || a.parent from up cross join lateral ( \
             select parent from relation_parents where organization_id = $1 and object = up.object offset 0 \
           ) a where cardinality(up.way) <= 100 and up.object <> $3 and not a.parent = any(up.way) \
         ) select way from (select way from up where object = $3 limit 1) w";
    let row = tx.query_opt(sql, &[&organization.uuid(), &from, &to]).await?;
    Ok(row.map(|row| row.try_get("way")).transpose()?.unwrap_or_default())
}

/// The groups on a way from this one down to one that the user is a direct member of.
pub(crate) async fn way_down(
    tx: &Tx,
    organization: OrganizationId,
    group: Id,
    user: UserId,
) -> Result<Vec<Id>, db::Error> {
    let sql = "with recursive up as ( \
           select group_id, array[group_id] as way from group_members where organization_id = $1 and member = $3 \
           union all select g.group_id, g.group_id || up.way from up cross join lateral ( \
             select group_id from group_members where organization_id = $1 and member = '\\x02'::bytea || uuid_send(up.group_id) offset 0 \
           ) g where cardinality(up.way) < 5 and up.group_id <> $2 \
         ) select way from up where group_id = $2 limit 1";
    let own = Subject::User(user).key();
    let row = tx.query_opt(sql, &[&organization.uuid(), &group.uuid(), &own]).await?;
    let way: Vec<Uuid> = row.map(|row| row.try_get("way")).transpose()?.unwrap_or_default();
    Ok(way.into_iter().map(Id::from_uuid).collect())
}

/// The revision of the organization's relations, and which of these resources stand at their version or beyond.
pub(crate) async fn reached(
    tx: &Tx,
    organization: OrganizationId,
    positions: &[(String, i64)],
) -> Result<(i64, usize), db::Error> {
    let sql = "select coalesce((select revision from relation_heads where organization_id = $1), 0), \
         (select count(*) from unnest($2::text[], $3::int8[]) as t(object, version) where exists ( \
           select from relation_objects o where o.organization_id = $1 and o.object = t.object and o.version >= t.version))";
    let (paths, versions): (Vec<&str>, Vec<i64>) =
        positions.iter().map(|(path, version)| (path.as_str(), *version)).unzip();
    let row = tx.query_one(sql, &[&organization.uuid(), &paths, &versions]).await?;
    Ok((row.try_get(0)?, usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default()))
}
