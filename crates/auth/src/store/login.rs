//! Rows of flows and codes. System transactions only.
use std::sync::LazyLock;

use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::{
    id, id_opt,
    pending::{InForce, in_force_sql, read_in_force},
    session::{count_sql, origin, scopes},
};
use crate::model::{DeviceClass, Origin, Proof, Scopes};

/// What a flow waits for; the numbers are those of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A first factor.
    First = 1,
    /// A second factor.
    Second = 2,
    /// The choice of an organization.
    Organization = 3,
    /// The answer of an identity provider.
    Upstream = 4,
}

/// A sign-in that replaces a session.
#[derive(Clone, Debug)]
pub(crate) struct StepUp {
    /// The session.
    pub(crate) session: Id,
    /// Its user, who alone may answer.
    pub(crate) user: UserId,
    /// Its organization.
    pub(crate) organization: Option<OrganizationId>,
}

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
    /// What it waits for.
    pub(crate) stage: Stage,
    /// What was proven, once it waits for more than a first factor.
    pub(crate) proven: Option<Proof>,
    /// Class of the device that gave the first factor.
    pub(crate) device: DeviceClass,
    /// The session it replaces.
    pub(crate) step_up: Option<StepUp>,
    /// Recovery codes left after one was used.
    pub(crate) recovery_left: Option<i16>,
    /// The person must prove anew who he is, whatever session an identity provider has of him.
    pub(crate) again: bool,
    /// State of the WebAuthn ceremony that it waits for, beside its other answers, or of the way to an identity provider.
    pub(crate) ceremony: Option<String>,
}

/// A code as it was stored.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// Client of the flow.
    pub(crate) client: String,
    /// Redirect URI it was sent to.
    pub(crate) redirect_uri: String,
    /// PKCE challenge.
    pub(crate) code_challenge: String,
    /// Who signed in.
    pub(crate) user: UserId,
    /// Version of his credentials under which it was given.
    pub(crate) version: i64,
    /// Tenant chosen.
    pub(crate) organization: Option<OrganizationId>,
    /// When the user proved to be himself.
    pub(crate) auth_time: OffsetDateTime,
    /// How.
    pub(crate) amr: Vec<String>,
    /// Session that the new one replaces.
    pub(crate) replaces: Option<Id>,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
    /// Scopes granted.
    pub(crate) scopes: Scopes,
    /// Nonce for the ID token.
    pub(crate) nonce: String,
    /// The browser session in which it was granted.
    pub(crate) parent: Option<Id>,
    /// Where it was given: the session that is made of it begins there.
    pub(crate) origin: Origin,
}

const FLOW: &str = "client, redirect_uri, code_challenge, state, user_id, auth_time, stage, amr, known_device, replaces_session_id, \
     organization_id, recovery_left, ceremony, again, credential_version";

/// Nothing that a flow rests on has been voided since: what was proven in it, and the session that it replaces. Looked at without a lock,
/// so that whoever answers hears at once that it has ended; what makes a code of it looks again, and holds it.
const ALIVE: &str = "(credential_version is null or credential_version = (select u.credential_version from users u where u.user_id = login_flows.user_id)) \
     and (replaces_session_id is null or exists (select from sessions s where s.session_id = replaces_session_id))";

/// A new flow.
pub(crate) async fn insert_flow(
    tx: &Tx,
    digest: &[u8],
    flow: &Flow,
    expire_time: OffsetDateTime,
) -> Result<(), db::Error> {
    let sql = format!(
        "insert into login_flows (flow_digest, expire_time, {FLOW}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
    );
    let Flow { client, redirect_uri, code_challenge, state, stage, proven, device, step_up, .. } = flow;
    let proven = proven.as_ref();
    let user = proven.map(|proof| proof.user).or(step_up.as_ref().map(|step_up| step_up.user)).map(|user| user.uuid());
    let auth_time = proven.map(|proof| proof.time);
    let amr = proven.map(|proof| proof.amr.clone()).unwrap_or_default();
    let known = *device == DeviceClass::Known;
    let replaces = step_up.as_ref().map(|step_up| step_up.session.uuid());
    let organization = step_up.as_ref().and_then(|step_up| step_up.organization).map(OrganizationId::uuid);
    let version = proven.map(|proof| proof.version);
    let params: [&(dyn db::ToSql + Sync); 17] = [
        &digest,
        &expire_time,
        client,
        redirect_uri,
        code_challenge,
        state,
        &user,
        &auth_time,
        &(*stage as i16),
        &amr,
        &known,
        &replaces,
        &organization,
        &flow.recovery_left,
        &flow.ceremony,
        &flow.again,
        &version,
    ];
    tx.execute(&sql, &params).await.map(drop)
}

