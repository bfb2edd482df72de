//! Rows of sessions and the state of their refresh tokens.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::{id, id_opt};
use crate::model::{Impersonation, Origin, RefreshState, Scopes, Session, SessionName, Told};

const COLUMNS: &str = "session_id, user_id, organization_id, client, auth_time, amr, create_time, last_use_time, expire_time, scope, parent_id, \
     network, last_network, user_agent, impersonator_id, impersonator_session_id, impersonator_name, impersonator_email, impersonation_reason";

fn read(row: &Row) -> Result<Session, db::Error> {
    Ok(Session {
        id: id(row, "session_id")?,
        user: id(row, "user_id")?.into(),
        organization: id_opt(row, "organization_id")?.map(OrganizationId),
        client: row.try_get("client")?,
        auth_time: row.try_get("auth_time")?,
        amr: row.try_get("amr")?,
        create_time: row.try_get("create_time")?,
        last_use_time: row.try_get("last_use_time")?,
        expire_time: row.try_get("expire_time")?,
        scopes: scopes(row)?,
        parent: id_opt(row, "parent_id")?,
        origin: origin(row)?,
        last_network: row.try_get("last_network")?,
        impersonation: impersonation(row)?,
    })
}

/// Who acts as the user; the columns' check leaves all of it or nothing.
fn impersonation(row: &Row) -> Result<Option<Impersonation>, db::Error> {
    let who = id_opt(row, "impersonator_id")?.zip(id_opt(row, "impersonator_session_id")?).zip(told(row)?);
    Ok(who.map(|((user, session), told)| Impersonation { user: UserId(user), session, told }))
}

/// What a user is told of who acts as him.
pub(super) fn told(row: &Row) -> Result<Option<Told>, db::Error> {
    let Some(display_name) = row.try_get("impersonator_name")? else { return Ok(None) };
    let (email, reason) = (row.try_get("impersonator_email")?, row.try_get("impersonation_reason")?);
    Ok(Some(Told { display_name, email, reason }))
}

/// The column `scope`, which our own code has written.
pub(super) fn scopes(row: &Row) -> Result<Scopes, db::Error> {
    Ok(Scopes::stored(row.try_get("scope")?))
}

/// Where somebody signed in.
pub(super) fn origin(row: &Row) -> Result<Origin, db::Error> {
    Ok(Origin { network: row.try_get("network")?, user_agent: row.try_get("user_agent")? })
}

/// A session with the state of its refresh tokens; `locked` until the transaction ends.
pub(crate) async fn get(tx: &Tx, session: Id, locked: bool) -> Result<Option<(Session, RefreshState)>, db::Error> {
    let lock = if locked { " for update" } else { "" };
    let sql = format!("select {COLUMNS}, counter, rotated_time, confirmed from sessions where session_id = $1{lock}");
    let Some(row) = tx.query_opt(&sql, &[&session.uuid()]).await? else { return Ok(None) };
    let state = RefreshState {
        counter: row.try_get("counter")?,
        rotated_time: row.try_get("rotated_time")?,
        confirmed: row.try_get("confirmed")?,
    };
    Ok(Some((read(&row)?, state)))
}

/// A page of a user's sessions that have not ended, in the order in which they began.
pub(crate) async fn list(
    tx: &Tx,
    user: UserId,
    now: OffsetDateTime,
    after: Id,
    limit: i64,
) -> Result<Vec<Session>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from sessions where user_id = $1 and expire_time > $2 and session_id > $3 order by session_id limit $4"
    );
    tx.query(&sql, &[&user.uuid(), &now, &after.uuid(), &limit]).await?.iter().map(read).collect()
}

/// A session of this user that has not ended.
pub(crate) async fn of_user(tx: &Tx, name: SessionName, now: OffsetDateTime) -> Result<Option<Session>, db::Error> {
    let sql = format!("select {COLUMNS} from sessions where session_id = $1 and user_id = $2 and expire_time > $3");
    tx.query_opt(&sql, &[&name.session.uuid(), &name.user.uuid(), &now]).await?.as_ref().map(read).transpose()
}

/// A new session.
pub(crate) async fn insert(tx: &Tx, session: &Session) -> Result<(), db::Error> {
    tx.execute(Insertion::SQL, &Insertion::of(session).params()).await.map(drop)
}

