//! The token endpoint: codes, refresh tokens and a machine's own credentials become access tokens.
//!
//! What RFC 6749 calls an error is an answer here ([`Problem`]), since it belongs into the body that the gateway writes.
use api::{CallContext, Id, UserId};
use db::Tx;
use time::{Duration, OffsetDateTime};

use super::{
    Auth, Change, issue_time,
    session::{told, told_refused},
};
use crate::{
    credential::{Actor, Claims, IdClaims, RefreshToken, access_hash},
    error::Error,
    metrics,
    model::{
        Client, Problem, Purpose, Refresh, RefreshMode, Revocation, RevocationKind, Role, Scopes, Session, User, acr,
        decide,
    },
    store,
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
    Refresh {
        /// The token.
        token: String,
        /// Scopes, to get fewer than before.
        scope: String,
    },
    /// Nothing: the client acts by itself.
    Credentials {
        /// Scopes; none means all that it may have.
        scope: String,
    },
    /// A device code.
    Device(String),
    /// Another token.
    Exchange(Exchange),
}

/// Parameters of a token exchange (RFC 8693).
pub(crate) struct Exchange {
    /// The token.
    pub(crate) subject: String,
    /// Scopes; none means those of the token.
    pub(crate) scope: String,
    /// Where the new token shall be good.
    pub(crate) audiences: Vec<String>,
}

/// What the client gets.
pub(crate) struct Tokens {
    /// JWT.
    pub(crate) access: String,
    /// Opaque; none when the grant does not reach beyond this token.
    pub(crate) refresh: Option<String>,
    /// ID token, when `openid` was granted.
    pub(crate) id: Option<String>,
    /// Life of the access token.
    pub(crate) life: Duration,
    /// Scopes given.
    pub(crate) scope: String,
}

/// Tokens, or the error for the body.
pub(crate) type Answer = Result<Tokens, Problem>;

impl Auth {
    /// Answers the token endpoint for a client that has authenticated.
    pub(crate) async fn token(&self, context: &CallContext, client: &Client, grant: Grant) -> Result<Answer, Error> {
        match grant {
            Grant::Code { code, redirect_uri, verifier } => {
                self.redeem(context, client, (&code, &redirect_uri, &verifier)).await
            }
            Grant::Refresh { token, scope } => self.refresh(context, client, (&token, &scope)).await,
            Grant::Credentials { scope } => self.machine(context, client, &scope).await,
            Grant::Device(code) => self.poll(context, client, &code).await,
            Grant::Exchange(exchange) => self.exchange(context, client, exchange).await,
        }
    }

    /// Without an organization there is no role, but the account must be active.
    async fn of_nobody(&self, tx: &Tx, user: UserId) -> Result<Option<Option<Role>>, Error> {
        Ok(store::user::get(tx, user).await?.filter(User::is_active).map(|_| None))
    }

    async fn refresh(
        &self,
        context: &CallContext,
        client: &Client,
        (token, scope): (&str, &str),
    ) -> Result<Answer, Error> {
        let Some(token) = self.keys()?.refresh.read(token) else {
            metrics::grant_refused("refresh");
            return Ok(Err(GRANT));
        };
        let now = self.clock.now();
        let tx = self.change(self.db.system("refresh an access token", context).await?);
        let found = store::session::get(&tx, token.session, true).await?;
        let Some((session, state)) = found.filter(|(session, _)| session.client == client.id && session.is_lasting())
        else {
            return refuse(tx, "refresh").await;
        };
        let Some(role) = self.still_good(&tx, &session, now).await? else {
            self.end_session(&tx, &session).await?;
            tx.audit(told("session.ended", &session));
            return refuse(tx, "session_over").await;
        };
        let window = self.refresh_window();
        // Whatever a copy asks for, its use is seen.
        let (counter, rotates) = match decide(&state, token.counter, now, window, client.refresh) {
            Refresh::Rotate(counter) => (counter, true),
            Refresh::Repeat(counter) => (counter, false),
            Refresh::Reuse => return self.reused(tx, &session).await,
            Refresh::Ahead => {
                tracing::error!(session = %session.id, "a refresh token is ahead of its session: the database is older than the token");
                return refuse(tx, "refresh_ahead").await;
            }
        };
        let Some(scopes) = narrowed(&session.scopes, scope) else { return Ok(Err(SCOPE)) };
        if rotates {
            store::session::rotate(&tx, session.id, counter, now).await?;
        } else if client.refresh == RefreshMode::Keep {
            // A client that keeps its token never rotates, and is in use all the same.
            store::session::touch(&tx, session.id, now).await?;
        }
        let tokens = self.issue(&tx, client, &session, (role, counter), &scopes).await?;
        tx.commit().await?;
        Ok(Ok(tokens))
    }

