//! Codes become sessions: of applications at the token endpoint, of browsers and devices beside it.
//!
//! A code works once: a second use ends the session that the first began, and a wrong verifier burns the code. What a code rests on is held
//! until its session is committed, so whoever ends it finds the session. That takes two round trips to the database, and a third where it
//! rests on a consent.
use std::sync::PoisonError;

use api::{CallContext, Id};
use db::Tx;

use super::{
    Auth, Change,
    oauth::{Answer, hits, refuse},
    session::{told, told_refused},
};
use crate::{
    credential::digest,
    error::Error,
    model::{Challenge, Client, Revocation, Role, Session},
    store::{
        self,
        login::{Code, Used},
        pending::InForce,
        session::Insertion,
    },
};

impl Change<'_> {
    /// Commits what voids nothing, after these queries, in one round trip; gives their rows.
    async fn commit_with(self, queries: &[db::Query<'_>]) -> Result<Vec<Vec<db::Row>>, Error> {
        let is_harmless = self.voided.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !is_harmless {
            return Err(Error::fault("what voids tokens is not committed so"));
        }
        Ok(self.tx.commit_with(queries).await?)
    }
}

impl Auth {
    /// Redeems an authorization code.
    pub(super) async fn redeem(
        &self,
        context: &CallContext,
        client: &Client,
        (code, redirect_uri, verifier): (&str, &str, &str),
    ) -> Result<Answer, Error> {
        // Without keys the code is not used up.
        self.keys()?;
        let digest = digest(code);
        let (id, now) = (self.ids.next(), self.clock.now());
        let tx = self.change(self.db.system("redeem an authorization code", context).await?);
        let most = i64::from(self.config.sessions_per_user);
        let used = store::login::use_code(&tx, &digest, (Some(id), most), now).await?;
        let Some(Used { code, in_force, sessions }) = used else { return self.used_before(tx, &digest).await };
        let good = code.client == client.id
            && code.redirect_uri == redirect_uri
            && now < code.expire_time
            && Challenge(code.code_challenge.clone()).is_met_by(verifier);
        let standing = if good { self.standing(&tx, &code, in_force).await? } else { None };
        let Some(role) = standing else { return refuse(tx, "code").await };
        let session = self.session_for(&code, id);
        let ends_none = code.replaces.is_none() && !(session.is_lasting() && sessions >= most);
        let live = if ends_none {
            self.begin_and_commit(tx, &session).await?
        } else {
            self.begin_session(&tx, &code, &session).await?;
            let live = self.revoked(&tx, &session).await?;
            tx.commit().await?;
            live
        };
        // Whoever takes the session away has waited for the commit. So the tokens are of a moment before it: what he revokes hits them.
        let mut tokens = self.tokens(client, &session, (role, 0), &session.scopes, (now, &live))?;
        tokens.id = self.id_token(client, &session, &code.nonce, &tokens.access)?;
        Ok(Ok(tokens))
    }

    /// Begins a session for which none ends, and commits, in one round trip; gives what is revoked that would hit its tokens.
    async fn begin_and_commit(&self, tx: Change<'_>, session: &Session) -> Result<Vec<Revocation>, Error> {
        tx.audit(told("session.started", session));
        let (now, (kinds, ids)) = (self.clock.now(), store::revocation::keys(&hits(session)));
        let insertion = Insertion::of(session);
        let (sql, params) = (Insertion::SQL, insertion.params());
        let rows = tx.commit_with(&[(sql, &params), (store::revocation::OF, &[&now, &kinds, &ids])]).await?;
        Ok(store::revocation::read_all(rows.last().map(Vec::as_slice).unwrap_or_default())?)
    }

    /// A second use means that somebody has a copy: the session of the first ends.
    async fn used_before(&self, tx: Change<'_>, digest: &[u8]) -> Result<Answer, Error> {
        if let Some(id) = store::login::session_of_code(&tx, digest).await?
            && let Some((session, _)) = store::session::get(&tx, id, true).await?
        {
            tracing::warn!(session = %session.id, user = %session.user, "authorization code used twice, session ended");
            self.end_session(&tx, &session).await?;
            tx.audit(told_refused("session.ended", "CODE_REUSED", &session));
        }
        refuse(tx, "code_reused").await
    }

    /// Present role of the code's user: `None` when he is no active member any more, all that he was given has been voided since, or what
    /// the code rests on has ended. Whoever ends it waits until the transaction ends, and finds the session that is made of the code.
    pub(super) async fn standing(
        &self,
        tx: &Tx,
        code: &Code,
        in_force: InForce,
    ) -> Result<Option<Option<Role>>, Error> {
        // Without an organization there is no role, but the account must be active: only then it has a version.
        let role = match code.organization {
            Some(_) => in_force.role,
            None => Some(None),
        };
        let is_good = in_force.version == Some(code.version) && self.rests(tx, code).await?;
        Ok(role.filter(|_| is_good))
    }

    /// What a code rests on is there: consent and session, if it was given in one; the session that it replaces, if it is a step-up's.
    async fn rests(&self, tx: &Tx, code: &Code) -> Result<bool, Error> {
        if let Some(parent) = code.parent {
            let (consent, is_there) = store::pending::grounds(tx, code, parent).await?;
            return Ok(is_there && consent.is_some_and(|given| code.scopes.within(&given)));
        }
        let Some(replaced) = code.replaces else { return Ok(true) };
        Ok(store::session::get(tx, replaced, true).await?.is_some_and(|(old, _)| old.user == code.user))
    }

    /// The session that a code stands for. Where no refresh token goes with it, it ends with its access token and counts for nothing.
    pub(super) fn session_for(&self, code: &Code, id: Id) -> Session {
        let now = self.clock.now();
        let end = if code.scopes.are_lasting() { now + self.config.session_life } else { now + self.access_life() };
        Session {
            id,
            user: code.user,
            organization: code.organization,
            client: code.client.clone(),
            auth_time: code.auth_time,
            amr: code.amr.clone(),
            create_time: now,
            last_use_time: now,
            expire_time: end,
            scopes: code.scopes.clone(),
            parent: code.parent,
            last_network: code.origin.network.clone(),
            origin: code.origin.clone(),
            impersonation: None,
        }
    }

    /// Begins it; of those that last, the oldest of the user end when there are too many.
    pub(super) async fn begin_session(&self, tx: &Change<'_>, code: &Code, session: &Session) -> Result<(), Error> {
        if let Some(replaced) = code.replaces {
            // A step-up: the session goes on under a new id, and the old one is dead.
            if let Some((old, _)) =
                store::session::get(tx, replaced, true).await?.filter(|(old, _)| old.user == code.user)
            {
                self.end_session(tx, &old).await?;
            }
        }
        let beyond = store::session::begin(tx, session, i64::from(self.config.sessions_per_user)).await?;
        tx.audit(told("session.started", session));
        for old in beyond {
            self.end_family(tx, &old).await?;
        }
        Ok(())
    }
}