/// A new session; gives the oldest lasting ones of its user beyond a number, without those in which somebody else acts as him, locked
/// until the transaction ends. One that another transaction holds at the moment is left for the next time: nobody waits for these who
/// holds other sessions.
pub(crate) async fn begin(tx: &Tx, session: &Session, kept: i64) -> Result<Vec<Session>, db::Error> {
    let oldest = format!(
        "select {COLUMNS} from sessions where session_id in ( \
           select session_id from sessions where user_id = $1 and {LASTING} \
           order by create_time desc, session_id desc offset $2) for update skip locked"
    );
    let user = session.user.uuid();
    let insertion = Insertion::of(session);
    let rows = tx.together(&[(Insertion::SQL, &insertion.params()), (&oldest, &[&user, &kept])]).await?;
    rows.last().into_iter().flatten().map(read).collect()
}

/// Those of a user that count.
const LASTING: &str = "string_to_array(scope, ' ') && array['offline_access', '*'] and impersonator_id is null";

/// How many there are of the user that an expression names, or `$2`, if there are more.
pub(super) fn count_sql(user: &str) -> String {
    format!("select count(*) from (select from sessions where user_id = {user} and {LASTING} limit $2) lasting")
}

/// The statement that makes a session, to be sent with others.
pub(crate) struct Insertion(Vec<Box<dyn db::ToSql + Send + Sync>>);

impl Insertion {
    /// Its SQL.
    pub(crate) const SQL: &str = "insert into sessions (session_id, user_id, organization_id, client, auth_time, create_time, last_use_time, expire_time, rotated_time, amr, scope, parent_id, \
         network, last_network, user_agent, impersonator_id, impersonator_session_id, impersonator_name, impersonator_email, impersonation_reason) \
         values ($1, $2, $3, $4, $5, $6, $6, $7, $6, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

    /// Of this session.
    pub(crate) fn of(session: &Session) -> Insertion {
        let Session { origin, impersonation, .. } = session;
        let by = impersonation.as_ref();
        let told = by.map(|by| &by.told);
        Insertion(vec![
            Box::new(session.id.uuid()),
            Box::new(session.user.uuid()),
            Box::new(session.organization.map(OrganizationId::uuid)),
            Box::new(session.client.clone()),
            Box::new(session.auth_time),
            Box::new(session.create_time),
            Box::new(session.expire_time),
            Box::new(session.amr.clone()),
            Box::new(session.scopes.text()),
            Box::new(session.parent.map(Id::uuid)),
            Box::new(origin.network.clone()),
            Box::new(session.last_network.clone()),
            Box::new(origin.user_agent.clone()),
            Box::new(by.map(|by| by.user.uuid())),
            Box::new(by.map(|by| by.session.uuid())),
            Box::new(told.map(|told| told.display_name.clone())),
            Box::new(told.map(|told| told.email.clone())),
            Box::new(told.map(|told| told.reason.clone())),
        ])
    }

    /// Its parameters.
    pub(crate) fn params(&self) -> Vec<&(dyn db::ToSql + Sync)> {
        self.0.iter().map(|param| param.as_ref() as _).collect()
    }
}

/// The secret of a browser's session.
pub(crate) async fn save_cookie(tx: &Tx, session: Id, digest: &[u8]) -> Result<(), db::Error> {
    let sql = "update sessions set cookie_digest = $2 where session_id = $1";
    tx.execute(sql, &[&session.uuid(), &digest]).await.map(drop)
}

/// The session behind a browser's secret, whether it has ended or not; `locked` until the transaction ends.
pub(crate) async fn by_cookie(tx: &Tx, digest: &[u8], locked: bool) -> Result<Option<Session>, db::Error> {
    let lock = if locked { " for update" } else { "" };
    let sql = format!("select {COLUMNS} from sessions where cookie_digest = $1{lock}");
    tx.query_opt(&sql, &[&digest]).await?.as_ref().map(read).transpose()
}

/// Whether it is there; if so it stays until the transaction ends.
pub(crate) async fn stays(tx: &Tx, session: Id) -> Result<bool, db::Error> {
    Ok(tx.query_opt(STAYS, &[&session.uuid()]).await?.is_some())
}

/// See [`stays`].
pub(super) const STAYS: &str = "select 1 from sessions where session_id = $1 for key share";

/// It was used, from this network; where none was seen, the one before stays.
pub(crate) async fn touch(tx: &Tx, session: Id, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update sessions set last_use_time = $2, last_network = coalesce(nullif($3, ''), last_network) where session_id = $1";
    tx.execute(sql, &[&session.uuid(), &now, &tx.context().network]).await.map(drop)
}

/// Where codes lie that a browser's session has given.
const CODES: [&str; 2] = ["authorization_codes", "device_codes"];

