//! Rows of groups and of their members. They change only while the organization is locked.
use api::{Id, OrganizationId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::id;
use crate::model::{Group, GroupName, Subject, group_limit};

const SELECT: &str = "select organization_id, group_id, display_name, version, create_time, update_time from groups";

fn read(row: &Row) -> Result<Group, db::Error> {
    Ok(Group {
        id: id(row, "group_id")?,
        organization: id(row, "organization_id")?.into(),
        display_name: row.try_get("display_name")?,
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
    })
}

/// A group by name.
pub(crate) async fn get(tx: &Tx, name: GroupName) -> Result<Option<Group>, db::Error> {
    let sql = format!("{SELECT} where organization_id = $1 and group_id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.group.uuid()]).await?.as_ref().map(read).transpose()
}

/// A page of the groups of an organization.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<Group>, db::Error> {
    let sql = format!("{SELECT} where organization_id = $1 and group_id > $2 order by group_id limit $3");
    tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// How many an organization has.
pub(crate) async fn count(tx: &Tx, organization: OrganizationId) -> Result<i64, db::Error> {
    let sql = "select count(*) from groups where organization_id = $1";
    Ok(tx.query_one(sql, &[&organization.uuid()]).await?.try_get(0)?)
}

/// A new group; gives whether it was made. The id of a group that ended is not taken again: services may still hold what was shared with
/// it.
pub(crate) async fn insert(tx: &Tx, group: &Group) -> Result<bool, db::Error> {
    let sql = "insert into groups (organization_id, group_id, display_name, version, create_time, update_time) \
         select $1, $2, $3, $4, $5, $5 where not exists (select from ended_groups where organization_id = $1 and group_id = $2)";
    let Group { id, organization, display_name, version, create_time, .. } = group;
    let made = tx.execute(sql, &[&organization.uuid(), &id.uuid(), display_name, version, create_time]).await?;
    Ok(made == 1)
}

/// Changes a group.
pub(crate) async fn save(tx: &Tx, group: &Group) -> Result<(), db::Error> {
    let sql = "update groups set display_name = $3, version = $4, update_time = $5 where organization_id = $1 and group_id = $2";
    let Group { id, organization, display_name, version, update_time, .. } = group;
    tx.execute(sql, &[&organization.uuid(), &id.uuid(), display_name, version, update_time]).await.map(drop)
}

/// Ends a group with its memberships, in both directions.
pub(crate) async fn delete(tx: &Tx, name: GroupName) -> Result<(), db::Error> {
    forget(tx, name.organization, Subject::Group(name.group)).await?;
    let sql = "insert into ended_groups (organization_id, group_id) values ($1, $2)";
    tx.execute(sql, &[&name.organization.uuid(), &name.group.uuid()]).await?;
    let sql = "delete from groups where organization_id = $1 and group_id = $2";
    tx.execute(sql, &[&name.organization.uuid(), &name.group.uuid()]).await.map(drop)
}

/// Takes somebody out of all groups.
pub(crate) async fn forget(tx: &Tx, organization: OrganizationId, member: Subject) -> Result<(), db::Error> {
    let sql = "delete from group_members where organization_id = $1 and member = $2";
    tx.execute(sql, &[&organization.uuid(), &member.key()]).await.map(drop)
}

/// A page of the direct members, by their keys.
pub(crate) async fn members(tx: &Tx, name: GroupName, after: &[u8], limit: i64) -> Result<Vec<Subject>, db::Error> {
    // Members of kinds that a newer release wrote take no place on a page.
    let sql = "select member from group_members where organization_id = $1 and group_id = $2 and member > $3 \
         and member < '\\x03'::bytea order by member limit $4";
    read_members(&tx.query(sql, &[&name.organization.uuid(), &name.group.uuid(), &after, &limit]).await?)
}

/// Puts members in; gives those who were not in it before.
pub(crate) async fn add(tx: &Tx, name: GroupName, members: &[Subject]) -> Result<Vec<Subject>, db::Error> {
    let sql = "insert into group_members (organization_id, group_id, member) select $1, $2, * from unnest($3::bytea[]) \
         on conflict do nothing returning member";
    read_members(&tx.query(sql, &[&name.organization.uuid(), &name.group.uuid(), &keys(members)]).await?)
}

/// Takes members out; gives those who were in it.
pub(crate) async fn remove(tx: &Tx, name: GroupName, members: &[Subject]) -> Result<Vec<Subject>, db::Error> {
    let sql =
        "delete from group_members where organization_id = $1 and group_id = $2 and member = any($3) returning member";
    read_members(&tx.query(sql, &[&name.organization.uuid(), &name.group.uuid(), &keys(members)]).await?)
}

/// Those of these members whom the organization does not have: users without active membership or account, groups that are not there.
pub(crate) async fn strangers(
    tx: &Tx,
    organization: OrganizationId,
    members: &[Subject],
) -> Result<Vec<Subject>, db::Error> {
    let sql = "select k.member from unnest($2::bytea[]) as k(member) where not exists ( \
           select from memberships m where m.organization_id = $1 and k.member = '\\x01'::bytea || uuid_send(m.user_id) \
           and m.user_id = encode(substr(k.member, 2), 'hex')::uuid and m.state = 1 \
           and exists (select from users u where u.user_id = m.user_id and u.state = 1) \
         ) and not exists ( \
           select from groups g where g.organization_id = $1 and k.member = '\\x02'::bytea || uuid_send(g.group_id) \
           and g.group_id = encode(substr(k.member, 2), 'hex')::uuid \
         )";
    read_members(&tx.query(sql, &[&organization.uuid(), &keys(members)]).await?)
}

/// Direct members of the group, and the most groups that any of these members is in.
pub(crate) async fn counts(tx: &Tx, name: GroupName, members: &[Subject]) -> Result<(i64, i64), db::Error> {
    let sql = "select (select count(*) from group_members where organization_id = $1 and group_id = $2), \
         (select coalesce(max(n), 0) from (select count(*) as n from group_members where organization_id = $1 and member = any($3) group by member) c)";
    let row = tx.query_one(sql, &[&name.organization.uuid(), &name.group.uuid(), &keys(members)]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Memberships looked at of the users beneath somebody who comes into a group, and pairs of a group that one of them is in and one above it.
const LOOKED_AT: i64 = 1_000_000;
/// Users among them whose groups are counted one by one.
const COUNTED: i64 = 10_000;

/// The most groups that a user among these members is in, directly or through groups, or a user in the groups among them, with the links that
/// he holds; zero when all of them are in few.
///
/// Nobody is in more groups than those that he is in directly have above them, added up: that is one look at each membership, and spares most
/// users the count. What is beneath is never more than the organization has; what is beyond [`LOOKED_AT`] and [`COUNTED`] is not looked at, so that a very large group holds the organization's lock for
/// seconds at most; who is in too many then is cut where his groups are read ([`of_user`]).
pub(crate) async fn most_of_a_user(
    tx: &Tx,
    organization: OrganizationId,
    members: &[Subject],
    now: OffsetDateTime,
) -> Result<i64, db::Error> {
    let sql = "with recursive down as ( \
           select k.key from unnest($2::bytea[]) as k(key) \
           union select m.member from down d cross join lateral ( \
             select member from group_members where organization_id = $1 \
             and group_id = encode(substr(d.key, 2), 'hex')::uuid offset 0 \
           ) m where d.key >= '\\x02'::bytea and d.key < '\\x03'::bytea \
         ), direct as materialized ( \
           select d.key as person, m.group_id as base from down d cross join lateral ( \
             select group_id from group_members where organization_id = $1 and member = d.key offset 0 \
           ) m where d.key < '\\x02'::bytea limit $4 \
         ), up as ( \
           select distinct base, base as at from direct \
           union select u.base, g.group_id from up u cross join lateral ( \
             select group_id from group_members where organization_id = $1 and member = '\\x02'::bytea || uuid_send(u.at) offset 0 \
           ) g \
         ), above as materialized ( \
           select base, at from up limit $4 \
         ), loaded as ( \
           select person, sum(n) as n from direct join (select base, count(*) as n from above group by base) counted using (base) \
           group by person \
         ), heavy as ( \
           select person, links from loaded cross join lateral ( \
             select count(*) as links from link_holders where organization_id = $1 \
               and user_id = encode(substr(person, 2), 'hex')::uuid and expire_time > $6 offset 0 \
           ) l where n + links > $3::bigint limit $5 \
         ) select coalesce(max(n), 0)::bigint from ( \
           select count(distinct at) + max(links) as n from heavy join direct using (person) join above using (base) group by person \
         ) c";
    let limit = group_limit::NAMES_OF_USER;
    let params: [&(dyn db::ToSql + Sync); 6] =
        [&organization.uuid(), &keys(members), &limit, &LOOKED_AT, &COUNTED, &now];
    Ok(tx.query_one(sql, &params).await?.try_get(0)?)
}

/// Levels of the longest chain of groups through this one, one more than may be when there are more; a circle has no end.
pub(crate) async fn levels(tx: &Tx, name: GroupName) -> Result<i32, db::Error> {
    let sql = "with recursive up as ( \
           select '\\x02'::bytea || uuid_send($2) as key, 1 as level \
           union select '\\x02'::bytea || uuid_send(m.group_id), up.level + 1 from up \
             join group_members m on m.organization_id = $1 and m.member = up.key where up.level <= $3 \
         ), down as ( \
           select '\\x02'::bytea || uuid_send($2) as key, 1 as level \
           union select m.member, down.level + 1 from down \
             join group_members m on m.organization_id = $1 and m.group_id = encode(substr(down.key, 2), 'hex')::uuid \
             where m.member >= '\\x02'::bytea and m.member < '\\x03'::bytea and down.level <= $3 \
         ) select (select max(level) from up) + (select max(level) from down) - 1";
    let params = (name.organization.uuid(), name.group.uuid(), group_limit::LEVELS);
    Ok(tx.query_one(sql, &[&params.0, &params.1, &params.2]).await?.try_get(0)?)
}

/// Whether a user is in the group, directly or through groups.
pub(crate) async fn holds(tx: &Tx, name: GroupName, user: api::UserId) -> Result<bool, db::Error> {
    let sql = "with recursive inside as ( \
           select m.group_id from group_members m where m.organization_id = $1 and m.member = $3 \
           union select m.group_id from inside i \
             join group_members m on m.organization_id = $1 and m.member = '\\x02'::bytea || uuid_send(i.group_id) \
         ) select exists (select from inside where group_id = $2)";
    let key = Subject::User(user).key();
    Ok(tx.query_one(sql, &[&name.organization.uuid(), &name.group.uuid(), &key]).await?.try_get(0)?)
}

/// What an active member goes by beside his name, with its end: his groups, directly or through groups, nearest first, and links that he
/// holds; nobody else goes by any. Levels bound the work, were there a circle.
pub(crate) async fn of_user(
    tx: &Tx,
    organization: OrganizationId,
    user: api::UserId,
    (now, most): (OffsetDateTime, i64),
) -> Result<Vec<(Subject, Option<OffsetDateTime>)>, db::Error> {
    let sql = "with recursive nest as ( \
           select '\\x01'::bytea || uuid_send(m.user_id) as key, 0 as level from memberships m \
             where m.organization_id = $1 and m.user_id = $2 and m.state = 1 \
             and exists (select from users u where u.user_id = m.user_id and u.state = 1) \
           union select '\\x02'::bytea || uuid_send(g.group_id), n.level + 1 from nest n cross join lateral ( \
             select group_id from group_members where organization_id = $1 and member = n.key offset 0 \
           ) g where n.level < $3 \
         ), held as ( \
           select key as member, min(level) as level, null::timestamptz as expire_time from nest where level > 0 group by key \
           union all select '\\x06'::bytea || uuid_send(l.link_id), 1, l.expire_time from nest n cross join lateral ( \
             select link_id, expire_time from link_holders where organization_id = $1 and user_id = $2 and expire_time > $5 offset 0 \
           ) l where n.level = 0 \
         ) select member, expire_time from held order by level, member limit $4";
    let params = (organization.uuid(), user.uuid(), group_limit::LEVELS);
    let rows = tx.query(sql, &[&params.0, &params.1, &params.2, &most, &now]).await?;
    let read = |row: &Row| Ok((Subject::of_key(&row.try_get::<_, Vec<u8>>("member")?), row.try_get("expire_time")?));
    let read: Vec<_> = rows.iter().map(read).collect::<Result<_, db::Error>>()?;
    Ok(read.into_iter().filter_map(|(subject, end)| Some((subject?, end))).collect())
}

fn keys(members: &[Subject]) -> Vec<Vec<u8>> {
    members.iter().map(|member| member.key()).collect()
}

fn read_members(rows: &[Row]) -> Result<Vec<Subject>, db::Error> {
    let mut members = Vec::with_capacity(rows.len());
    for row in rows {
        members.extend(Subject::of_key(&row.try_get::<_, Vec<u8>>("member")?));
    }
    Ok(members)
}
