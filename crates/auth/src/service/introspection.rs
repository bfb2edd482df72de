//! What clients ask about tokens: introspection (RFC 7662), revocation (RFC 7009), userinfo.
//!
//! A client sees its own tokens only; every other one is as good as unknown. Introspection reads the session, so what it calls active
//! is good at that moment, not only well signed.
use api::{CallContext, OrganizationId, UserId};
use time::OffsetDateTime;

use super::{
    Auth,
    client::Presented,
    oauth::{hits, id},
    session::told,
    token::of_machine,
};
use crate::{
    credential::Claims,
    error::Error,
    model::{Client, Problem, Refresh, RevocationKind, Scopes, Session, decide},
    store::{self, revocation::Owner},
};

/// What the client of a token out of an exchange hears that wants it revoked (RFC 7009 section 2.2.1).
const EXCHANGED: Problem = Problem {
    error: "unsupported_token_type",
    description: "a token out of an exchange is not revoked by itself; it ends with its session, or within minutes",
};

/// A token that is good, and the client's own.
pub(crate) struct Introspected {
    /// It is a refresh token.
    pub(crate) refresh: bool,
    /// Scopes.
    pub(crate) scope: String,
    /// Client.
    pub(crate) client: String,
    /// End, in seconds since 1970.
    pub(crate) exp: i64,
    /// Issue, in seconds since 1970; 0 where it is not known.
    pub(crate) iat: i64,
    /// Whom it is about.
    pub(crate) sub: String,
    /// Session.
    pub(crate) sid: String,
    /// Tenant.
    pub(crate) org: String,
}

/// Claims about a person, as far as a token reaches.
pub(crate) struct UserInfo {
    /// Id.
    pub(crate) user: UserId,
    /// Name and last change, with scope `profile`.
    pub(crate) profile: Option<(String, OffsetDateTime, Option<OrganizationId>)>,
    /// Address, and whether it has been proven, with scope `email`.
    pub(crate) email: Option<(String, bool)>,
}

impl Auth {
    /// What a client may know of a token; the inner `None` is all that it hears of any other.
    pub(crate) async fn introspect(
        &self,
        context: &CallContext,
        presented: &Presented,
        token: &str,
    ) -> Result<Result<Option<Introspected>, Problem>, Error> {
        let client = match self.authenticate(context, presented).await? {
            // Whoever has no secret could be anybody with its id.
            Ok(client) if !client.is_public() => client,
            Ok(_) => return Ok(Err(super::client::INVALID_CLIENT)),
            Err(problem) => return Ok(Err(problem)),
        };
        let now = self.clock.now();
        match self.keys()?.edge.read(token, &self.issuer, now).filter(|claims| claims.client_id == client.id) {
            Some(claims) => Ok(Ok(self.introspect_access(context, claims).await?)),
            None => Ok(Ok(self.introspect_refresh(context, &client, token).await?)),
        }
    }

    async fn introspect_access(&self, context: &CallContext, claims: Claims) -> Result<Option<Introspected>, Error> {
        let now = self.clock.now();
        let tx = self.db.system("introspect an access token", context).await?;
        let sid = id(&claims.sid)?;
        let (what, unconfirmed) = if claims.is_machine() {
            let organization: OrganizationId = id(claims.org.as_deref().unwrap_or_default())?.into();
            (of_machine(&claims, organization)?, false)
        } else {
            let Some((session, state)) = store::session::get(&tx, sid, false).await? else { return Ok(None) };
            if self.still_good(&tx, &session, now).await?.is_none() {
                return Ok(None);
            }
            (hits(&session), claims.generation == state.counter && !state.confirmed)
        };
        let live = store::revocation::of(&tx, &what, now).await?;
        if live.iter().any(|entry| entry.ends(claims.iat, claims.key)) {
            return Ok(None);
        }
        // The token has arrived, so the refresh token that came with it has: the one before is reuse from now on.
        if unconfirmed {
            store::session::confirm(&tx, sid, claims.generation).await?;
            tx.commit().await?;
        }
        Ok(Some(Introspected {
            refresh: false,
            scope: claims.scope,
            client: claims.client_id,
            exp: claims.exp,
            iat: claims.iat,
            sub: claims.sub,
            sid: claims.sid,
            org: claims.org.unwrap_or_default(),
        }))
    }

