//! Sessions of browsers: begun with the code of a sign-in, ended by signing out.
//!
//! A browser's session is a session like any other, so lists, revocations and limits hold for it; its credential is a random secret,
//! of which the row has the digest. A new sign-in is a new session, and the one before ends: a secret from before is worth nothing after.
use api::{CallContext, OrganizationId, UserId};
use time::Duration;

use super::{Auth, Change, lockout::quiet, oauth::id, session::told};
use crate::{
    credential::{Handle, IdClaims, digest},
    error::Error,
    model::{BROWSER, Challenge, Client, Problem, Session, answer, is_opaque, origin, problem},
    store,
};

/// How old the last use may be before it is written again.
const TOUCH: Duration = Duration::minutes(1);

/// Who is signed in in a browser.
pub(crate) struct Visitor {
    /// Secret of the session; only when it began.
    pub(crate) secret: String,
    /// Time left at most.
    pub(crate) life: Duration,
    /// E-mail address.
    pub(crate) email: String,
    /// Name of the tenant, or empty.
    pub(crate) organization: String,
}

/// A request to sign out (OpenID Connect RP-Initiated Logout 1.0).
pub(crate) struct SignOut {
    /// Secret of the browser's session, or empty.
    pub(crate) session: String,
    /// ID token of the client that asks, or empty.
    pub(crate) hint: String,
    /// The client that asks, or empty.
    pub(crate) client: String,
    /// Where to go afterwards, or empty.
    pub(crate) redirect_uri: String,
    /// The client's own.
    pub(crate) state: String,
    /// The person has confirmed.
    pub(crate) confirmed: bool,
}

/// What became of it.
pub(crate) enum Ended {
    /// Nobody is signed in any more; go there, if anywhere, or hear why not.
    Done(Result<String, Problem>),
    /// The person must confirm.
    Asks {
        /// The client that asks, or empty.
        client: String,
        /// Where the redirect afterwards goes, or empty.
        origin: String,
    },
    /// The request cannot be followed.
    Refused(Problem),
}

impl Auth {
    /// Turns the code of a sign-in into a session. The browser's secret is the PKCE verifier of the sign-in, so no other browser can.
    pub(crate) async fn begin_browser_session(
        &self,
        context: &CallContext,
        code: &str,
        browser: &str,
        replaced: &str,
    ) -> Result<Visitor, Error> {
        let now = self.clock.now();
        let tx = self.change(self.db.system("begin a session of a browser", context).await?);
        let replaced = digest(replaced);
        if let Some(before) = store::session::by_cookie(&tx, &replaced, false).await? {
            store::session::hold_codes(&tx, before.id).await?;
        }
        let used = store::login::use_code(&tx, &digest(code), (None, 0), now).await?;
        let store::login::Used { code, in_force, .. } = used.ok_or(Error::FlowInvalid)?;
        let good = code.client == BROWSER
            && now < code.expire_time
            && Challenge(code.code_challenge.clone()).is_met_by(browser)
            && self.standing(&tx, &code, in_force).await?.is_some();
        if !good {
            tx.commit().await?;
            return Err(Error::FlowInvalid);
        }
        let before = store::session::by_cookie(&tx, &replaced, true).await?;
        let session = self.session_for(&code, self.ids.next());
        self.begin_session(&tx, &code, &session).await?;
        match before {
            // The same person has signed in again: applications go on.
            Some(before) if before.user == session.user => {
                store::session::adopt(&tx, before.id, session.id).await?;
                self.end_session(&tx, &before).await?;
            }
            Some(before) => self.end_family(&tx, &before).await?,
            None => {}
        }
        let secret = Handle::new();
        store::session::save_cookie(&tx, session.id, &secret.digest).await?;
        tx.commit().await?;
        let (email, organization) = self.shown(context, session.user, session.organization).await?;
        Ok(Visitor { secret: secret.text, life: session.expire_time - now, email, organization })
    }

    /// Who is signed in.
    pub(crate) async fn visitor(&self, context: &CallContext, secret: &str) -> Result<Visitor, Error> {
        let session = self.browser_session(context, secret).await?.ok_or(Error::CredentialInvalid)?;
        let (email, organization) = self.shown(context, session.user, session.organization).await?;
        let life = session.expire_time - self.clock.now();
        Ok(Visitor { secret: String::new(), life, email, organization })
    }

    /// The session behind a browser's secret that has not ended; it counts as used.
    pub(super) async fn browser_session(&self, context: &CallContext, secret: &str) -> Result<Option<Session>, Error> {
        if secret.len() != 43 {
            return Ok(None);
        }
        let now = self.clock.now();
        let tx = self.db.system("the session of a browser", &quiet(context)).await?;
        let found = store::session::by_cookie(&tx, &digest(secret), true).await?;
        let Some(session) = found else { return Ok(None) };
        if self.still_good(&tx, &session, now).await?.is_none() {
            return Ok(None);
        }
        if now - session.last_use_time >= TOUCH {
            store::session::touch(&tx, session.id, now).await?;
            tx.commit().await?;
        }
        Ok(Some(session))
    }

