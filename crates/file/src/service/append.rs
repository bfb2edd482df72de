//! Appending bytes: lease, write, make durable, move the offset, and at the end make a file of it.
//!
//! The offset in the row moves only after the bytes are durable, and only under the newest fence. The running SHA-256 is kept
//! between requests of one process; after a restart the durable prefix is read again.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{CallContext, Caller, Id};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::{Files, upload::own};
use crate::{
    content::{Segment, SegmentWriter},
    error::Error,
    events,
    model::{File, Upload, UploadName},
    store::{self, upload::Lease},
};

/// Bytes that may be lost with a crash in the middle of one request.
const CHECKPOINT: i64 = 64 * 1024 * 1024;
/// How long a writer that says nothing keeps others away.
const LEASE: Duration = Duration::from_secs(10);
/// How long a newcomer waits for a writer to end.
const PATIENCE: Duration = Duration::from_secs(3);
/// Running digests that are kept.
const DIGESTS: usize = 1024;

type Locks = Mutex<HashMap<Id, Arc<tokio::sync::Mutex<()>>>>;

/// The writers of this process: one for each upload, with the digest of what it has written.
#[derive(Default)]
pub(crate) struct Writers {
    locks: Locks,
    digests: Mutex<HashMap<Id, (i64, Sha256)>>,
}

impl Writers {
    /// Waits a little to be the only writer of an upload in this process.
    pub(super) async fn only(&self, upload: Id) -> Result<OwnedMutexGuard<()>, Error> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(upload).or_default().clone()
        };
        tokio::time::timeout(PATIENCE, lock.lock_owned()).await.map_err(|_| Error::Locked)
    }

    /// Forgets an upload's digest.
    pub(super) fn forget(&self, upload: Id) {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).remove(&upload);
    }

    fn digest(&self, upload: Id, offset: i64) -> Option<Sha256> {
        if offset == 0 {
            return Some(Sha256::new());
        }
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.get(&upload).filter(|(at, _)| *at == offset).map(|(_, digest)| digest.clone())
    }

    fn keep(&self, upload: Id, offset: i64, digest: Sha256) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= DIGESTS && !digests.contains_key(&upload) {
            let any = digests.keys().next().copied();
            any.and_then(|any| digests.remove(&any));
        }
        digests.insert(upload, (offset, digest));
    }
}

/// An append under way.
pub(crate) struct Append<'a> {
    files: &'a Files,
    context: CallContext,
    lease: Lease,
    writer: Box<dyn SegmentWriter>,
    digest: Sha256,
    /// Digest and offset of the last checkpoint.
    durable: (i64, Sha256),
    written: i64,
    _only: OwnedMutexGuard<()>,
}

