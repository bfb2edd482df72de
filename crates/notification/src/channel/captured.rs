//! The captured mailbox: a table, which ListCapturedMails shows. A mail that is there already is dropped by its Message-ID, so
//! trying again after any failure is safe, and nothing is ever uncertain.
use api::{CallContext, Clock, Ids};
use db::Db;
use futures::future::BoxFuture;

use super::MailChannel;
use crate::{
    model::{Class, Mail, Verdict},
    store,
};

/// Keeps mails instead of sending them.
pub(crate) struct Captured {
    db: Db,
    clock: Clock,
    ids: Ids,
}

impl Captured {
    /// Keeps them in this database.
    pub(crate) fn new(db: Db, clock: Clock, ids: Ids) -> Self {
        Self { db, clock, ids }
    }

    async fn keep(&self, mail: &Mail, context: &CallContext) -> Result<(), db::Error> {
        let tx = self.db.tenant_as(mail.organization, context).await?;
        store::mail::insert(&tx, self.ids.next(), mail, self.clock.now()).await?;
        tx.commit().await
    }
}

impl MailChannel for Captured {
    fn send<'a>(&'a self, mail: &'a Mail, context: &'a CallContext) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            match self.keep(mail, context).await {
                Ok(()) => Verdict::accepted(),
                Err(error) => {
                    tracing::warn!(error = %error, "a mail could not be captured");
                    Verdict::failed(Class::NotSent, "the captured mailbox could not be written")
                }
            }
        })
    }

    fn captures(&self) -> bool {
        true
    }
}
