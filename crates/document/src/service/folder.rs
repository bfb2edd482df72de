//! Folders: create, get, list, delete. They are decided by role alone.
use api::Caller;

use super::{Attempt, Documents};
use crate::{
    error::Error,
    model::{Folder, FolderDraft, FolderName, Listed, Window, key},
    store,
};

impl Documents {
    /// Creates a folder.
    pub(crate) async fn create_folder(
        &self,
        caller: &Caller,
        draft: FolderDraft,
        attempt: &Attempt,
    ) -> Result<Folder, Error> {
        let tx = self.db.tenant(caller).await?;
        if let Some(name) = attempt.replay(&tx).await? {
            drop(tx);
            return self.get_folder(caller, FolderName::parse_field("name", &name)?).await;
        }
        let id = draft.id.unwrap_or_else(|| self.ids.next());
        let folder = draft.first_version(id, self.clock.now());
        let refused = |error: db::Error| match error {
            error if error.is_unique("folders_pkey") => api::Error::already_exists(folder.name).into(),
            error if error.is_unique("folders_name") => Error::FolderExists,
            error if error.is_check("folders_depth") => Error::FolderTooDeep,
            error => error.into(),
        };
        if !store::folder::insert(&tx, draft.organization, id, &folder).await.map_err(refused)? {
            return Err(Error::FolderNotFound(FolderName { organization: draft.organization, folder: draft.parent }));
        }
        tx.remember(&attempt.request_id, &folder.name.to_string());
        tx.commit().await?;
        Ok(folder)
    }

    /// Gets a folder; the root folder always exists.
    pub(crate) async fn get_folder(&self, caller: &Caller, name: FolderName) -> Result<Folder, Error> {
        let Some(id) = name.folder else { return Ok(Folder::root(name.organization)) };
        let tx = self.db.tenant(caller).await?;
        let found = store::folder::get(&tx, name.organization, id).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// Lists the folders directly in a folder, in the order of their names.
    pub(crate) async fn list_folders(
        &self,
        caller: &Caller,
        parent: FolderName,
        window: Window<String>,
    ) -> Result<Listed<Folder, String>, Error> {
        self.get_folder(caller, parent).await?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::folder::list(&tx, parent, &window).await?;
        Ok(window.page(rows, |last| key(&last.display_name)))
    }

    /// Deletes a folder in which nothing lies that is not in the trash.
    pub(crate) async fn delete_folder(
        &self,
        caller: &Caller,
        name: FolderName,
        etag: &str,
        attempt: &Attempt,
    ) -> Result<(), Error> {
        let Some(id) = name.folder else {
            return Err(api::Error::invalid_field("name", "the root folder always exists; it cannot be deleted").into());
        };
        let tx = self.db.tenant(caller).await?;
        if attempt.replay(&tx).await?.is_some() {
            return Ok(());
        }
        let found = store::folder::lock(&tx, name.organization, id).await?;
        let folder = caller.permit(found, |_| None, name)?;
        api::Etag::check(etag, folder.version)?;
        if store::folder::is_in_use(&tx, name.organization, id).await? {
            return Err(Error::FolderNotEmpty);
        }
        store::folder::delete(&tx, name.organization, id).await?;
        tx.remember(&attempt.request_id, &name.to_string());
        Ok(tx.commit().await?)
    }
}
