//! The authorization endpoint: requests, consents and codes (`model::authorize` decides).
//!
//! A request is bound to the browser that it began in, and what is asked of a person to his session: neither a link nor a form from
//! elsewhere can make him approve what he has not seen. Every step takes the request away and gives a new handle.
use api::{CallContext, OrganizationId, UserId};
use db::{Record, Tx};
use time::{Duration, OffsetDateTime};

use super::{Auth, client::Presented, lockout::quiet, oauth::id};
use crate::{
    credential::{Handle, digest},
    error::Error,
    metrics,
    model::{
        Asked, Client, Consent, Expected, Flaw, Next, Origin, Parameters, Problem, Scopes, Session, SignedIn, answer,
        next, origin, problem,
    },
    store::{
        self,
        authorize::{Bound, Waiting},
        login::Code,
    },
};

/// Life of an authorization code.
const CODE_LIFE: Duration = Duration::seconds(60);
/// Time that a person has for each step.
const REQUEST_LIFE: Duration = Duration::minutes(10);
/// Life of a pushed request.
pub(crate) const PUSHED_LIFE: Duration = Duration::seconds(60);
/// What a reference to a pushed request begins with (RFC 9126 section 2.2).
const PUSHED: &str = "urn:ietf:params:oauth:request_uri:";

/// A client as a page shows it.
pub(crate) struct Shown {
    /// Name; empty for the platform's own.
    pub(crate) display_name: String,
    /// Where its redirect goes.
    pub(crate) redirect_origin: String,
}

/// What the browser gets to see next.
pub(crate) enum Outcome {
    /// An error, and no redirect.
    Refused(Problem),
    /// The client's redirect URI with its answer.
    Redirect(String),
    /// Sign in.
    SignIn {
        /// Handle of the request.
        request: String,
        /// The client.
        client: Shown,
        /// Address to fill in.
        login_hint: String,
        /// He must prove anew who he is.
        again: bool,
    },
    /// Decide.
    Consent {
        /// Handle of the request.
        request: String,
        /// The client.
        client: Shown,
        /// Scopes asked for.
        scopes: Scopes,
        /// Who is signed in.
        email: String,
        /// Name of the tenant.
        organization: String,
    },
}

const PUSHED_GONE: Problem = Problem {
    error: "invalid_request",
    description: "the request has expired, was used before or is another application's; begin again there",
};

impl Auth {
    /// Answers the authorization endpoint.
    pub(crate) async fn authorize(
        &self,
        context: &CallContext,
        sent: Parameters,
        request_uri: &str,
        (session, browser): (&str, &str),
    ) -> Result<Outcome, Error> {
        let client = self.client(context, &sent.client_id).await?;
        let now = self.clock.now();
        let asked = if request_uri.is_empty() {
            let expected = self.expected(&sent.id_token_hint)?;
            Asked::read(client.as_ref(), sent, expected)
        } else {
            self.take_pushed(context, &sent.client_id, request_uri).await?.ok_or(Flaw::Page(PUSHED_GONE))
        };
        match (asked, client) {
            (Ok(asked), Some(client)) => {
                let auth_after = asked.auth_after(now);
                self.proceed(context, &client, asked, auth_after, (session, digest(browser))).await
            }
            (Ok(_), None) => Ok(Outcome::Refused(PUSHED_GONE)),
            (Err(Flaw::Page(problem)), _) => Ok(Outcome::Refused(problem)),
            (Err(Flaw::Redirect { redirect_uri, state, problem }), client) => {
                // Whoever registers a client could make links that lead through here to where he likes (RFC 9700 section 4.11.2).
                let known = client.is_some_and(|client| client.is_for_all())
                    || self.browser_session(context, session).await?.is_some();
                match known {
                    true => Ok(Outcome::Redirect(self.error_for(&redirect_uri, &state, problem))),
                    false => Ok(Outcome::Refused(problem)),
                }
            }
        }
    }

    /// Whom a client expects. Its hint may have expired, but not be somebody else's work.
    fn expected(&self, hint: &str) -> Result<Expected, Error> {
        if hint.is_empty() {
            return Ok(Expected::Anybody);
        }
        let keys = self.keys()?;
        let person = keys.id_tokens.read(&keys.edge, hint, &self.issuer).and_then(|hint| id(&hint.sub).ok());
        Ok(person.map_or(Expected::Unreadable, |person| Expected::Person(UserId(person))))
    }

