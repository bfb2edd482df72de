//! The token endpoint: codes and refresh tokens become access tokens.
//!
//! What RFC 6749 calls an error is an answer here ([`Refusal`]), since it belongs into the body that the gateway writes. A code works
//! once: a second use ends the session that the first began, and a wrong verifier burns the code.
use api::{CallContext, Id, UserId};
use db::Tx;
use time::{Duration, OffsetDateTime};

use super::{
    Auth, Change, issue_time,
    session::{owner, told, told_refused},
};
use crate::{
    credential::{Claims, RefreshToken, digest},
    error::Error,
    metrics,
    model::{Challenge, Client, Purpose, Refresh, RevocationKind, Role, Session, User, acr, decide},
    store::{self, login::Code},
};

/// What the client presents.
pub(crate) enum Grant {
    /// An authorization code.
    Code {
        /// The code.
        code: String,
        /// The redirect URI it was sent to.
        redirect_uri: String,
        /// The PKCE verifier.
        verifier: String,
    },
    /// A refresh token.
    Refresh(String),
}

/// Why a grant is refused, as RFC 6749 section 5.2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `invalid_client`.
    Client,
    /// `invalid_grant`.
    Grant,
}

/// What the client gets.
pub(crate) struct Tokens {
    /// JWT.
    pub(crate) access: String,
    /// Opaque.
    pub(crate) refresh: String,
    /// Life of the access token.
    pub(crate) life: Duration,
    /// Scopes given.
    pub(crate) scope: &'static str,
}

type Answer = Result<Tokens, Refusal>;

impl Auth {
    /// Answers the token endpoint.
    pub(crate) async fn token(&self, context: &CallContext, client: &str, grant: Grant) -> Result<Answer, Error> {
        let Some(client) = Client::find(client) else { return Ok(Err(Refusal::Client)) };
        match grant {
            Grant::Code { code, redirect_uri, verifier } => {
                self.redeem(context, client, (&code, &redirect_uri, &verifier)).await
            }
            Grant::Refresh(token) => self.refresh(context, client, &token).await,
        }
    }

    /// Ends the session of a refresh token. Anything else is nobody's token, which is no error (RFC 7009 section 2.2).
    pub(crate) async fn revoke_token(&self, context: &CallContext, client: &str, token: &str) -> Result<(), Error> {
        let Some(token) = self.keys()?.refresh.read(token) else { return Ok(()) };
        let tx = self.change(self.db.system("end the session of a refresh token", context).await?);
        let found = store::session::get(&tx, token.session, true).await?;
        if let Some((session, _)) = found.filter(|(session, _)| session.client == client) {
            self.end_session(&tx, &session).await?;
            tx.audit(told("session.ended", &session));
        }
        tx.commit().await
    }

    async fn redeem(
        &self,
        context: &CallContext,
        client: &Client,
        (code, redirect_uri, verifier): (&str, &str, &str),
    ) -> Result<Answer, Error> {
        let digest = digest(code);
        let now = self.clock.now();
        let tx = self.change(self.db.system("redeem an authorization code", context).await?);
        let Some(code) = store::login::use_code(&tx, &digest, now).await? else {
            return self.used_before(tx, &digest).await;
        };
        let good = code.client == client.id
            && code.redirect_uri == redirect_uri
            && now < code.expire_time
            && Challenge(code.code_challenge.clone()).is_met_by(verifier);
        let Some(role) = self.standing(&tx, &code).await?.filter(|_| good) else {
            return refuse(tx, "code").await;
        };
        let session = self.begin_session(&tx, &code, &digest).await?;
        let tokens = self.issue(&tx, client, &session, role, 0).await?;
        tx.commit().await?;
        Ok(Ok(tokens))
    }

    /// A second use means that somebody has a copy: the session of the first ends.
    async fn used_before(&self, tx: Change, digest: &[u8]) -> Result<Answer, Error> {
        if let Some(id) = store::login::session_of_code(&tx, digest).await?
            && let Some((session, _)) = store::session::get(&tx, id, true).await?
        {
            tracing::warn!(session = %session.id, user = %session.user, "authorization code used twice, session ended");
            self.end_session(&tx, &session).await?;
            tx.audit(told_refused("session.ended", "CODE_REUSED", &session));
        }
        refuse(tx, "code_reused").await
    }

    /// Present role of the code's user: `None` when he is no active member any more.
    async fn standing(&self, tx: &Tx, code: &Code) -> Result<Option<Option<Role>>, Error> {
        let Some(organization) = code.organization else { return self.of_nobody(tx, code.user).await };
        Ok(store::membership::active(tx, code.user, organization).await?.map(|membership| membership.role))
    }

    /// Without an organization there is no role, but the account must be active.
    async fn of_nobody(&self, tx: &Tx, user: UserId) -> Result<Option<Option<Role>>, Error> {
        Ok(store::user::get(tx, user).await?.filter(User::is_active).map(|_| None))
    }

