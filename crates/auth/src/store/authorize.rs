//! Rows of authorization requests. System transactions: until somebody signs in they belong to nobody.
use api::{Id, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::{id_opt, session::scopes};
use crate::model::{Asked, Challenge};

/// A request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// What is asked.
    pub(crate) asked: Asked,
    /// Pushed, and not used yet.
    pub(crate) pushed: bool,
    /// SHA-256 of the secret of the browser that it is bound to; empty while it is pushed.
    pub(crate) browser: Vec<u8>,
    /// The browser session, and its user, that was asked for consent.
    pub(crate) session: Option<(Id, UserId)>,
    /// Sign-ins before this do not count.
    pub(crate) auth_after: OffsetDateTime,
    /// When it came.
    pub(crate) create_time: OffsetDateTime,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
}

const COLUMNS: &str = "client, redirect_uri, code_challenge, state, nonce, scope, prompt, max_age, login_hint, pushed, browser_digest, session_id, \
     user_id, auth_after, create_time, expire_time, expected_user_id";

fn read(row: &Row) -> Result<Waiting, db::Error> {
    let asked = Asked {
        client: row.try_get("client")?,
        redirect_uri: row.try_get("redirect_uri")?,
        challenge: Challenge(row.try_get("code_challenge")?),
        state: row.try_get("state")?,
        nonce: row.try_get("nonce")?,
        scopes: scopes(row)?,
        prompt: row.try_get("prompt")?,
        max_age: row.try_get("max_age")?,
        login_hint: row.try_get("login_hint")?,
        person: id_opt(row, "expected_user_id")?.map(UserId),
    };
    Ok(Waiting {
        asked,
        pushed: row.try_get("pushed")?,
        browser: row.try_get("browser_digest")?,
        session: id_opt(row, "session_id")?.zip(id_opt(row, "user_id")?.map(UserId)),
        auth_after: row.try_get("auth_after")?,
        create_time: row.try_get("create_time")?,
        expire_time: row.try_get("expire_time")?,
    })
}

/// A new request.
pub(crate) async fn insert(tx: &Tx, digest: &[u8], waiting: &Waiting) -> Result<(), db::Error> {
    let sql = format!(
        "insert into authorization_requests (request_digest, {COLUMNS}) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    );
    let Waiting { asked, pushed, browser, session, auth_after, create_time, expire_time } = waiting;
    let Asked {
        client,
        redirect_uri,
        challenge: Challenge(challenge),
        state,
        nonce,
        prompt,
        max_age,
        login_hint,
        person,
        ..
    } = asked;
    let person = person.map(UserId::uuid);
    let scope = asked.scopes.text();
    let (session, user) = (session.map(|(session, _)| session.uuid()), session.map(|(_, user)| user.uuid()));
    tx.execute(
        &sql,
        &[
            &digest,
            client,
            redirect_uri,
            challenge,
            state,
            nonce,
            &scope,
            prompt,
            max_age,
            login_hint,
            pushed,
            browser,
            &session,
            &user,
            auth_after,
            create_time,
            expire_time,
            &person,
        ],
    )
    .await
    .map(drop)
}

/// Takes a request: it is gone, nobody can take it again. A pushed one only as such, by its client; others by their browser.
pub(crate) async fn take(
    tx: &Tx,
    digest: &[u8],
    by: Bound<'_>,
    now: OffsetDateTime,
) -> Result<Option<Waiting>, db::Error> {
    let condition = match by {
        Bound::Client(_) => "pushed and client = $3",
        Bound::Browser(_) => "not pushed and browser_digest = $3",
        Bound::Session(_) => "not pushed and session_id = $3",
    };
    let sql = format!(
        "delete from authorization_requests where request_digest = $1 and expire_time > $2 and {condition} returning {COLUMNS}"
    );
    let row = match by {
        Bound::Client(client) => tx.query_opt(&sql, &[&digest, &now, &client]).await?,
        Bound::Browser(browser) => tx.query_opt(&sql, &[&digest, &now, &browser]).await?,
        Bound::Session(session) => tx.query_opt(&sql, &[&digest, &now, &session.uuid()]).await?,
    };
    row.as_ref().map(read).transpose()
}

/// A request that waits for the decision of a session.
pub(crate) async fn get(
    tx: &Tx,
    digest: &[u8],
    session: Id,
    now: OffsetDateTime,
) -> Result<Option<Waiting>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from authorization_requests where request_digest = $1 and expire_time > $2 and not pushed and session_id = $3"
    );
    tx.query_opt(&sql, &[&digest, &now, &session.uuid()]).await?.as_ref().map(read).transpose()
}

/// What a request is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound<'a> {
    /// The client that pushed it.
    Client(&'a str),
    /// Digest of the browser's secret.
    Browser(&'a [u8]),
    /// The browser session that was asked.
    Session(Id),
}