    /// Keeps a request that a client sent by itself; gives the reference to it.
    pub(crate) async fn push(
        &self,
        context: &CallContext,
        presented: &Presented,
        sent: Parameters,
    ) -> Result<Result<String, Problem>, Error> {
        let client = match self.authenticate(context, presented).await? {
            Ok(client) => client,
            Err(problem) => return Ok(Err(problem)),
        };
        let expected = self.expected(&sent.id_token_hint)?;
        let asked = match Asked::read(Some(&client), Parameters { client_id: client.id.clone(), ..sent }, expected) {
            Ok(asked) => asked,
            Err(Flaw::Page(problem) | Flaw::Redirect { problem, .. }) => return Ok(Err(problem)),
        };
        let (now, handle) = (self.clock.now(), Handle::new());
        let waiting = Waiting {
            auth_after: asked.auth_after(now),
            asked,
            pushed: true,
            browser: Vec::new(),
            session: None,
            create_time: now,
            expire_time: now + PUSHED_LIFE,
        };
        self.keep(context, &handle, &waiting).await?;
        Ok(Ok(format!("{PUSHED}{}", handle.text)))
    }

    /// Goes on after the person has signed in.
    pub(crate) async fn continue_authorization(
        &self,
        context: &CallContext,
        request: &str,
        (session, browser): (&str, &str),
    ) -> Result<Outcome, Error> {
        let browser = digest(browser);
        let waiting = self.take(context, request, Bound::Browser(&browser)).await?;
        let client = self.client(context, &waiting.asked.client).await?.ok_or(Error::FlowInvalid)?;
        self.proceed(context, &client, waiting.asked, waiting.auth_after, (session, browser)).await
    }

    /// Takes the decision of the person whom the page asked.
    pub(crate) async fn decide_authorization(
        &self,
        context: &CallContext,
        request: &str,
        (session, browser): (&str, &str),
        approve: bool,
    ) -> Result<Outcome, Error> {
        let session = self.browser_session(context, session).await?.ok_or(Error::FlowInvalid)?;
        let browser = digest(browser);
        let waiting = self.take(context, request, Bound::Browser(&browser)).await?;
        if waiting.session != Some((session.id, session.user)) {
            return Err(Error::FlowInvalid);
        }
        self.decided(context, waiting.asked, &session, approve).await.map(Outcome::Redirect)
    }

    /// Gives the client its answer.
    pub(super) async fn decided(
        &self,
        context: &CallContext,
        asked: Asked,
        session: &Session,
        approve: bool,
    ) -> Result<String, Error> {
        let client = self.client(context, &asked.client).await?.ok_or(Error::FlowInvalid)?;
        if !approve {
            let refused = problem("access_denied", "the person said no");
            return Ok(self.error_for(&asked.redirect_uri, &asked.state, refused));
        }
        let standing = self.standing_of(context, &client, session).await?;
        let Some(organization) = standing.organization else { return Err(Error::NoMembership) };
        let consent = self.consent_to(client.id, session.user, organization, asked.scopes.clone());
        self.grant(context, asked, session, organization, Some(consent)).await
    }

    /// What a person allows a client now.
    pub(super) fn consent_to(
        &self,
        client: String,
        user: UserId,
        organization: Option<OrganizationId>,
        scopes: Scopes,
    ) -> Consent {
        let now = self.clock.now();
        Consent { id: self.ids.next(), user, client, organization, scopes, create_time: now, update_time: now }
    }

    /// Keeps a consent.
    pub(super) async fn save_consent(&self, tx: &Tx, consent: &Consent) -> Result<(), Error> {
        store::consent::save(tx, consent).await?;
        let record = Record::done("consent.given").by(consent.user.name()).with("client", &consent.client);
        let record = record.with("scopes", consent.scopes.text());
        tx.audit(record.of(consent.organization.unwrap_or(OrganizationId::SYSTEM)));
        Ok(())
    }

    async fn proceed(
        &self,
        context: &CallContext,
        client: &Client,
        asked: Asked,
        auth_after: OffsetDateTime,
        (session, browser): (&str, Vec<u8>),
    ) -> Result<Outcome, Error> {
        // Where the client expects somebody else, it is as if nobody were signed in.
        let expected = |session: &Session| asked.person.is_none_or(|person| person == session.user);
        let session = self.browser_session(context, session).await?.filter(expected);
        let standing = match &session {
            Some(session) => Some(self.standing_of(context, client, session).await?),
            None => None,
        };
        let step = next(client, &asked, standing.as_ref(), auth_after);
        let (now, handle) = (self.clock.now(), Handle::new());
        let shown = Shown {
            display_name: client.display_name.clone(),
            redirect_origin: origin(&asked.redirect_uri).to_owned(),
        };
        let waiting = |asked, session| Waiting {
            asked,
            pushed: false,
            browser,
            session,
            auth_after,
            create_time: now,
            expire_time: now + REQUEST_LIFE,
        };
        match (step, session) {
            (Next::Refuse(problem), _) => {
                Ok(Outcome::Redirect(self.error_for(&asked.redirect_uri, &asked.state, problem)))
            }
            (Next::Grant(organization), Some(session)) => {
                self.grant(context, asked, &session, organization, None).await.map(Outcome::Redirect)
            }
            (Next::Consent, Some(session)) => {
                let organization = standing.and_then(|standing| standing.organization).flatten();
                let (email, organization) = self.shown(context, session.user, organization).await?;
                let scopes = asked.scopes.clone();
                self.keep(context, &handle, &waiting(asked, Some((session.id, session.user)))).await?;
                Ok(Outcome::Consent { request: handle.text, client: shown, scopes, email, organization })
            }
            (Next::SignIn | Next::Grant(_) | Next::Consent, _) => {
                let (login_hint, again) = (asked.login_hint.clone(), auth_after > OffsetDateTime::UNIX_EPOCH);
                self.keep(context, &handle, &waiting(asked, None)).await?;
                Ok(Outcome::SignIn { request: handle.text, client: shown, login_hint, again })
            }
        }
    }

