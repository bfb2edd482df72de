//! References from documents, as their events tell them.
use ::events::{Envelope, Guard};
use api::{CallContext, Id};
use db::Tx;
use uuid::Uuid;

use super::Files;
use crate::{
    error::Error,
    events,
    model::{DocumentName, FileName},
    store,
};

const CONSUMER: &str = "references";

impl Files {
    /// Takes the files of a document, unless a newer list is known.
    pub(crate) async fn attach(
        &self,
        guard: &Guard,
        envelope: &Envelope,
        document: DocumentName,
        files: &[Id],
        context: &CallContext,
    ) -> Result<(), Error> {
        let tx = self.db.tenant_as(document.organization, context).await?;
        if !guard.newer(&tx, envelope, false).await? {
            return Ok(());
        }
        let changed = store::reference::replace(&tx, document, files).await?;
        self.tell(&tx, document, &changed).await?;
        Ok(tx.commit().await?)
    }

    /// Who may read a document changed, and with it who may read its files.
    pub(crate) async fn readers_changed(
        &self,
        event: Uuid,
        document: DocumentName,
        context: &CallContext,
    ) -> Result<(), Error> {
        let Some(tx) = self.db.once(CONSUMER, event, document.organization, context).await? else { return Ok(()) };
        let files = store::reference::files(&tx, document).await?;
        self.tell(&tx, document, &files).await?;
        Ok(tx.commit().await?)
    }

    /// The version rises, so that an index takes the new readers; the file itself did not change, so its time does not. Rows are
    /// locked in the order of their ids, as everybody does.
    async fn tell(&self, tx: &Tx, document: DocumentName, files: &[Id]) -> Result<(), Error> {
        for id in files {
            let name = FileName { organization: document.organization, file: *id };
            let Some(mut file) = store::file::lock(tx, name).await?.filter(|file| file.delete_time.is_none()) else {
                continue;
            };
            file.version += 1;
            store::file::save(tx, &file).await?;
            tx.publish(&events::references_changed(&file), *id, file.version)?;
        }
        Ok(())
    }
}
