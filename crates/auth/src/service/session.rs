//! Sessions: seen and ended by their user.
use api::{Caller, OrganizationId, UserId};
use db::Record;

use super::{
    Auth, Change, PageRequest, limit,
    user::{home, oneself},
};
use crate::{
    error::Error,
    model::{RevocationKind, Session, SessionName},
    store::{self, revocation::Owner},
};

impl Auth {
    /// A page of the caller's sessions.
    pub(crate) async fn sessions(
        &self,
        caller: &Caller,
        user: UserId,
        request: &PageRequest,
    ) -> Result<(Vec<Session>, String), Error> {
        oneself(caller, user)?;
        let binding = user.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let rows = store::session::list(&tx, user, self.clock.now(), after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |session| session.id))
    }

    /// A session of the caller.
    pub(crate) async fn session(&self, caller: &Caller, name: SessionName) -> Result<Session, Error> {
        oneself(caller, name.user)?;
        let tx = self.db.subject(name.user, caller.context()).await?;
        let found = store::session::of_user(&tx, name, self.clock.now()).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// Ends a session of the caller; one that has ended already is fine, so that the call may be repeated. Who acts as him ends that alone.
    pub(crate) async fn delete_session(&self, caller: &Caller, name: SessionName) -> Result<(), Error> {
        oneself(caller, name.user)?;
        if caller.impersonator().is_some() && caller.session() != Some(name.session.to_string().as_str()) {
            return Err(api::Error::impersonated().into());
        }
        let tx = self.change(self.db.subject(name.user, caller.context()).await?);
        if let Some((session, _)) = store::session::get(&tx, name.session, true).await? {
            self.end_with_children(&tx, &session).await?;
            tx.audit(Record::done("session.ended").about(name).of(home(caller)));
        }
        tx.commit().await
    }

    /// Ends a session and all its tokens, in the transaction of the cause.
    pub(super) async fn end_session(&self, tx: &Change<'_>, session: &Session) -> Result<(), Error> {
        store::session::delete(tx, session.id).await?;
        self.revoke_session(tx, session).await
    }

    /// The tokens of a session that is gone are void.
    pub(super) async fn revoke_session(&self, tx: &Change<'_>, session: &Session) -> Result<(), Error> {
        self.revoke(tx, RevocationKind::Session(session.id), owner(session.user, session.organization), false).await
    }
}

/// What the audit log keeps of a session.
pub(super) fn told(action: &str, session: &Session) -> Record {
    about(Record::done(action), session)
}

/// A refusal that concerns a session.
pub(super) fn told_refused(action: &str, reason: &str, session: &Session) -> Record {
    about(Record::refused(action, reason), session)
}

fn about(record: Record, session: &Session) -> Record {
    record
        .about(SessionName { user: session.user, session: session.id })
        .by(session.user.name())
        .of(session.organization.unwrap_or(OrganizationId::SYSTEM))
        .with("client", &session.client)
}

/// Whose revocation that of a session is.
pub(super) fn owner(user: UserId, organization: Option<OrganizationId>) -> Owner {
    Owner { user: Some(user), organization }
}