    /// Where the user of a session stands with a client: the tenant is the client's own, or the session's for clients of all.
    pub(super) async fn standing_of(
        &self,
        context: &CallContext,
        client: &Client,
        session: &Session,
    ) -> Result<SignedIn, Error> {
        let wanted = if client.is_for_all() { session.organization } else { client.organization };
        let tx = self.db.subject(session.user, &quiet(context)).await?;
        let organization = match wanted {
            None => Some(None),
            Some(wanted) => store::membership::active(&tx, session.user, wanted).await?.map(|_| Some(wanted)),
        };
        let consented = match organization {
            Some(organization) => store::consent::find(&tx, session.user, &client.id, organization).await?,
            None => None,
        };
        Ok(SignedIn { auth_time: session.auth_time, organization, consented })
    }

    /// A code, and the consent that it rests on.
    async fn grant(
        &self,
        context: &CallContext,
        asked: Asked,
        session: &Session,
        organization: Option<OrganizationId>,
        consent: Option<Consent>,
    ) -> Result<String, Error> {
        let code = Handle::new();
        let target = answer(&asked.redirect_uri, &[("code", &code.text)], &asked.state, Some(&self.issuer));
        let tx = self.db.system("an authorization code, and the consent behind it", context).await?;
        if let Some(organization) = organization {
            // He may have left it meanwhile: with the membership its consents have ended, and none may come after them.
            store::organization::keep(&tx, organization).await?;
            store::membership::active(&tx, session.user, organization).await?.ok_or(Error::FlowInvalid)?;
        }
        let version = store::pending::version(&tx, session.user).await?.ok_or(Error::FlowInvalid)?;
        let stored = Code {
            client: asked.client,
            redirect_uri: asked.redirect_uri,
            code_challenge: asked.challenge.0,
            user: session.user,
            version,
            organization,
            auth_time: session.auth_time,
            amr: session.amr.clone(),
            replaces: None,
            expire_time: self.clock.now() + CODE_LIFE,
            scopes: asked.scopes,
            nonce: asked.nonce,
            parent: Some(session.id),
            origin: Origin::of(context),
        };
        match &consent {
            Some(consent) => self.save_consent(&tx, consent).await?,
            None => {
                // It may have been taken back meanwhile.
                let given = store::consent::find(&tx, stored.user, &stored.client, organization).await?;
                given.filter(|given| stored.scopes.within(given)).ok_or(Error::FlowInvalid)?;
            }
        }
        if !store::session::stays(&tx, session.id).await? {
            return Err(Error::FlowInvalid);
        }
        store::login::insert_code(&tx, &code.digest, &stored).await?;
        tx.commit().await?;
        metrics::token_issued("code");
        Ok(target)
    }

    fn error_for(&self, redirect_uri: &str, state: &str, problem: Problem) -> String {
        metrics::grant_refused("authorize");
        let parameters = [("error", problem.error), ("error_description", problem.description)];
        answer(redirect_uri, &parameters, state, Some(&self.issuer))
    }

    async fn keep(&self, context: &CallContext, handle: &Handle, waiting: &Waiting) -> Result<(), Error> {
        let tx = self.db.system("an authorization request", &quiet(context)).await?;
        store::authorize::insert(&tx, &handle.digest, waiting).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn take(&self, context: &CallContext, request: &str, by: Bound<'_>) -> Result<Waiting, Error> {
        let tx = self.db.system("the next step of an authorization request", &quiet(context)).await?;
        let found = store::authorize::take(&tx, &digest(request), by, self.clock.now()).await?;
        tx.commit().await?;
        found.ok_or(Error::FlowInvalid)
    }

    async fn take_pushed(&self, context: &CallContext, client: &str, uri: &str) -> Result<Option<Asked>, Error> {
        let Some(handle) = uri.strip_prefix(PUSHED) else { return Ok(None) };
        match self.take(context, handle, Bound::Client(client)).await {
            Ok(waiting) => Ok(Some(waiting.asked)),
            Err(Error::FlowInvalid) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
