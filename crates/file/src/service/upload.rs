//! Uploads: begin, look, drop. Only who began an upload may see it or go on with it.
use api::Caller;

use super::{Attempt, Files};
use crate::{
    error::Error,
    model::{Draft, Upload, UploadName},
    store,
};

impl Files {
    /// Begins an upload; one of length 0 is a file at once.
    pub(crate) async fn create_upload(&self, caller: &Caller, name: Option<UploadName>, draft: Draft, attempt: &Attempt) -> Result<Upload, Error> {
        let (organization, owner) = (caller.organization()?, caller.user_required()?);
        let draft = draft.allowed(&self.config)?;
        let chosen = name.is_some();
        let name = name.unwrap_or_else(|| UploadName { organization, upload: self.ids.next() });
        let now = self.clock.now();
        let upload = Upload { name, owner, draft, offset: 0, complete: false, create_time: now, expire_time: now + self.config.upload_age };
        let tx = self.db.tenant(caller).await?;
        if let db::Replay::Seen(known) = tx.replay(&attempt.request_id, &attempt.fingerprint).await? {
            let known = UploadName::parse(&known)?;
            return self.get_upload(caller, known).await;
        }
        match store::upload::insert(&tx, &upload).await {
            Err(error) if chosen && error.is_unique("uploads_pkey") => return Err(self.taken(caller, name).await),
            other => other?,
        }
        attempt.remember(&tx, &name.to_string());
        tx.commit().await?;
        if upload.draft.length == 0 {
            return self.complete(caller.context(), name).await;
        }
        Ok(upload)
    }

    /// The id is taken: who may see the upload hears so, anybody else nothing about it.
    async fn taken(&self, caller: &Caller, name: UploadName) -> Error {
        match self.get_upload(caller, name).await {
            Ok(_) => api::Error::already_exists(name).into(),
            Err(_) => api::Error::denied().into(),
        }
    }

    /// Looks at an upload. One whose bytes are all there becomes a file now, if a crash kept it from it.
    pub(crate) async fn get_upload(&self, caller: &Caller, name: UploadName) -> Result<Upload, Error> {
        let tx = self.db.tenant(caller).await?;
        let upload = own(caller, store::upload::find(&tx, name).await?)?;
        drop(tx);
        if !upload.complete && upload.offset == upload.draft.length {
            return self.complete(caller.context(), name).await;
        }
        Ok(upload)
    }

    /// Drops an upload and its bytes. A complete one is gone too; its file stays.
    pub(crate) async fn delete_upload(&self, caller: &Caller, name: UploadName) -> Result<(), Error> {
        let _writer = self.writers.only(name.upload).await?;
        let tx = self.db.tenant(caller).await?;
        own(caller, store::upload::lock(&tx, name).await?)?;
        let segments = store::upload::segments(&tx, name).await?;
        store::upload::delete(&tx, name).await?;
        tx.commit().await?;
        self.content.drop_segments(name.upload, &segments).await?;
        self.writers.forget(name.upload);
        Ok(())
    }
}

/// An upload is its owner's alone, whatever role somebody has.
pub(super) fn own(caller: &Caller, found: Option<Upload>) -> Result<Upload, Error> {
    let owner = caller.user_required()?;
    found.filter(|upload| upload.owner == owner).ok_or_else(|| api::Error::denied().into())
}