/// Takes a flow that waits for this: it is gone, nobody can take it again.
pub(crate) async fn take_flow(
    tx: &Tx,
    digest: &[u8],
    stage: Stage,
    now: OffsetDateTime,
) -> Result<Option<Flow>, db::Error> {
    let sql = format!(
        "delete from login_flows where flow_digest = $1 and stage = $2 and expire_time > $3 and {ALIVE} returning {FLOW}"
    );
    tx.query_opt(&sql, &[&digest, &(stage as i16), &now]).await?.as_ref().map(read_flow).transpose()
}

/// Takes a flow that waits for a passkey, among others.
pub(crate) async fn take_ceremony(tx: &Tx, digest: &[u8], now: OffsetDateTime) -> Result<Option<Flow>, db::Error> {
    let sql = format!(
        "delete from login_flows where flow_digest = $1 and ceremony is not null and stage < 3 and expire_time > $2 and {ALIVE} returning {FLOW}"
    );
    tx.query_opt(&sql, &[&digest, &now]).await?.as_ref().map(read_flow).transpose()
}

/// Lets a flow that waits for a first factor wait for a mail; false when there is no such flow.
pub(crate) async fn await_mail(
    tx: &Tx,
    digest: &[u8],
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, db::Error> {
    let sql = format!(
        "update login_flows set mail_expire_time = $2 where flow_digest = $1 and stage = 1 and expire_time > $3 and {ALIVE}"
    );
    Ok(tx.execute(&sql, &[&digest, &until, &now]).await? == 1)
}

/// Takes a flow that waits for a mail.
pub(crate) async fn take_mail_flow(tx: &Tx, digest: &[u8], now: OffsetDateTime) -> Result<Option<Flow>, db::Error> {
    let sql = format!(
        "delete from login_flows where flow_digest = $1 and stage = 1 and greatest(expire_time, mail_expire_time) > $2 and {ALIVE} returning {FLOW}"
    );
    tx.query_opt(&sql, &[&digest, &now]).await?.as_ref().map(read_flow).transpose()
}

/// The client that began a flow.
pub(crate) async fn client_of_flow(tx: &Tx, digest: &[u8]) -> Result<Option<String>, db::Error> {
    let found = tx.query_opt("select client from login_flows where flow_digest = $1", &[&digest]).await?;
    Ok(found.map(|row| row.try_get("client")).transpose()?)
}

/// A flow that waits for this, left where it is.
pub(crate) async fn flow(tx: &Tx, digest: &[u8], stage: Stage, now: OffsetDateTime) -> Result<Option<Flow>, db::Error> {
    let sql = format!(
        "select {FLOW} from login_flows where flow_digest = $1 and stage = $2 and expire_time > $3 and {ALIVE}"
    );
    tx.query_opt(&sql, &[&digest, &(stage as i16), &now]).await?.as_ref().map(read_flow).transpose()
}

fn read_flow(row: &Row) -> Result<Flow, db::Error> {
    let user = id_opt(row, "user_id")?.map(UserId);
    let amr: Vec<String> = row.try_get("amr")?;
    let (time, version): (Option<OffsetDateTime>, Option<i64>) =
        (row.try_get("auth_time")?, row.try_get("credential_version")?);
    let proven = user.zip(version).zip(time);
    let organization = id_opt(row, "organization_id")?.map(OrganizationId);
    let replaced = user.zip(id_opt(row, "replaces_session_id")?);
    Ok(Flow {
        client: row.try_get("client")?,
        redirect_uri: row.try_get("redirect_uri")?,
        code_challenge: row.try_get("code_challenge")?,
        state: row.try_get("state")?,
        stage: match row.try_get::<_, i16>("stage")? {
            2 => Stage::Second,
            3 => Stage::Organization,
            4 => Stage::Upstream,
            _ => Stage::First,
        },
        proven: proven.map(|((user, version), time)| Proof { user, version, time, amr }),
        device: if row.try_get("known_device")? { DeviceClass::Known } else { DeviceClass::Unknown },
        step_up: replaced.map(|(user, session)| StepUp { session, user, organization }),
        recovery_left: row.try_get("recovery_left")?,
        again: row.try_get("again")?,
        ceremony: row.try_get("ceremony")?,
    })
}

const CODE: &str = "client, redirect_uri, code_challenge, user_id, organization_id, auth_time, expire_time, amr, replaces_session_id, scope, nonce, parent_id, credential_version";

/// A new code.
pub(crate) async fn insert_code(tx: &Tx, digest: &[u8], code: &Code) -> Result<(), db::Error> {
    let sql = format!(
        "insert into authorization_codes (code_digest, {CODE}, network, user_agent) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    );
    let Code {
        client, redirect_uri, code_challenge, user, organization, auth_time, amr, replaces, expire_time, ..
    } = code;
    let organization = organization.map(OrganizationId::uuid);
    let (replaces, parent) = (replaces.map(Id::uuid), code.parent.map(Id::uuid));
    let params: [&(dyn db::ToSql + Sync); 16] = [
        &digest,
        client,
        redirect_uri,
        code_challenge,
        &user.uuid(),
        &organization,
        auth_time,
        expire_time,
        amr,
        &replaces,
        &code.scopes.text(),
        &code.nonce,
        &parent,
        &code.version,
        &code.origin.network,
        &code.origin.user_agent,
    ];
    tx.execute(&sql, &params).await.map(drop)
}

/// A code that was used just now.
pub(crate) struct Used {
    /// The code.
    pub(crate) code: Code,
    /// What is in force of its user; it stays so until the transaction ends.
    pub(crate) in_force: InForce,
    /// How many sessions he has that last, up to as many as were asked about.
    pub(crate) sessions: i64,
}

/// Marks a code as used, for this session that begins now or never, and gives it, to one caller only: in one round trip. Where it was given
/// is from then on the session's to know, and to forget.
pub(crate) async fn use_code(
    tx: &Tx,
    digest: &[u8],
    (session, most): (Option<Id>, i64),
    now: OffsetDateTime,
) -> Result<Option<Used>, db::Error> {
    let [used, kept, version, role] = &*USE;
    let (session, named): (_, &[&(dyn db::ToSql + Sync)]) = (session.map(Id::uuid), &[&digest]);
    let queries: [db::Query<'_>; 4] =
        [(used, &[&digest, &now, &session]), (kept, named), (version, named), (role, &[&digest, &most])];
    let rows = tx.together(&queries).await?;
    let [used, in_force @ ..] = &rows[..] else { return Ok(None) };
    let (Some(code), Some(beside)) = (used.first(), in_force.last().and_then(|rows| rows.first())) else {
        return Ok(None);
    };
    Ok(Some(Used { code: read_code(code)?, in_force: read_in_force(in_force)?, sessions: beside.try_get("sessions")? }))
}

/// What [`use_code`] sends, in the order of the locks.
static USE: LazyLock<[String; 4]> = LazyLock::new(|| {
    let used = format!(
        "update authorization_codes set used_time = $2, session_id = $3, network = '', user_agent = '' \
         from (select code_digest as digest, network as given_network, user_agent as given_agent from authorization_codes) given \
         where code_digest = $1 and digest = code_digest and used_time is null \
         returning {CODE}, given_network as network, given_agent as user_agent"
    );
    let of = |column: &str| format!("(select {column} from authorization_codes where code_digest = $1)");
    let (organization, user) = (of("organization_id"), of("user_id"));
    let sessions = format!("({}) as sessions", count_sql(&user));
    let [kept, version, role] = in_force_sql([&organization, &user], [&organization, &user], &sessions);
    [used, kept, version, role]
});

fn read_code(row: &Row) -> Result<Code, db::Error> {
    Ok(Code {
        client: row.try_get("client")?,
        redirect_uri: row.try_get("redirect_uri")?,
        code_challenge: row.try_get("code_challenge")?,
        user: id(row, "user_id")?.into(),
        version: row.try_get("credential_version")?,
        organization: id_opt(row, "organization_id")?.map(OrganizationId),
        auth_time: row.try_get("auth_time")?,
        amr: row.try_get("amr")?,
        replaces: id_opt(row, "replaces_session_id")?,
        expire_time: row.try_get("expire_time")?,
        scopes: scopes(row)?,
        nonce: row.try_get("nonce")?,
        parent: id_opt(row, "parent_id")?,
        origin: origin(row)?,
    })
}

/// The session that a used code was for; `None` for an unknown code. There is one only if all was well with the code.
pub(crate) async fn session_of_code(tx: &Tx, digest: &[u8]) -> Result<Option<Id>, db::Error> {
    let sql = "select session_id from authorization_codes where code_digest = $1";
    match tx.query_opt(sql, &[&digest]).await? {
        Some(row) => id_opt(&row, "session_id"),
        None => Ok(None),
    }
}