/// The browser's session that one of an application came from, or the session itself.
pub(crate) async fn root(tx: &Tx, session: Id) -> Result<Option<Id>, db::Error> {
    let sql = "select coalesce(parent_id, session_id) from sessions where session_id = $1";
    let row = tx.query_opt(sql, &[&session.uuid()]).await?;
    row.map(|row| row.try_get(0).map(Id::from_uuid).map_err(db::Error::from)).transpose()
}

/// Locks the codes that were given in a browser's session until the transaction ends.
pub(crate) async fn hold_codes(tx: &Tx, parent: Id) -> Result<(), db::Error> {
    for table in CODES {
        tx.query(&format!("select 1 from {table} where parent_id = $1 for update"), &[&parent.uuid()]).await?;
    }
    Ok(())
}

/// What was begun from one browser's session, and codes that were given in it, belong to another from now on. A code that somebody
/// redeems at this moment stays behind, and is refused with the session: he waits for it, so nobody waits for him.
pub(crate) async fn adopt(tx: &Tx, from: Id, to: Id) -> Result<(), db::Error> {
    for table in CODES {
        let sql = format!(
            "update {table} set parent_id = $2 where ctid = any(array( \
               select ctid from {table} where parent_id = $1 for update skip locked))"
        );
        tx.execute(&sql, &[&from.uuid(), &to.uuid()]).await?;
    }
    let sql = "update sessions set parent_id = $2 where parent_id = $1";
    tx.execute(sql, &[&from.uuid(), &to.uuid()]).await.map(drop)
}

/// Ends what was begun from a browser's session and was not meant to outlive it; gives ids and tenants.
pub(crate) async fn delete_children(tx: &Tx, parent: Id) -> Result<Vec<Session>, db::Error> {
    let sql = format!(
        "delete from sessions where parent_id = $1 and not string_to_array(scope, ' ') && array['offline_access', '*'] returning {COLUMNS}"
    );
    tx.query(&sql, &[&parent.uuid()]).await?.iter().map(read).collect()
}

/// Ends the sessions of a client, of one user or of all, in one tenant or in all.
pub(crate) async fn delete_of_client(
    tx: &Tx,
    client: &str,
    of: Option<(UserId, Option<OrganizationId>)>,
) -> Result<Vec<Session>, db::Error> {
    let sql = format!(
        "delete from sessions where client = $1 and ($2::uuid is null or (user_id = $2 and organization_id is not distinct from $3)) returning {COLUMNS}"
    );
    let (user, organization) = of.unzip();
    let (user, organization) = (user.map(UserId::uuid), organization.flatten().map(OrganizationId::uuid));
    tx.query(&sql, &[&client, &user, &organization]).await?.iter().map(read).collect()
}

/// A new refresh token was given out; the row is locked.
pub(crate) async fn rotate(tx: &Tx, session: Id, counter: i64, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update sessions set counter = $2, rotated_time = $3, last_use_time = $3, confirmed = false, \
         last_network = coalesce(nullif($4, ''), last_network) where session_id = $1";
    tx.execute(sql, &[&session.uuid(), &counter, &now, &tx.context().network]).await.map(drop)
}

/// The access token of this counter has been used.
pub(crate) async fn confirm(tx: &Tx, session: Id, counter: i64) -> Result<(), db::Error> {
    let sql = "update sessions set confirmed = true where session_id = $1 and counter = $2 and not confirmed";
    tx.execute(sql, &[&session.uuid(), &counter]).await.map(drop)
}

/// Ends a session; false when there is none.
pub(crate) async fn delete(tx: &Tx, session: Id) -> Result<bool, db::Error> {
    Ok(tx.execute("delete from sessions where session_id = $1", &[&session.uuid()]).await? == 1)
}

/// Ends all sessions of a user in an organization.
pub(crate) async fn delete_of_member(tx: &Tx, user: UserId, organization: OrganizationId) -> Result<(), db::Error> {
    let sql = "delete from sessions where organization_id = $1 and user_id = $2";
    tx.execute(sql, &[&organization.uuid(), &user.uuid()]).await.map(drop)
}

/// Ends all sessions in an organization.
pub(crate) async fn delete_of_organization(tx: &Tx, organization: OrganizationId) -> Result<(), db::Error> {
    tx.execute("delete from sessions where organization_id = $1", &[&organization.uuid()]).await.map(drop)
}

/// Ends all sessions of a user but one; gives their ids.
pub(crate) async fn delete_others(tx: &Tx, user: UserId, kept: Id) -> Result<Vec<Id>, db::Error> {
    let sql = "delete from sessions where user_id = $1 and session_id <> $2 returning session_id";
    tx.query(sql, &[&user.uuid(), &kept.uuid()]).await?.iter().map(|row| id(row, "session_id")).collect()
}