    async fn introspect_refresh(
        &self,
        context: &CallContext,
        client: &Client,
        token: &str,
    ) -> Result<Option<Introspected>, Error> {
        let Some(token) = self.keys()?.refresh.read(token) else { return Ok(None) };
        let now = self.clock.now();
        let tx = self.db.system("introspect a refresh token", context).await?;
        let found = store::session::get(&tx, token.session, false).await?;
        let Some((session, state)) = found.filter(|(session, _)| session.client == client.id) else { return Ok(None) };
        // To ask is not to use: a replaced token is not good any more, but nothing ends by the question.
        let next = decide(&state, token.counter, now, self.refresh_window(), client.refresh);
        let usable = matches!(next, Refresh::Rotate(_) | Refresh::Repeat(_));
        if !usable || self.still_good(&tx, &session, now).await?.is_none() {
            return Ok(None);
        }
        let Session { user, organization, scopes, expire_time, id, .. } = session;
        Ok(Some(Introspected {
            refresh: true,
            scope: scopes.both(&client.scopes).text(),
            client: client.id.clone(),
            exp: expire_time.unix_timestamp(),
            iat: 0,
            sub: user.to_string(),
            sid: id.to_string(),
            org: organization.map(|organization| organization.to_string()).unwrap_or_default(),
        }))
    }

    /// Ends what a token rests on. Anything that is not the client's own token is nobody's, which is no error (RFC 7009 section 2.2).
    pub(crate) async fn revoke_token(
        &self,
        context: &CallContext,
        presented: &Presented,
        token: &str,
    ) -> Result<Result<(), Problem>, Error> {
        let client = match self.authenticate(context, presented).await? {
            Ok(client) => client,
            Err(problem) => return Ok(Err(problem)),
        };
        let keys = self.keys()?;
        let access = keys.edge.read(token, &self.issuer, self.clock.now());
        let access = access.filter(|claims| claims.client_id == client.id);
        if let Some(claims) = access.as_ref().filter(|claims| claims.is_machine()) {
            self.revoke_machine_token(context, &client, claims).await?;
            return Ok(Ok(()));
        }
        // A token out of an exchange is not the session's: it ends with it, and by itself within minutes.
        if access.as_ref().is_some_and(Claims::is_exchanged) {
            return Ok(Err(EXCHANGED));
        }
        let session = match (access, keys.refresh.read(token)) {
            (Some(claims), _) => id(&claims.sid)?,
            (None, Some(token)) => token.session,
            (None, None) => return Ok(Ok(())),
        };
        let tx = self.change(self.db.system("end the session of a token", context).await?);
        let found = store::session::get(&tx, session, true).await?;
        if let Some((session, _)) = found.filter(|(session, _)| session.client == client.id) {
            self.end_session(&tx, &session).await?;
            tx.audit(told("session.ended", &session));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    async fn revoke_machine_token(&self, context: &CallContext, client: &Client, claims: &Claims) -> Result<(), Error> {
        let tx = self.change(self.db.system("end a token of a machine", context).await?);
        let owner = Owner { organization: client.organization, user: None };
        self.revoke(&tx, RevocationKind::Key(id(&claims.sid)?), owner, false).await?;
        tx.commit().await
    }

    /// Claims about the person behind an access token.
    pub(crate) async fn user_info(&self, context: &CallContext, token: &str) -> Result<UserInfo, Error> {
        let now = self.clock.now();
        let claims = self.keys()?.edge.read(token, &self.issuer, now).ok_or(Error::CredentialInvalid)?;
        if claims.is_machine() {
            return Err(Error::ScopeMissing);
        }
        let scopes = Scopes::parse(&claims.scope).unwrap_or_default();
        let claims = self.introspect_access(context, claims).await?.ok_or(Error::CredentialInvalid)?;
        if !scopes.has("openid") {
            return Err(Error::ScopeMissing);
        }
        let user = UserId(id(&claims.sub)?);
        let tx = self.db.subject(user, context).await?;
        let record = store::user::get(&tx, user).await?.ok_or(Error::CredentialInvalid)?;
        let organization = id(&claims.org).ok().map(OrganizationId);
        let profile = scopes.has("profile").then_some((record.display_name, record.update_time, organization));
        Ok(UserInfo { user, profile, email: scopes.has("email").then_some((record.email, record.email_verified)) })
    }
}
