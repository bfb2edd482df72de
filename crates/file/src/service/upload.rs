//! Uploads: begin, look, drop. Only who began an upload may see it or go on with it.
use api::{CallContext, Caller, UserId};
use db::Tx;
use time::OffsetDateTime;

use super::{Attempt, Files};
use crate::{
    error::Error,
    model::{Draft, Upload, UploadName},
    store,
};

/// Bytes that are read again within a call.
const QUICK: i64 = 64 * 1024 * 1024;

impl Files {
    /// Begins an upload; one of length 0 is a file at once.
    pub(crate) async fn create_upload(
        &self,
        caller: &Caller,
        name: Option<UploadName>,
        draft: Draft,
        attempt: &Attempt,
    ) -> Result<Upload, Error> {
        let (organization, owner) = (caller.organization()?, caller.user_required()?);
        let draft = draft.allowed(&self.config)?;
        let name = name.unwrap_or_else(|| UploadName { organization, upload: self.ids.next() });
        let (now, content) = (self.clock.now(), self.ids.next());
        let expire_time = now + self.config.upload_age;
        let upload = Upload { name, content, owner, draft, offset: 0, complete: false, create_time: now, expire_time };
        let tx = self.db.tenant(caller).await?;
        if let db::Replay::Seen(known) = tx.replay(&attempt.request_id, &attempt.fingerprint).await? {
            drop(tx);
            return self.get_upload(caller, UploadName::parse(&known)?).await;
        }
        if let Some(holder) = insert(&tx, &upload).await? {
            return Err(if holder == owner { api::Error::already_exists(name) } else { api::Error::denied() }.into());
        }
        attempt.remember(&tx, &name.to_string());
        tx.commit().await?;
        if upload.is_whole() {
            return self.complete(caller.context(), &upload).await;
        }
        Ok(upload)
    }

    /// Looks at an upload. One whose bytes are all there becomes a file now, if a crash kept it from it.
    pub(crate) async fn get_upload(&self, caller: &Caller, name: UploadName) -> Result<Upload, Error> {
        let tx = self.db.tenant(caller).await?;
        let upload = own(caller, store::upload::find(&tx, name).await?, self.clock.now())?;
        drop(tx);
        self.heal(caller.context(), upload).await
    }

    /// Ends what a crash interrupted, if that is quick and nobody else is at it; the sweep does the rest.
    pub(super) async fn heal(&self, context: &CallContext, upload: Upload) -> Result<Upload, Error> {
        if upload.complete || !upload.is_whole() || upload.draft.length > QUICK {
            return Ok(upload);
        }
        match self.complete(context, &upload).await {
            Err(Error::Locked) => Ok(upload),
            done => done,
        }
    }

    /// Drops an upload and its bytes. A complete one is gone too; its file stays.
    pub(crate) async fn delete_upload(&self, caller: &Caller, name: UploadName) -> Result<(), Error> {
        let tx = self.db.tenant(caller).await?;
        let content = own(caller, store::upload::find(&tx, name).await?, self.clock.now())?.content;
        drop(tx);
        let _turn = self.writers.only(content).await?;
        let tx = self.db.tenant(caller).await?;
        let upload = own(caller, store::upload::lock(&tx, name).await?, self.clock.now())?;
        let segments = store::upload::segments(&tx, name).await?;
        store::upload::delete(&tx, name).await?;
        tx.commit().await?;
        self.clear(upload.content, &segments, !upload.complete).await;
        Ok(())
    }
}

/// Inserts an upload, or says whose the name is already: a file keeps that of its upload for good, also when both are gone.
async fn insert(tx: &Tx, upload: &Upload) -> Result<Option<UserId>, Error> {
    if store::upload::insert(tx, upload).await? {
        return Ok(store::file::find(tx, upload.file()).await?.map(|file| file.owner));
    }
    let found = store::upload::find(tx, upload.name).await?;
    Ok(Some(found.ok_or_else(api::Error::conflict)?.owner))
}

/// An upload is its owner's alone, whatever role somebody has, and only as long as its time lasts.
pub(super) fn own(caller: &Caller, found: Option<Upload>, now: OffsetDateTime) -> Result<Upload, Error> {
    let owner = caller.user_required()?;
    let mine = found.filter(|upload| upload.owner == owner && upload.expire_time > now);
    mine.ok_or_else(|| api::Error::denied().into())
}