impl Files {
    /// Begins to append at `offset`, as the only writer.
    pub(crate) async fn append(&self, caller: &Caller, name: UploadName, offset: i64) -> Result<Append<'_>, Error> {
        let tx = self.db.tenant(caller).await?;
        let upload = own(caller, store::upload::find(&tx, name).await?)?;
        drop(tx);
        if upload.complete {
            return Err(Error::Complete(upload.file()));
        }
        upload.continues_at(offset)?;
        let only = self.writers.only(name.upload).await?;
        let lease = self.lease(caller, name).await?;
        if lease.upload.complete {
            return Err(Error::Complete(lease.upload.file()));
        }
        lease.upload.continues_at(offset)?;
        let own = lease.segments.last().copied().unwrap_or(Segment { fence: lease.fence, start: offset });
        let digest = match self.writers.digest(name.upload, offset) {
            Some(digest) => digest,
            None => self.digest_again(name.upload, &lease.segments, offset).await?,
        };
        let writer = self.content.segment(name.upload, own, offset - own.start).await?;
        let context = caller.context().clone();
        Ok(Append { files: self, context, lease, writer, durable: (offset, digest.clone()), digest, written: offset, _only: only })
    }

    /// Takes the lease, waiting a little for another process to let go.
    async fn lease(&self, caller: &Caller, name: UploadName) -> Result<Lease, Error> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.clock.now();
            let tx = self.db.tenant(caller).await?;
            if let Some(lease) = store::upload::take(&tx, name, self.process, now, now + LEASE).await? {
                tx.commit().await?;
                return Ok(lease);
            }
            drop(tx);
            if tokio::time::Instant::now() >= end {
                return Err(Error::Locked);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn digest_again(&self, upload: Id, segments: &[Segment], length: i64) -> Result<Sha256, Error> {
        let mut reader = self.content.read_segments(upload, segments, length).await?;
        let mut digest = Sha256::new();
        loop {
            let piece = reader.next().await?;
            if piece.is_empty() {
                return Ok(digest);
            }
            digest.update(&piece);
        }
    }

    /// Makes a file of an upload whose bytes are all there. Doing it twice gives the same file.
    pub(crate) async fn complete(&self, context: &CallContext, name: UploadName) -> Result<Upload, Error> {
        let tx = self.db.tenant_as(name.organization, context).await?;
        let Some(upload) = store::upload::lock(&tx, name).await? else { return Err(api::Error::not_found(name).into()) };
        if upload.complete {
            return Ok(upload);
        }
        let segments = store::upload::segments(&tx, name).await?;
        let length = upload.draft.length;
        let digest = match self.writers.digest(name.upload, length) {
            Some(digest) => digest,
            None => self.digest_of(name, &segments, length).await?,
        };
        self.content.finish(name.upload, &segments, length).await?;
        let now = self.clock.now();
        let file = File {
            name: upload.file(),
            owner: upload.owner,
            display_name: upload.draft.display_name.clone(),
            media_type: upload.draft.media_type.clone(),
            size: length,
            sha256: digest.finalize().into(),
            version: 1,
            create_time: now,
            update_time: now,
            delete_time: None,
        };
        store::file::insert(&tx, &file).await?;
        store::upload::complete(&tx, name).await?;
        tx.publish(&events::created(&file), file.name.file, file.version)?;
        tx.commit().await?;
        self.content.drop_segments(name.upload, &segments).await?;
        self.writers.forget(name.upload);
        Ok(Upload { complete: true, ..upload })
    }

    /// The digest of an upload that is complete: of its segments, or of the object that an earlier try has made already.
    async fn digest_of(&self, name: UploadName, segments: &[Segment], length: i64) -> Result<Sha256, Error> {
        if let Ok(digest) = self.digest_again(name.upload, segments, length).await {
            return Ok(digest);
        }
        let mut reader = self.content.read(name.upload, 0, length).await?;
        let mut digest = Sha256::new();
        loop {
            let piece = reader.next().await?;
            if piece.is_empty() {
                return Ok(digest);
            }
            digest.update(&piece);
        }
    }
}

impl Append<'_> {
    /// Writes bytes. Those beyond the length undo what came since the last checkpoint.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let length = self.lease.upload.draft.length;
        let end = self.written.saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        if end > length {
            return Err(Error::TooLarge { limit: length });
        }
        self.digest.update(&bytes);
        self.writer.write(bytes).await?;
        self.written = end;
        if self.written - self.durable.0 >= CHECKPOINT {
            self.checkpoint(LEASE).await?;
        }
        Ok(())
    }

    /// Keeps what came and lets go; all bytes make a file.
    pub(crate) async fn finish(mut self) -> Result<Upload, Error> {
        self.checkpoint(Duration::ZERO).await?;
        let upload = &self.lease.upload;
        if self.written == upload.draft.length {
            return self.files.complete(&self.context, upload.name).await;
        }
        Ok(Upload { offset: self.written, ..upload.clone() })
    }

    async fn checkpoint(&mut self, lease: Duration) -> Result<(), Error> {
        self.writer.sync().await?;
        let (files, upload) = (self.files, &self.lease.upload);
        let now = files.clock.now();
        let tx = files.db.tenant_as(upload.name.organization, &self.context).await?;
        if !store::upload::advance(&tx, &self.lease, self.written, now + lease, now + files.config.upload_age).await? {
            return Err(Error::Locked);
        }
        tx.commit().await?;
        self.durable = (self.written, self.digest.clone());
        files.writers.keep(upload.name.upload, self.written, self.digest.clone());
        Ok(())
    }
}
