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

use super::{consent, login::Code, membership, organization::KEEP, session};
use crate::model::{Membership, Scopes};

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
    read_version(&tx.query(VERSION, &[&user.uuid()]).await?)
}

/// What a code rests on.
pub(crate) struct Grounds {
    /// As [`version`].
    pub(crate) version: Option<i64>,
    /// His membership in the code's organization, if its rights are in force.
    pub(crate) membership: Option<Membership>,
    /// What he has allowed the client. Looked for only if the code was given in a browser's session.
    pub(crate) consent: Option<Scopes>,
    /// That session is there.
    pub(crate) has_parent: bool,
}

/// Reads it in one round trip, in the order of the locks; it stays so until the transaction ends. System transactions only.
pub(crate) async fn grounds(tx: &Tx, code: &Code) -> Result<Grounds, db::Error> {
    let (user, organization) = (code.user.uuid(), code.organization.map(OrganizationId::uuid));
    let (client, parent) = (&code.client, code.parent.map(Id::uuid));
    let active = membership::active_sql();
    let queries: [db::Query<'_>; 5] = [
        (KEEP, &[&organization]),
        (VERSION, &[&user]),
        (&active, &[&organization, &user]),
        (consent::FIND, &[&user, client, &organization]),
        (session::STAYS, &[&parent]),
    ];
    let asked = if parent.is_some() { 5 } else { 3 };
    let rows = tx.together(&queries[..asked]).await?;
    let of = |number: usize| rows.get(number).map(Vec::as_slice).unwrap_or_default();
    Ok(Grounds {
        version: read_version(of(1))?,
        membership: of(2).first().map(membership::read).transpose()?,
        consent: of(3).first().map(session::scopes).transpose()?,
        has_parent: !of(4).is_empty(),
    })
}

const VERSION: &str = "select credential_version from users where user_id = $1 and state = 1 for share";

fn read_version(rows: &[Row]) -> Result<Option<i64>, db::Error> {
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}
