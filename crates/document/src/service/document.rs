//! Documents: create, get, list, update, delete, undelete.
use api::Caller;

use super::{Attempt, Change, Documents};
use crate::{
    error::Error,
    events,
    model::{
        Document, DocumentName, DocumentPosition, DocumentQuery, Draft, Edition, FolderName, Listed, Place, Update,
        Window,
    },
    store::{self, document::Found},
};

impl Documents {
    /// Creates a document with its first revision.
    pub(crate) async fn create(&self, caller: &Caller, draft: Draft, attempt: &Attempt) -> Result<Edition, Error> {
        let tx = self.db.tenant(caller).await?;
        if let Some(name) = attempt.replay(&tx).await? {
            drop(tx);
            return self.get(caller, DocumentName::parse(&name)?).await;
        }
        let id = draft.id.unwrap_or_else(|| self.ids.next());
        let mut edition = draft.first_edition(id, caller.user_required()?, self.clock.now());
        let name = edition.document.name;
        let taken = |error: db::Error| match error.is_unique("documents_pkey") {
            true => Error::Api(api::Error::already_exists(name)),
            false => Error::Store(error),
        };
        if !store::document::insert(&tx, &edition).await.map_err(taken)? {
            // Rare: a document of this id was purged, so that versions go on from it; else the folder is missing.
            let purged = store::document::purged_version(&tx, name).await?.unwrap_or_default();
            edition.document.version = purged + 1;
            if purged == 0 || !store::document::insert(&tx, &edition).await.map_err(taken)? {
                return Err(Error::FolderNotFound(edition.document.folder_name()));
            }
        }
        tx.publish(&events::created(&edition.document), id, edition.document.version)?;
        tx.remember(&attempt.request_id, &name.to_string());
        tx.commit().await?;
        Ok(edition)
    }

    /// Gets a document, also one in the trash.
    pub(crate) async fn get(&self, caller: &Caller, name: DocumentName) -> Result<Edition, Error> {
        let viewer = self.viewer(caller).await;
        let tx = self.db.tenant(caller).await?;
        let found = store::document::find(&tx, name, &viewer).await?;
        Ok(viewer.principals.decided(caller.permit(found, Found::share, name))?.edition)
    }

    /// Lists the documents that the caller may see.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        query: DocumentQuery,
        window: Window<DocumentPosition>,
    ) -> Result<Listed<Document, DocumentPosition>, Error> {
        let viewer = self.viewer(caller).await;
        viewer.principals.whole()?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::document::list(&tx, &query, &viewer, &window).await?;
        Ok(window.page(rows, |last| store::document::position(last, query.order)))
    }

    /// Changes a document. A change makes a revision; an update that changes nothing keeps revision and etag.
    pub(crate) async fn update(&self, caller: &Caller, update: Update, attempt: &Attempt) -> Result<Edition, Error> {
        let Some(change) = self.begin(caller, update.name, attempt).await? else {
            return self.get(caller, update.name).await;
        };
        change.current.document.changeable(&update.etag)?;
        let Some(next) = update.apply(&change.current, self.clock.now())? else {
            return change.keep().await;
        };
        if next.document.folder != change.current.document.folder {
            change.enter(caller, next.document.folder_name()).await?;
        }
        let event = events::updated(&next.document, next.changed_since(&change.current));
        change.revise(caller, next, event).await
    }

    /// Moves a document to the trash. With `allow_missing` one that lies there already is as wanted.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        name: DocumentName,
        etag: &str,
        allow_missing: bool,
        attempt: &Attempt,
    ) -> Result<Edition, Error> {
        let Some(change) = self.begin(caller, name, attempt).await? else {
            return self.get(caller, name).await;
        };
        let document = &change.current.document;
        match document.changeable(etag) {
            Err(Error::Deleted) if allow_missing => return change.keep().await,
            Err(Error::Deleted) => return Err(Error::DeletedAlready),
            checked => checked?,
        }
        let next = document.deleted(self.clock.now(), self.config.trash_age);
        let event = events::deleted(next.name);
        change.save(next, event).await
    }

    /// Takes a document out of the trash.
    pub(crate) async fn undelete(
        &self,
        caller: &Caller,
        name: DocumentName,
        etag: &str,
        attempt: &Attempt,
    ) -> Result<Edition, Error> {
        let Some(change) = self.begin(caller, name, attempt).await? else {
            return self.get(caller, name).await;
        };
        let document = &change.current.document;
        match document.changeable(etag) {
            Ok(()) => return Err(Error::NotDeleted),
            Err(Error::Deleted) => {}
            Err(error) => return Err(error),
        }
        let place = change.place(document.folder_name()).await?;
        let next = document.undeleted(self.clock.now(), place);
        let event = events::undeleted(&next);
        change.save(next, event).await
    }
}

impl Change {
    /// Makes sure that the folder exists when the change is committed. A share on a document says nothing about folders: who
    /// acts by one can neither move it nor learn which folders there are.
    async fn enter(&self, caller: &Caller, folder: FolderName) -> Result<(), Error> {
        if !caller.granted() {
            return Err(api::Error::denied().into());
        }
        match self.place(folder).await? {
            Place::Kept => Ok(()),
            Place::Root => Err(Error::FolderNotFound(folder)),
        }
    }

    /// Where something lies that shall lie in this folder.
    async fn place(&self, folder: FolderName) -> Result<Place, Error> {
        let Some(id) = folder.folder else { return Ok(Place::Kept) };
        let exists = store::folder::hold(&self.tx, folder.organization, id).await?;
        Ok(if exists { Place::Kept } else { Place::Root })
    }
}
