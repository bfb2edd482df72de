//! Rows of flows, codes and counters of attempts. System transactions only.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::{id, id_opt};

/// What a flow carries from step to step.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Client that began it.
    pub(crate) client: String,
    /// Where the code goes.
    pub(crate) redirect_uri: String,
    /// PKCE challenge.
    pub(crate) code_challenge: String,
    /// The client's state.
    pub(crate) state: String,
    /// Who proved to be himself, and when; the flow then waits for an organization.
    pub(crate) proven: Option<(UserId, OffsetDateTime)>,
}

/// A code as it was stored.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// Flow it came from; `proven` is set.
    pub(crate) client: String,
    /// Redirect URI it was sent to.
    pub(crate) redirect_uri: String,
    /// PKCE challenge.
    pub(crate) code_challenge: String,
    /// Who signed in.
    pub(crate) user: UserId,
    /// Tenant chosen.
    pub(crate) organization: Option<OrganizationId>,
    /// When the password was tested.
    pub(crate) auth_time: OffsetDateTime,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
}

/// A new flow.
pub(crate) async fn insert_flow(
    tx: &Tx,
    digest: &[u8],
    flow: &Flow,
    expire_time: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = "insert into login_flows (flow_digest, client, redirect_uri, code_challenge, state, user_id, auth_time, expire_time) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Flow { client, redirect_uri, code_challenge, state, proven } = flow;
    let (user, auth_time) = (proven.map(|(user, _)| user.uuid()), proven.map(|(_, time)| time));
    tx.execute(sql, &[&digest, client, redirect_uri, code_challenge, state, &user, &auth_time, &expire_time])
        .await
        .map(drop)
}

/// Takes a flow that waits for the password (or, `proven`, for the organization): it is gone, nobody can take it again.
pub(crate) async fn take_flow(
    tx: &Tx,
    digest: &[u8],
    proven: bool,
    now: OffsetDateTime,
) -> Result<Option<Flow>, db::Error> {
    let sql = "delete from login_flows where flow_digest = $1 and (user_id is not null) = $2 and expire_time > $3 \
         returning client, redirect_uri, code_challenge, state, user_id, auth_time";
    tx.query_opt(sql, &[&digest, &proven, &now]).await?.as_ref().map(read_flow).transpose()
}

fn read_flow(row: &Row) -> Result<Flow, db::Error> {
    let user = id_opt(row, "user_id")?.map(UserId);
    Ok(Flow {
        client: row.try_get("client")?,
        redirect_uri: row.try_get("redirect_uri")?,
        code_challenge: row.try_get("code_challenge")?,
        state: row.try_get("state")?,
        proven: user.zip(row.try_get::<_, Option<OffsetDateTime>>("auth_time")?),
    })
}

/// A new code.
pub(crate) async fn insert_code(tx: &Tx, digest: &[u8], code: &Code) -> Result<(), db::Error> {
    let sql = "insert into authorization_codes \
         (code_digest, client, redirect_uri, code_challenge, user_id, organization_id, auth_time, expire_time) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Code { client, redirect_uri, code_challenge, user, organization, auth_time, expire_time } = code;
    let organization = organization.map(OrganizationId::uuid);
    tx.execute(
        sql,
        &[&digest, client, redirect_uri, code_challenge, &user.uuid(), &organization, auth_time, expire_time],
    )
    .await
    .map(drop)
}

/// Marks a code as used and gives it, to one caller only.
pub(crate) async fn use_code(tx: &Tx, digest: &[u8], now: OffsetDateTime) -> Result<Option<Code>, db::Error> {
    let sql = "update authorization_codes set used_time = $2 where code_digest = $1 and used_time is null \
         returning client, redirect_uri, code_challenge, user_id, organization_id, auth_time, expire_time";
    tx.query_opt(sql, &[&digest, &now]).await?.as_ref().map(read_code).transpose()
}

fn read_code(row: &Row) -> Result<Code, db::Error> {
    Ok(Code {
        client: row.try_get("client")?,
        redirect_uri: row.try_get("redirect_uri")?,
        code_challenge: row.try_get("code_challenge")?,
        user: id(row, "user_id")?.into(),
        organization: id_opt(row, "organization_id")?.map(OrganizationId),
        auth_time: row.try_get("auth_time")?,
        expire_time: row.try_get("expire_time")?,
    })
}

/// The session that a code began.
pub(crate) async fn save_code_session(tx: &Tx, digest: &[u8], session: Id) -> Result<(), db::Error> {
    tx.execute("update authorization_codes set session_id = $2 where code_digest = $1", &[&digest, &session.uuid()])
        .await
        .map(drop)
}

/// The session that a used code began; `None` for an unknown code and one that began none.
pub(crate) async fn session_of_code(tx: &Tx, digest: &[u8]) -> Result<Option<Id>, db::Error> {
    let sql = "select session_id from authorization_codes where code_digest = $1";
    match tx.query_opt(sql, &[&digest]).await? {
        Some(row) => id_opt(&row, "session_id"),
        None => Ok(None),
    }
}

/// Counts an attempt before it is looked at; `None` when the identifier must wait. The delay of each number of failures is
/// `delays[failures]` in seconds, the last one for all beyond.
pub(crate) async fn count_attempt(
    tx: &Tx,
    identifier: &[u8],
    delays: &[f64],
    now: OffsetDateTime,
) -> Result<Option<i32>, db::Error> {
    let sql = "insert into sign_in_attempts as a (identifier, failures, next_time, update_time) values ($1, 1, $3, $3) \
         on conflict (identifier) do update set failures = a.failures + 1, update_time = $3, \
         next_time = $3::timestamptz + make_interval(secs => ($2::float8[])[least(a.failures + 2, array_length($2::float8[], 1))]) \
         where a.next_time <= $3 returning failures";
    tx.query_opt(sql, &[&identifier, &delays, &now]).await?.map(|row| row.try_get(0)).transpose().map_err(Into::into)
}

/// Takes one attempt back that was never looked at.
pub(crate) async fn forgive_attempt(tx: &Tx, identifier: &[u8], now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update sign_in_attempts set failures = greatest(failures - 1, 0), next_time = $2 where identifier = $1";
    tx.execute(sql, &[&identifier, &now]).await.map(drop)
}

/// The password was right: the counter begins anew.
pub(crate) async fn clear_attempts(tx: &Tx, identifier: &[u8]) -> Result<(), db::Error> {
    tx.execute("delete from sign_in_attempts where identifier = $1", &[&identifier]).await.map(drop)
}
