//! An administrator acts as a member of his organization, for support.
//!
//! It is a session of the user's with another person in it: the user sees it among his own and ends it, and it ends with the session in
//! which the administrator has signed in himself. That he may still act as the user is read anew with each exchange of its token. Nothing is
//! done unseen: the audit log names both, and where the user cannot be told by mail nobody acts as him.
use api::{CallContext, Caller, OrganizationId, UserId};
use authz::{Acting, Subject};
use db::{Record, Tx};
use time::OffsetDateTime;

use super::{
    Auth, HOPS, issue_time, key::in_person_till_the_end, lockout::quiet, oauth::hits, token::Ground, token::of_session,
};
use crate::{
    credential::Claims,
    error::Error,
    metrics,
    model::{
        Email, IMPERSONATE, IMPERSONATION_LIFE, Impersonation, MailDelivery, Membership, Origin, Permissions, Purpose,
        Reason, Scopes, Session, SessionName, Told,
    },
    store,
};

/// The token of who acts as somebody else.
pub(crate) struct Impersonated {
    /// JWT.
    pub(crate) access: String,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
    /// Its session, among those of the user.
    pub(crate) session: SessionName,
}

impl Auth {
    /// Begins a session of the user's in which the caller acts as him.
    pub(crate) async fn impersonate(
        &self,
        caller: &Caller,
        user: UserId,
        reason: Reason,
    ) -> Result<Impersonated, Error> {
        let (organization, actor) = (caller.organization()?, caller.user_required()?);
        let tx = self.db.system("act as somebody else", caller.context()).await?;
        store::organization::lock(&tx, organization).await?;
        // What ends all that the user has signed in with comes before, or finds this session.
        store::pending::version(&tx, user).await?.ok_or_else(api::Error::denied)?;
        let own = in_person_till_the_end(&tx, caller).await?;
        let (actor, member) = self.acts_as(&tx, organization, (actor, user)).await?;
        let told = Told { display_name: actor.display_name, email: actor.email, reason: reason.0 };
        let by = Impersonation { user: actor.user, session: own.id, told };
        let session = self.session_as(caller.context(), &member, &own, by);
        store::session::insert(&tx, &session).await?;
        self.tell_impersonated(&tx, &session, &member).await?;
        let live = store::revocation::of(&tx, &hits(&session), self.clock.now()).await?;
        let claims = self.claims_of(&session, member.role, issue_time(self.clock.now(), &live));
        let access = self.keys()?.edge.sign(&claims)?;
        let name = SessionName { user, session: session.id };
        tx.audit(told_impersonated(&session, name).of(organization));
        tx.commit().await?;
        metrics::token_issued("impersonation");
        Ok(Impersonated { access, expire_time: session.expire_time, session: name })
    }

    /// The session of somebody as whom another one acts, who signs in to nothing by it: nobody has proven to be the user.
    fn session_as(&self, context: &CallContext, member: &Membership, own: &Session, by: Impersonation) -> Session {
        let (now, origin) = (self.clock.now(), Origin::of(context));
        Session {
            id: self.ids.next(),
            user: member.user,
            organization: Some(member.organization),
            client: own.client.clone(),
            auth_time: OffsetDateTime::UNIX_EPOCH,
            amr: Vec::new(),
            create_time: now,
            last_use_time: now,
            // Tokens carry whole seconds, and say when they end.
            expire_time: (now + IMPERSONATION_LIFE).min(own.expire_time).replace_nanosecond(0).unwrap_or(now),
            scopes: Scopes(vec!["*".to_owned()]),
            parent: None,
            last_network: origin.network.clone(),
            origin,
            impersonation: Some(by),
        }
    }

    /// The first of two people, and the second, as whom he may act in the organization: who holds the permission, and all that the second
    /// one holds there. Operators act for everybody, and a service account reads no mail: nobody acts as these. System transactions only.
    async fn acts_as(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        (actor, user): (UserId, UserId),
    ) -> Result<(Membership, Membership), Error> {
        let denied = || Error::from(api::Error::denied());
        let member = store::membership::active(tx, user, organization).await?.ok_or_else(denied)?;
        let actor = store::membership::active(tx, actor, organization).await?.ok_or_else(denied)?;
        let operator = store::membership::of_user(tx, user, OrganizationId::SYSTEM).await?.is_some();
        let machine = store::api_key::account(tx, organization, user).await?.is_some();
        if actor.user == member.user || operator || machine {
            return Err(denied());
        }
        let rights = self.rights_of(tx, &actor).await?;
        rights.cover(&Permissions::parse(&[IMPERSONATE.to_owned()])?)?;
        rights.cover_member(member.role, &self.permissions_of(tx, organization, &member.custom_roles).await?)?;
        Ok((actor, member))
    }

    /// No session of the kind without a mail: beyond what goes to one address within an hour there is none.
    async fn tell_impersonated(&self, tx: &Tx, session: &Session, member: &Membership) -> Result<(), Error> {
        let (purpose, email_key) = (Purpose::NoticeImpersonated, Email::key(&member.email));
        self.few_mails(tx, purpose, &email_key).await?;
        let mail = MailDelivery {
            email: member.email.clone(),
            email_key,
            user: Some(member.user),
            organization: Some(member.organization),
            display_name: member.display_name.clone(),
            told: session.impersonation.as_ref().map(|by| by.told.clone()),
            ..self.new_mail(purpose)
        };
        self.post(tx, &mail).await
    }

    /// What the token of such a session rests on now.
    pub(super) async fn ground_of_impersonation(
        &self,
        context: &CallContext,
        claims: &Claims,
        session: &Session,
        now: OffsetDateTime,
    ) -> Result<Ground, Error> {
        let of = session.impersonation.as_ref().zip(session.organization);
        let (by, organization) = of.ok_or(Error::CredentialInvalid)?;
        let tx = self.db.system("whether somebody may still act as another", &quiet(context)).await?;
        let still = self.acts_as(&tx, organization, (by.user, session.user)).await;
        let (_, member) = still.map_err(|error| match error {
            Error::Db(_) | Error::Fault(_) => error,
            _ => Error::CredentialInvalid,
        })?;
        let live = self.live(&tx, &hits(session), (claims.iat, claims.key), now).await?;
        drop(tx);
        let subject = Subject {
            acting: Some(Acting::Person(by.user, by.session.to_string())),
            auth_time: None,
            ..of_session(session, Some(member), session.client.clone(), session.scopes.clone())
        };
        Ok(Ground { subject, live, expire_time: session.expire_time.min(now + self.access_life()), rest: HOPS })
    }
}

/// What the audit log keeps: who, as whom, why.
fn told_impersonated(session: &Session, name: SessionName) -> Record {
    let reason = session.impersonation.as_ref().map(|by| by.told.reason.as_str()).unwrap_or_default();
    Record::done("user.impersonated").about(session.user.name()).with("session", name).with("reason", reason)
}