    /// Present role of the session's user; `None` when the session is over: too old, idle for too long, no member any more.
    pub(super) async fn still_good(
        &self,
        tx: &Tx,
        session: &Session,
        now: OffsetDateTime,
    ) -> Result<Option<Option<Role>>, Error> {
        if now >= session.expire_time || now - session.last_use_time >= self.config.session_idle {
            return Ok(None);
        }
        let Some(organization) = session.organization else { return self.of_nobody(tx, session.user).await };
        Ok(store::membership::active(tx, session.user, organization).await?.map(|membership| membership.role))
    }

    async fn reused(&self, tx: Change<'_>, session: &Session) -> Result<Answer, Error> {
        tracing::warn!(session = %session.id, user = %session.user, "refresh token reused, session ended");
        self.end_session(&tx, session).await?;
        tx.audit(told_refused("session.ended", "REFRESH_REUSED", session));
        if let Some(user) = store::user::get(&tx, session.user).await? {
            self.notice(&tx, &user, Purpose::NoticeTokenReused).await?;
        }
        refuse(tx, "refresh_reused").await
    }

    /// An access token, and a refresh token where the grant reaches beyond it. The client's registration may have shrunk meanwhile.
    pub(super) async fn issue(
        &self,
        tx: &Tx,
        client: &Client,
        session: &Session,
        (role, counter): (Option<Role>, i64),
        scopes: &Scopes,
    ) -> Result<Tokens, Error> {
        let live = self.revoked(tx, session).await?;
        self.tokens(client, session, (role, counter), scopes, (self.clock.now(), &live))
    }

    /// What is revoked that would hit tokens of this session.
    pub(super) async fn revoked(&self, tx: &Tx, session: &Session) -> Result<Vec<Revocation>, Error> {
        Ok(store::revocation::of(tx, &hits(session), self.clock.now()).await?)
    }

    /// As [`Auth::issue`], of this moment, or of a later one so that none of these hits it.
    pub(super) fn tokens(
        &self,
        client: &Client,
        session: &Session,
        (role, counter): (Option<Role>, i64),
        scopes: &Scopes,
        (at, live): (OffsetDateTime, &[Revocation]),
    ) -> Result<Tokens, Error> {
        let issued = issue_time(at, live);
        let scope = scopes.both(&client.scopes).text();
        let claims = Claims {
            exp: (issued + self.access_life()).min(session.expire_time).unix_timestamp(),
            client_id: client.id.clone(),
            scope: scope.clone(),
            generation: counter,
            ..self.claims_of(session, role, issued)
        };
        let keys = self.keys()?;
        let refresh = session.is_lasting().then(|| keys.refresh.write(RefreshToken { session: session.id, counter }));
        metrics::token_issued("access");
        let life = Duration::seconds(claims.exp - claims.iat);
        Ok(Tokens { access: keys.edge.sign(&claims)?, refresh, id: None, life, scope })
    }

