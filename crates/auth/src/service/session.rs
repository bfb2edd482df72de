//! Sessions: listed and ended by their user.
use api::{Caller, OrganizationId, UserId};

use super::{Auth, Change, PageRequest, limit, user::oneself};
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

    /// Ends a session of the caller; one that has ended already is fine, so that the call may be repeated.
    pub(crate) async fn delete_session(&self, caller: &Caller, name: SessionName) -> Result<(), Error> {
        oneself(caller, name.user)?;
        let tx = self.change(self.db.subject(name.user, caller.context()).await?);
        if let Some((session, _)) = store::session::get(&tx, name.session, true).await? {
            self.end_session(&tx, &session).await?;
        }
        tx.commit().await
    }

    /// Ends a session and all its tokens, in the transaction of the cause.
    pub(super) async fn end_session(&self, tx: &Change, session: &Session) -> Result<(), Error> {
        store::session::delete(tx, session.id).await?;
        self.revoke(tx, RevocationKind::Session(session.id), owner(session.user, session.organization), false).await
    }
}

/// Whose revocation that of a session is.
pub(super) fn owner(user: UserId, organization: Option<OrganizationId>) -> Owner {
    Owner { user: Some(user), organization }
}