    async fn begin_session(&self, tx: &Change, code: &Code, digest: &[u8]) -> Result<Session, Error> {
        let now = self.clock.now();
        let session = Session {
            id: self.ids.next(),
            user: code.user,
            organization: code.organization,
            client: code.client.clone(),
            auth_time: code.auth_time,
            amr: code.amr.clone(),
            create_time: now,
            last_use_time: now,
            expire_time: now + self.config.session_life,
        };
        if let Some(replaced) = code.replaces {
            // A step-up: the session goes on under a new id, and the old one is dead.
            if let Some((old, _)) =
                store::session::get(tx, replaced, true).await?.filter(|(old, _)| old.user == code.user)
            {
                self.end_session(tx, &old).await?;
            }
        }
        store::session::insert(tx, &session).await?;
        tx.audit(told("session.started", &session));
        store::login::save_code_session(tx, digest, session.id).await?;
        for old in store::session::delete_oldest(tx, session.user, i64::from(self.config.sessions_per_user)).await? {
            self.revoke(tx, RevocationKind::Session(old), owner(session.user, None), false).await?;
        }
        Ok(session)
    }

    async fn refresh(&self, context: &CallContext, client: &Client, token: &str) -> Result<Answer, Error> {
        let Some(token) = self.keys()?.refresh.read(token) else {
            metrics::grant_refused("refresh");
            return Ok(Err(Refusal::Grant));
        };
        let now = self.clock.now();
        let tx = self.change(self.db.system("refresh an access token", context).await?);
        let found = store::session::get(&tx, token.session, true).await?;
        let Some((session, state)) = found.filter(|(session, _)| session.client == client.id) else {
            return refuse(tx, "refresh").await;
        };
        let Some(role) = self.still_good(&tx, &session, now).await? else {
            self.end_session(&tx, &session).await?;
            tx.audit(told("session.ended", &session));
            return refuse(tx, "session_over").await;
        };
        let window = Duration::try_from(self.config.refresh_window).unwrap_or(Duration::ZERO);
        let counter = match decide(&state, token.counter, now, window) {
            Refresh::Rotate(counter) => {
                store::session::rotate(&tx, session.id, counter, now).await?;
                counter
            }
            Refresh::Repeat(counter) => counter,
            Refresh::Reuse => return self.reused(tx, &session).await,
            Refresh::Ahead => {
                tracing::error!(session = %session.id, "a refresh token is ahead of its session: the database is older than the token");
                return refuse(tx, "refresh_ahead").await;
            }
        };
        let tokens = self.issue(&tx, client, &session, role, counter).await?;
        tx.commit().await?;
        Ok(Ok(tokens))
    }

    /// Present role of the session's user; `None` when the session is over: too old, idle for too long, no member any more.
    async fn still_good(&self, tx: &Tx, session: &Session, now: OffsetDateTime) -> Result<Option<Option<Role>>, Error> {
        if now >= session.expire_time || now - session.last_use_time >= self.config.session_idle {
            return Ok(None);
        }
        let Some(organization) = session.organization else { return self.of_nobody(tx, session.user).await };
        Ok(store::membership::active(tx, session.user, organization).await?.map(|membership| membership.role))
    }

    async fn reused(&self, tx: Change, session: &Session) -> Result<Answer, Error> {
        tracing::warn!(session = %session.id, user = %session.user, "refresh token reused, session ended");
        self.end_session(&tx, session).await?;
        tx.audit(told_refused("session.ended", "REFRESH_REUSED", session));
        if let Some(user) = store::user::get(&tx, session.user).await? {
            self.notice(&tx, &user, Purpose::NoticeTokenReused).await?;
        }
        refuse(tx, "refresh_reused").await
    }

    async fn issue(
        &self,
        tx: &Tx,
        client: &Client,
        session: &Session,
        role: Option<Role>,
        counter: i64,
    ) -> Result<Tokens, Error> {
        let live = store::revocation::of(tx, &hits(session), self.clock.now()).await?;
        let issued = issue_time(self.clock.now(), &live);
        let life = Duration::try_from(self.config.access_token_life).unwrap_or(Duration::MINUTE);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            exp: (issued + life).min(session.expire_time).unix_timestamp(),
            iat: issued.unix_timestamp(),
            jti: self.ids.next().to_string(),
            sub: session.user.to_string(),
            client_id: client.id.to_owned(),
            scope: client.scope.to_owned(),
            sid: session.id.to_string(),
            org: session.organization.map(|organization| organization.to_string()),
            roles: role.map(|role| role.text().to_owned()).into_iter().collect(),
            auth_time: session.auth_time.unix_timestamp(),
            acr: acr(&session.amr).to_string(),
            amr: session.amr.clone(),
            generation: counter,
        };
        let keys = self.keys()?;
        let refresh = keys.refresh.write(RefreshToken { session: session.id, counter });
        metrics::token_issued("access");
        let left = Duration::seconds(claims.exp - claims.iat);
        Ok(Tokens { access: keys.edge.sign(&claims)?, refresh, life: left, scope: client.scope })
    }
}

/// What may be revoked of a session's tokens.
pub(super) fn hits(session: &Session) -> Vec<RevocationKind> {
    let of = |organization| [RevocationKind::Member(session.user, organization), RevocationKind::Tenant(organization)];
    let organization = session.organization.into_iter().flat_map(of);
    [RevocationKind::Session(session.id), RevocationKind::User(session.user)].into_iter().chain(organization).collect()
}

/// Refuses, and keeps what the transaction has written: a burnt code, an ended session.
async fn refuse(tx: Change, reason: &'static str) -> Result<Answer, Error> {
    tx.commit().await?;
    metrics::grant_refused(reason);
    Ok(Err(Refusal::Grant))
}

/// Reads an id out of a claim.
pub(super) fn id(text: &str) -> Result<Id, Error> {
    text.parse().map_err(|_| Error::CredentialInvalid)
}