    /// What an access token of a session says that is as good as the session itself.
    pub(super) fn claims_of(&self, session: &Session, role: Option<Role>, issued: OffsetDateTime) -> Claims {
        let act = session.impersonation.as_ref();
        Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            exp: session.expire_time.unix_timestamp(),
            iat: issued.unix_timestamp(),
            jti: self.ids.next().to_string(),
            sub: session.user.to_string(),
            client_id: session.client.clone(),
            scope: session.scopes.text(),
            sid: session.id.to_string(),
            org: session.organization.map(|organization| organization.to_string()),
            roles: role.map(|role| role.text().to_owned()).into_iter().collect(),
            auth_time: session.auth_time.unix_timestamp(),
            acr: acr(&session.amr).to_string(),
            amr: session.amr.clone(),
            generation: 0,
            act: act.map(|by| Actor { sub: by.user.to_string(), sid: Some(by.session.to_string()), act: None }),
            key: 0,
        }
    }

    /// The ID token that comes with an access token, when `openid` was granted.
    pub(super) fn id_token(
        &self,
        client: &Client,
        session: &Session,
        nonce: &str,
        access_token: &str,
    ) -> Result<Option<String>, Error> {
        if !session.scopes.has("openid") {
            return Ok(None);
        }
        let issued = self.clock.now();
        let claims = IdClaims {
            iss: self.issuer.clone(),
            sub: session.user.to_string(),
            aud: client.id.clone(),
            exp: (issued + self.access_life()).unix_timestamp(),
            iat: issued.unix_timestamp(),
            auth_time: session.auth_time.unix_timestamp(),
            nonce: nonce.to_owned(),
            acr: acr(&session.amr).to_string(),
            amr: session.amr.clone(),
            sid: session.id.to_string(),
            at_hash: access_hash(access_token),
        };
        let keys = self.keys()?;
        metrics::token_issued("id");
        keys.id_tokens.sign(&keys.edge, client.algorithm, &claims).map(Some)
    }

    /// How long a replaced refresh token gives the same successor.
    pub(super) fn refresh_window(&self) -> Duration {
        Duration::try_from(self.config.refresh_window).unwrap_or(Duration::ZERO)
    }

    /// Life of an access token.
    pub(super) fn access_life(&self) -> Duration {
        Duration::try_from(self.config.access_token_life).unwrap_or(Duration::MINUTE)
    }
}

/// What a grant that cannot be used is answered with, whatever is wrong with it.
pub(super) const GRANT: Problem = Problem {
    error: "invalid_grant",
    description: "the code or token is unknown, used, expired or not for this client; sign in again",
};
/// More was asked for than there is.
pub(super) const SCOPE: Problem =
    Problem { error: "invalid_scope", description: "a scope is unknown, not the client's, or more than was granted" };

/// The scopes asked for among those granted; none asked for means all.
pub(super) fn narrowed(granted: &Scopes, asked: &str) -> Option<Scopes> {
    let asked = Scopes::parse(asked)?;
    match asked.is_empty() {
        true => Some(granted.clone()),
        false => asked.within(granted).then_some(asked),
    }
}

/// What may be revoked of a session's tokens, and of who acts as its user.
pub(super) fn hits(session: &Session) -> Vec<RevocationKind> {
    let of = |organization| [RevocationKind::Member(session.user, organization), RevocationKind::Tenant(organization)];
    let organization = session.organization.into_iter().flat_map(of);
    let actor = session.impersonation.iter().flat_map(|by| by.hits(session.organization));
    let own = [RevocationKind::Session(session.id), RevocationKind::User(session.user)];
    own.into_iter().chain(organization).chain(actor).collect()
}

/// Refuses, and keeps what the transaction has written: a burnt code, an ended session.
pub(super) async fn refuse(tx: Change<'_>, reason: &'static str) -> Result<Answer, Error> {
    tx.commit().await?;
    metrics::grant_refused(reason);
    Ok(Err(GRANT))
}

/// Reads an id out of a claim.
pub(super) fn id(text: &str) -> Result<Id, Error> {
    text.parse().map_err(|_| Error::CredentialInvalid)
}
