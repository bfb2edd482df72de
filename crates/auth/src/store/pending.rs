//! What somebody has proven, or was given, and is no session yet: sign-ins at work, codes, devices let in. It carries the version of his
//! credentials under which it began; a change that ends his sessions moves the version.
//!
//! The user's row is the lock between the two. What voids holds it alone ([`hold`], [`void`]) before it looks at what it ends; what makes
//! a session, or a code for one, shares it ([`version`]) until that is committed. So one of them comes first, and the other sees it. In the
//! same way a code rests on the consent and the session behind it: whoever redeems it holds both until his session is there.
//!
//! **The order of locks,** of whoever takes more than one: codes and devices let in; organizations; the user; sign-ins at work; his consents;
//! his sessions; links of mails and everything else of his.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};

use super::{consent, login::Code, membership, organization, session};
use crate::model::{Role, Scopes};

/// Holds back everybody else who changes what this user signs in with, and all that would become a session of his, until the transaction
/// ends. Rows that refer to the user are made all the same.
pub(crate) async fn hold(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    tx.query("select 1 from users where user_id = $1 for no key update", &[&user.uuid()]).await.map(drop)
}

/// Everything of the user that is no session yet is void; the user is held from here on.
pub(crate) async fn void(tx: &Tx, user: UserId) -> Result<(), db::Error> {
    let sql = "update users set credential_version = credential_version + 1 where user_id = $1";
    tx.execute(sql, &[&user.uuid()]).await.map(drop)
}

/// The version of the credentials of a user whose account is in force. It stays until the transaction ends. System transactions only.
pub(crate) async fn version(tx: &Tx, user: UserId) -> Result<Option<i64>, db::Error> {
    read_version(&tx.query(&version_sql("$1"), &[&user.uuid()]).await?)
}

/// What is in force of a user.
pub(crate) struct InForce {
    /// As [`version`].
    pub(crate) version: Option<i64>,
    /// His role in an organization, if he is a member whose rights are in force.
    pub(crate) role: Option<Option<Role>>,
}

/// What is in force of him, and in an organization, if one is named; it stays so until the transaction ends. One round trip. System
/// transactions only.
pub(crate) async fn in_force(
    tx: &Tx,
    user: UserId,
    organization: Option<OrganizationId>,
) -> Result<InForce, db::Error> {
    let (user, organization) = (user.uuid(), organization.map(OrganizationId::uuid));
    let [kept, version, role] = in_force_sql(["$1"; 2], ["$1", "$2"], "0");
    let queries: [db::Query<'_>; 3] =
        [(&kept, &[&organization]), (&version, &[&user]), (&role, &[&organization, &user])];
    read_in_force(&tx.together(&queries).await?)
}

/// The queries for it in the order of the locks: of an organization, of a user, and of both, which these expressions name; and, with the
/// last, of the value of another expression.
pub(super) fn in_force_sql([organization, user]: [&str; 2], both: [&str; 2], beside: &str) -> [String; 3] {
    [organization::keep_sql(organization), version_sql(user), membership::role_sql(both, beside)]
}

/// Reads what they gave.
pub(super) fn read_in_force(rows: &[Vec<Row>]) -> Result<InForce, db::Error> {
    let of = |number: usize| rows.get(number).map(Vec::as_slice).unwrap_or_default();
    Ok(InForce { version: read_version(of(1))?, role: of(2).first().map(membership::read_role).transpose()?.flatten() })
}

/// What a code rests on that was given in a browser's session: what the user has allowed the client, and whether the session is there. As
/// [`in_force`], and after it.
pub(crate) async fn grounds(tx: &Tx, code: &Code, parent: Id) -> Result<(Option<Scopes>, bool), db::Error> {
    let (user, organization) = (code.user.uuid(), code.organization.map(OrganizationId::uuid));
    let (client, parent) = (&code.client, parent.uuid());
    let queries: [db::Query<'_>; 2] = [(consent::FIND, &[&user, client, &organization]), (session::STAYS, &[&parent])];
    let rows = tx.together(&queries).await?;
    let of = |number: usize| rows.get(number).map(Vec::as_slice).unwrap_or_default();
    Ok((of(0).first().map(session::scopes).transpose()?, !of(1).is_empty()))
}

fn version_sql(user: &str) -> String {
    format!("select credential_version from users where user_id = {user} and state = 1 for share")
}

fn read_version(rows: &[Row]) -> Result<Option<i64>, db::Error> {
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}