    /// E-mail address of a user and name of a tenant, for a page.
    pub(super) async fn shown(
        &self,
        context: &CallContext,
        user: UserId,
        organization: Option<OrganizationId>,
    ) -> Result<(String, String), Error> {
        let tx = self.db.system("what a page shows of who is signed in", &quiet(context)).await?;
        let user = store::user::get(&tx, user).await?.ok_or(Error::CredentialInvalid)?;
        let name = match organization {
            Some(organization) => store::organization::get(&tx, organization).await?.map(|found| found.display_name),
            None => None,
        };
        Ok((user.email, name.unwrap_or_default()))
    }

    /// Signs out: the browser's session, what was begun from it, and the session that a client's ID token names.
    pub(crate) async fn sign_out(&self, context: &CallContext, request: SignOut) -> Result<Ended, Error> {
        let keys = self.keys()?;
        let hint = keys.id_tokens.read(&keys.edge, &request.hint, &self.issuer);
        let target = match self.after_sign_out(context, &request, hint.as_ref()).await? {
            // Who has confirmed wants to be signed out, wherever he goes then.
            Err(problem) if !request.confirmed => return Ok(Ended::Refused(problem)),
            target => target,
        };
        let session = self.browser_session(context, &request.session).await?;
        // Where nobody is signed in any more, the client's own session may still be there.
        let of_him = |hint: &IdClaims| session.as_ref().is_none_or(|session| hint.sub == session.user.to_string());
        let client = hint.as_ref().map_or(&request.client, |hint| &hint.aud).clone();
        let named = hint.filter(of_him);
        if session.is_some() && !request.confirmed && named.is_none() {
            return Ok(Ended::Asks { client, origin: origin(&request.redirect_uri).to_owned() });
        }
        let (mut ended, asks) = (session.is_some(), named.is_some() && !request.redirect_uri.is_empty());
        let tx = self.change(self.db.system("sign out of a browser", context).await?);
        if let Some(session) = &session {
            self.end_family(&tx, session).await?;
        }
        if let Some(hint) = named
            && let Ok(other) = id(&hint.sid)
            && let Some((other, _)) = store::session::get(&tx, other, true).await?
            && other.user.to_string() == hint.sub
        {
            self.end_session(&tx, &other).await?;
            tx.audit(told("session.ended", &other));
            ended = true;
        }
        tx.commit().await?;
        // Anybody can make a link that names a client, and whoever has signed in to one once has an ID token of it. Where such a link ends
        // nothing, it leads nowhere before the person has seen where (RFC 9700 section 4.11.2).
        Ok(match (ended || request.confirmed, asks) {
            (true, _) => Ended::Done(target),
            (false, true) => Ended::Asks { client, origin: origin(&request.redirect_uri).to_owned() },
            (false, false) => Ended::Done(Ok(String::new())),
        })
    }

    /// Where a client may send the person afterwards.
    async fn after_sign_out(
        &self,
        context: &CallContext,
        request: &SignOut,
        hint: Option<&IdClaims>,
    ) -> Result<Result<String, Problem>, Error> {
        let refused = |description| Ok(Err(problem("invalid_request", description)));
        let named = hint.map_or(request.client.as_str(), |hint| hint.aud.as_str());
        if !request.client.is_empty() && request.client != named {
            return refused("the ID token was given to another application than the one that is named");
        }
        if request.redirect_uri.is_empty() {
            return Ok(Ok(String::new()));
        }
        let client = self.client(context, named).await?;
        let registered = |client: &Client| client.post_logout_redirect_uris.contains(&request.redirect_uri);
        if !client.as_ref().is_some_and(registered) {
            return refused("the address to go to afterwards is not registered for the application that asks");
        }
        if !is_opaque(&request.state) {
            return refused("state must be at most 512 printable ASCII characters");
        }
        Ok(Ok(answer(&request.redirect_uri, &[], &request.state, None)))
    }

    /// Ends a browser's session and what was begun from it without `offline_access`. A code that is being redeemed at this moment has become
    /// a session by then: whoever redeems it holds the browser's. Others are worth nothing without it.
    pub(super) async fn end_family(&self, tx: &Change<'_>, session: &Session) -> Result<(), Error> {
        tx.audit(told("session.ended", session));
        self.end_with_children(tx, session).await
    }

    /// The same, for who tells the audit log in other words.
    pub(super) async fn end_with_children(&self, tx: &Change<'_>, session: &Session) -> Result<(), Error> {
        self.end_session(tx, session).await?;
        for child in store::session::delete_children(tx, session.id).await? {
            self.revoke_session(tx, &child).await?;
        }
        Ok(())
    }
}
