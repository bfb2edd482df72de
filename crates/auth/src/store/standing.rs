//! How people stand to resources: roles, groups, links and relations in one statement, so that all answers are from one state.
//!
//! `limit` and `offset 0` fence subqueries, so that each step is a look into an index and no plan reads a table. Recursions carry
//! nothing but what they find: `union` lets each in once, so a circle ends and the work is bounded by what there is, not by the ways.
//! Parameters that are lists or limits stand in subqueries, so that the planner guesses the same with and without their values and keeps
//! one plan: planning takes longer than running.
use std::sync::LazyLock;

use api::{Id, OrganizationId, Share, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::model::{Facts, Permissions, Role, Subject, relation_limit};

/// Active members with active accounts among the users $5, with the keys of their groups and of those these are in, the links that they
/// hold at the time $3, and `keys` of them all, of their roles too.
const PEOPLE: &str = "person as materialized (
       select u.user_id, m.role, m.custom_roles from unnest((select $5::uuid[])) as u(user_id) cross join lateral (
         select role, custom_roles from memberships where organization_id = $1 and user_id = u.user_id and state = 1
           and (select a.state from users a where a.user_id = memberships.user_id) = 1 limit 1
       ) m
     ), nest as (
       select '\\x01'::bytea || uuid_send(user_id) as key from person
       union
       select '\\x02'::bytea || uuid_send(g.group_id) from nest n cross join lateral (
         select group_id from group_members where organization_id = $1 and member = n.key offset 0
       ) g
     ), held_link as materialized (
       select p.user_id, l.link_id from person p cross join lateral (
         select link_id from link_holders where organization_id = $1 and user_id = p.user_id and expire_time > $3 offset 0
       ) l
     ), subject as materialized (
       select array(select key from nest) || ('\\x03'::bytea || uuid_send($1))
         || array(select '\\x04'::bytea || uuid_send(lpad(to_hex(n), 32, '0')::uuid) from generate_series(1, (select max(role) from person)::int) as n)
         || array(select '\\x05'::bytea || uuid_send(c) from person, unnest(custom_roles) as c)
         || array(select '\\x06'::bytea || uuid_send(link_id) from held_link) as keys
     )";

/// The resources $2 (names below the organization) and all above them; more than $4 are not read.
const ABOVE: &str = "up as (
       select o collate \"C\" as object from unnest((select $2::text[])) as t(o)
       union
       select a.parent from up u cross join lateral (
         select parent from relation_parents where organization_id = $1 and object = u.object offset 0
       ) a
     ), above as materialized (select object from up limit (select $4::int8))";

/// Rows of the kinds 0 revision, 1 person, 2 custom role, 3 groups of a member, 4 parent, 5 relation at the time $3, 6 links of a person.
const HEAD: &str =
    "select 0 as kind, null::uuid as id, null::int2 as number, null::uuid[] as ids, null::text[] as texts,
       null::text as object, null::text as parent, null::bytea as subject, null::timestamptz as end_time,
       coalesce((select revision from relation_heads where organization_id = $1), 0) as revision
     union all select 1, user_id, role, custom_roles, null, null, null, null, null, null from person
     union all select 2, c.role_id, null, null, c.permissions, null, null, null, null, null from custom_roles c
       where c.organization_id = $1 and c.role_id = any((select array(select unnest(custom_roles) from person))::uuid[])
     union all select 3, null, null, g.ids, null, null, null, n.key, null, null from nest n cross join lateral (
         select array(select group_id from group_members where organization_id = $1 and member = n.key) as ids offset 0
       ) g where g.ids <> '{}'
     union all select 6, user_id, null, array_agg(link_id), null, null, null, null, null, null from held_link group by user_id
     union all";
