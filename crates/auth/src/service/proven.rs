//! An address is proven for the first time.
//!
//! Whoever set the account up never showed that the address is his: an administrator, or somebody who means to wait there for its owner.
//! So nothing that he could come back with stays, in whatever way the address is proven. Sessions end before credentials go: a change
//! that is at work in one of them is then either there to be deleted, or finds that its session has ended.
use api::{Id, OrganizationId, UserId};
use db::Record;

use super::{Auth, Change, session::owner};
use crate::{
    error::Error,
    model::{Purpose, RevocationKind, User},
    store,
};

impl Auth {
    /// Somebody has shown that he reads the user's address, and perhaps that this session is his; system transactions only. If that is new,
    /// the owner is told what it has ended.
    pub(super) async fn prove_address(
        &self,
        tx: &Change<'_>,
        user: UserId,
        email_key: &str,
        session: Option<Id>,
    ) -> Result<(), Error> {
        match self.void_unproven(tx, user, email_key, session).await? {
            Some(user) => self.notice(tx, &user, Purpose::NoticeFactorsChanged).await,
            None => Ok(()),
        }
    }

    /// The same for who tells the owner in other words. Gives the user, if his address is proven only now.
    pub(super) async fn void_unproven(
        &self,
        tx: &Change<'_>,
        user: UserId,
        email_key: &str,
        session: Option<Id>,
    ) -> Result<Option<User>, Error> {
        let Some(unproven) = store::user::lock_unproven(tx, user, email_key).await? else { return Ok(None) };
        match session {
            Some(session) => self.end_all_but(tx, user, session).await?,
            None => self.end_all(tx, user).await?,
        }
        store::user::drop_credentials(tx, user).await?;
        store::user::verify(tx, user, email_key, self.clock.now()).await?;
        let log = unproven.managing_organization.unwrap_or(OrganizationId::SYSTEM);
        tx.audit(Record::done("credentials.voided").about(user.name()).by(user.name()).of(log));
        Ok(Some(unproven))
    }

    /// Everything of a user ends but one session, which goes on with internal tokens of its own.
    async fn end_all_but(&self, tx: &Change<'_>, user: UserId, session: Id) -> Result<(), Error> {
        store::pending::void(tx, user).await?;
        for other in store::session::delete_others(tx, user, session).await? {
            self.revoke(tx, RevocationKind::Session(other), owner(user, None), false).await?;
        }
        store::mail::end_of_user(tx, user, self.clock.now()).await?;
        self.revoke(tx, RevocationKind::User(user), owner(user, None), true).await
    }
}
