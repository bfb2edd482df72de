//! Revisions: get, list, restore.
use api::Caller;
use futures::try_join;

use super::{Attempt, Documents};
use crate::{
    error::Error,
    events,
    model::{DocumentName, Edition, Listed, Number, Revision, RevisionName, Window},
    store,
};

impl Documents {
    /// Gets one revision with its text.
    pub(crate) async fn get_revision(&self, caller: &Caller, name: RevisionName) -> Result<Revision, Error> {
        let viewer = self.viewer(caller).await;
        let tx = self.db.tenant(caller).await?;
        let access = store::document::access(&tx, name.document, &viewer).await?;
        let head = viewer.principals.decided(caller.permit(access, |access| access.share, name.document))?.head;
        let revision = store::revision::get(&tx, name.document, numbered(name.number, head)).await?;
        revision.ok_or_else(|| Error::RevisionNotFound(name.to_string()))
    }

    /// Lists the revisions of a document, newest first.
    pub(crate) async fn list_revisions(
        &self,
        caller: &Caller,
        document: DocumentName,
        window: Window<i64>,
    ) -> Result<Listed<Revision, i64>, Error> {
        let viewer = self.viewer(caller).await;
        let tx = self.db.tenant(caller).await?;
        let (access, rows) =
            try_join!(store::document::access(&tx, document, &viewer), store::revision::list(&tx, document, &window))?;
        viewer.principals.decided(caller.permit(access, |access| access.share, document))?;
        Ok(window.page(rows, |last| numbered(last.name.number, 0)))
    }

    /// Makes a new revision with what an old one holds. The old ones stay as they are.
    pub(crate) async fn restore(
        &self,
        caller: &Caller,
        name: RevisionName,
        etag: &str,
        attempt: &Attempt,
    ) -> Result<Edition, Error> {
        let Some(change) = self.begin(caller, name.document, attempt).await? else {
            return self.get(caller, name.document).await;
        };
        let document = &change.current.document;
        document.changeable(etag)?;
        let old = store::revision::get(&change.tx, name.document, numbered(name.number, document.head)).await?;
        let Some(Revision { title, body: Some(body), .. }) = old else {
            return Err(Error::RevisionNotFound(name.to_string()));
        };
        let next = change.current.restored(title, body, self.clock.now());
        let changed = next.changed_since(&change.current);
        if changed.is_empty() {
            return change.keep().await;
        }
        let event = events::updated(&next.document, changed);
        change.revise(caller, next, event).await
    }
}

fn numbered(number: Number, head: i64) -> i64 {
    match number {
        Number::Head => head,
        Number::At(number) => number,
    }
}