const TAIL: &str = "(select 4 as kind, null::uuid as id, p.most as number, null::uuid[] as ids, null::text[] as texts,
         a.object, p.parent, null::bytea as subject, null::timestamptz as end_time, null::int8 as revision
       from above a cross join lateral (
         select parent, most from relation_parents where organization_id = $1 and object = a.object offset 0
       ) p limit (select $4::int8 * 10 + 1))
     union all (select 5, null, r.relation, null, null, a.object, null, r.subject, r.expire_time, null from above a cross join lateral (
         select subject, relation, expire_time from relations
         where organization_id = $1 and object = a.object and subject = any((select keys from subject)::bytea[])
           and (expire_time is null or expire_time > $3) offset 0
       ) r limit (select $4::int8 * 10 + 1))";

/// Everything about these users and these resources (names below the organization), with the revision of that state.
pub(crate) async fn facts(
    tx: &Tx,
    organization: OrganizationId,
    users: &[UserId],
    paths: &[&str],
    now: OffsetDateTime,
) -> Result<Facts, db::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("with recursive {PEOPLE}, {ABOVE} {HEAD} {TAIL}"));
    let mut users: Vec<Uuid> = users.iter().map(|user| user.uuid()).collect();
    users.sort_unstable();
    users.dedup();
    read_all(&tx.query(&SQL, &[&organization.uuid(), &paths, &now, &most(paths), &users]).await?)
}

/// The relations that these subjects have to the resources and to all above them.
pub(crate) async fn above(
    tx: &Tx,
    organization: OrganizationId,
    keys: &[Vec<u8>],
    paths: &[&str],
    now: OffsetDateTime,
) -> Result<Facts, db::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!("with recursive subject as materialized (select $5::bytea[] as keys), {ABOVE} {TAIL}")
    });
    read_all(&tx.query(&SQL, &[&organization.uuid(), &paths, &now, &most(paths), &keys]).await?)
}

/// One more resource than may be above those asked about.
fn most(paths: &[&str]) -> i64 {
    i64::try_from(relation_limit::ASKED + paths.len()).unwrap_or(i64::MAX - 1) + 1
}

fn read_all(rows: &[Row]) -> Result<Facts, db::Error> {
    let mut facts = Facts::default();
    rows.iter().try_for_each(|row| read(row, &mut facts))?;
    Ok(facts)
}

fn read(row: &Row, facts: &mut Facts) -> Result<(), db::Error> {
    let subject = || Ok::<_, db::Error>(Subject::of_key(&row.try_get::<_, Vec<u8>>("subject")?));
    let share = || Ok::<_, db::Error>(share_of(row.try_get("number")?));
    let id = || Ok::<_, db::Error>(Id::from_uuid(row.try_get("id")?));
    let ids = || Ok::<_, db::Error>(row.try_get::<_, Vec<Uuid>>("ids")?.into_iter().map(Id::from_uuid).collect());
    match row.try_get::<_, i32>("kind")? {
        0 => facts.revision = row.try_get("revision")?,
        1 => {
            let role = row.try_get::<_, Option<i16>>("number")?.and_then(Role::of_number);
            facts.add_member(UserId(id()?), role, ids()?);
        }
        2 => facts.add_role(id()?, Permissions::restore(&row.try_get::<_, Vec<String>>("texts")?)),
        3 => {
            if let Some(member) = subject()? {
                facts.add_groups(member, ids()?);
            }
        }
        4 => facts.add_parent(row.try_get("object")?, row.try_get("parent")?, share()?),
        6 => facts.add_links(UserId(id()?), ids()?),
        _ => {
            // Of a kind that a newer release wrote nothing is known, so it allows nothing.
            if let Some(subject) = subject()? {
                facts.add_relation(row.try_get("object")?, subject, share()?, row.try_get("end_time")?);
            }
        }
    }
    Ok(())
}

/// The column's check leaves four numbers; anything else is as weak as nothing.
pub(super) fn share_of(number: i16) -> Share {
    Share::try_from(i32::from(number)).unwrap_or_default()
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
