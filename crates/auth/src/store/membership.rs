//! Rows of memberships, read together with e-mail address and name of the user.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use uuid::Uuid;

use super::id;
use crate::model::{Membership, MembershipName, MembershipState, Role};

const SELECT: &str = "select m.organization_id, m.membership_id, m.user_id, m.role, m.custom_roles, m.state, m.version, m.create_time, m.update_time, \
     u.email, u.display_name from memberships m join users u on u.user_id = m.user_id";

pub(super) fn read(row: &Row) -> Result<Membership, db::Error> {
    let state: i16 = row.try_get("state")?;
    Ok(Membership {
        id: id(row, "membership_id")?,
        organization: id(row, "organization_id")?.into(),
        user: id(row, "user_id")?.into(),
        role: row.try_get::<_, Option<i16>>("role")?.and_then(Role::of_number),
        custom_roles: row.try_get::<_, Vec<Uuid>>("custom_roles")?.into_iter().map(Id::from_uuid).collect(),
        // The column's check leaves two numbers; anything but active counts as not in force.
        state: MembershipState::of_number(state).unwrap_or(MembershipState::Deactivated),
        version: row.try_get("version")?,
        create_time: row.try_get("create_time")?,
        update_time: row.try_get("update_time")?,
        email: row.try_get("email")?,
        display_name: row.try_get("display_name")?,
    })
}

fn read_all(rows: &[Row]) -> Result<Vec<Membership>, db::Error> {
    rows.iter().map(read).collect()
}

/// A membership by name.
pub(crate) async fn get(tx: &Tx, name: MembershipName) -> Result<Option<Membership>, db::Error> {
    let sql = format!("{SELECT} where m.organization_id = $1 and m.membership_id = $2");
    tx.query_opt(&sql, &[&name.organization.uuid(), &name.membership.uuid()]).await?.as_ref().map(read).transpose()
}

/// The membership of a user in an organization whose rights are in force: it, the account and the organization are active.
pub(crate) async fn active(
    tx: &Tx,
    user: UserId,
    organization: OrganizationId,
) -> Result<Option<Membership>, db::Error> {
    let sql = active_sql("$1", "$2");
    tx.query_opt(&sql, &[&organization.uuid(), &user.uuid()]).await?.as_ref().map(read).transpose()
}

/// See [`active`]; of the organization and the user that expressions name.
fn active_sql(organization: &str, user: &str) -> String {
    format!(
        "{SELECT} join organizations o on o.organization_id = m.organization_id \
         where m.organization_id = {organization} and m.user_id = {user} and m.state = 1 and u.state = 1 and o.state = 1"
    )
}

/// Of the organization and the user that expressions name: whether he is an [`active`] member and in which role, and the value of another
/// expression beside it. One row, for [`read_role`].
pub(super) fn role_sql([organization, user]: [&str; 2], beside: &str) -> String {
    let active = active_sql(organization, user);
    format!(
        "select m.role, m.user_id is not null as is_member, {beside} from (select 1) one left join ({active}) m on true"
    )
}

/// The role of an active member: he may have none, but custom roles.
pub(super) fn read_role(row: &Row) -> Result<Option<Option<Role>>, db::Error> {
    let role = row.try_get::<_, Option<i16>>("role")?.and_then(Role::of_number);
    Ok(row.try_get::<_, bool>("is_member")?.then_some(role))
}

/// The membership of a user in an organization, whatever its state.
pub(crate) async fn of_user(
    tx: &Tx,
    user: UserId,
    organization: OrganizationId,
) -> Result<Option<Membership>, db::Error> {
    let sql = format!("{SELECT} where m.organization_id = $1 and m.user_id = $2");
    tx.query_opt(&sql, &[&organization.uuid(), &user.uuid()]).await?.as_ref().map(read).transpose()
}

/// Memberships of a user in organizations that he can sign in to.
pub(crate) async fn to_choose(tx: &Tx, user: UserId, limit: i64) -> Result<Vec<Membership>, db::Error> {
    let sql = format!(
        "{SELECT} join organizations o on o.organization_id = m.organization_id \
         where m.user_id = $1 and m.state = 1 and u.state = 1 and o.state = 1 order by m.membership_id limit $2"
    );
    read_all(&tx.query(&sql, &[&user.uuid(), &limit]).await?)
}

/// A page of an organization's members, in the order in which they came.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    after: Id,
    limit: i64,
) -> Result<Vec<Membership>, db::Error> {
    let sql =
        format!("{SELECT} where m.organization_id = $1 and m.membership_id > $2 order by m.membership_id limit $3");
    read_all(&tx.query(&sql, &[&organization.uuid(), &after.uuid(), &limit]).await?)
}

/// A page of a user's memberships.
pub(crate) async fn list_of_user(tx: &Tx, user: UserId, after: Id, limit: i64) -> Result<Vec<Membership>, db::Error> {
    let sql = format!("{SELECT} where m.user_id = $1 and m.membership_id > $2 order by m.membership_id limit $3");
    read_all(&tx.query(&sql, &[&user.uuid(), &after.uuid(), &limit]).await?)
}

/// People with active accounts who are active owners of an organization, other than one membership. Nobody signs in as a service account,
/// so one alone would leave the organization to nobody. The organization is locked.
pub(crate) async fn other_owners(tx: &Tx, name: MembershipName) -> Result<i64, db::Error> {
    let sql = "select count(*) from memberships m where organization_id = $1 and membership_id <> $2 and role = 4 and state = 1 \
         and exists (select from users u where u.user_id = m.user_id and u.state = 1 and u.kind = 1)";
    Ok(tx.query_one(sql, &[&name.organization.uuid(), &name.membership.uuid()]).await?.try_get(0)?)
}

/// A new membership.
pub(crate) async fn insert(tx: &Tx, membership: &Membership) -> Result<(), db::Error> {
    let sql = "insert into memberships (organization_id, membership_id, user_id, role, state, version, create_time, update_time, custom_roles) \
         values ($1, $2, $3, $4, $5, $6, $7, $7, $8)";
    let Membership { id, organization, user, role, state, version, create_time, .. } = membership;
    let (role, state) = (role.map(|role| role as i16), *state as i16);
    let custom = custom_roles(membership);
    tx.execute(sql, &[&organization.uuid(), &id.uuid(), &user.uuid(), &role, &state, version, create_time, &custom])
        .await
        .map(drop)
}

/// Changes roles and state; the organization is locked.
pub(crate) async fn save(tx: &Tx, membership: &Membership) -> Result<(), db::Error> {
    let sql = "update memberships set role = $3, custom_roles = $7, state = $4, version = $5, update_time = $6 where organization_id = $1 and membership_id = $2";
    let Membership { id, organization, role, state, version, update_time, .. } = membership;
    let (role, state) = (role.map(|role| role as i16), *state as i16);
    let custom = custom_roles(membership);
    tx.execute(sql, &[&organization.uuid(), &id.uuid(), &role, &state, version, update_time, &custom]).await.map(drop)
}

fn custom_roles(membership: &Membership) -> Vec<Uuid> {
    membership.custom_roles.iter().map(|role| role.uuid()).collect()
}

/// Ends a membership; the organization is locked.
pub(crate) async fn delete(tx: &Tx, name: MembershipName) -> Result<(), db::Error> {
    let sql = "delete from memberships where organization_id = $1 and membership_id = $2";
    tx.execute(sql, &[&name.organization.uuid(), &name.membership.uuid()]).await.map(drop)
}
