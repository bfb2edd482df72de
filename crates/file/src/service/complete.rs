//! From a whole upload to a file. Killed at any line, the next try ends it: the object is there or its segments are, and the
//! row, the file and its event are one transaction.
use api::{CallContext, Id};
use sha2::{Digest, Sha256};

use super::Files;
use crate::{
    content::{Reader, Segment},
    error::Error,
    events,
    model::{File, Upload},
    store::{self, upload::Lease},
};

impl Files {
    /// Makes a file of a whole upload that a crash left, or that has no bytes.
    pub(super) async fn complete(&self, context: &CallContext, upload: &Upload) -> Result<Upload, Error> {
        // The call that leads here has its own line in the audit.
        let context = CallContext { audit: false, ..context.clone() };
        let _turn = self.writers.only(upload.content).await?;
        let lease = match self.lease(&context, upload.name).await {
            Err(Error::Complete(_)) => return Ok(Upload { complete: true, ..upload.clone() }),
            lease => lease?,
        };
        let done = self.finalize(&context, &lease).await;
        if done.is_err() {
            self.release(&context, &lease).await;
        }
        done
    }

    /// Makes the file, as the only writer and under the lease.
    pub(super) async fn finalize(&self, context: &CallContext, lease: &Lease) -> Result<Upload, Error> {
        let (upload, length) = (&lease.upload, lease.upload.draft.length);
        let digest = self.holding(context, lease, self.make_object(lease)).await?;
        let now = self.clock.now();
        let file = File {
            name: upload.file(),
            content: upload.content,
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
        let tx = self.db.tenant_as(upload.name.organization, context).await?;
        if !store::upload::complete(&tx, lease).await? {
            return Err(Error::Locked);
        }
        store::file::insert(&tx, &file).await?;
        tx.publish(&events::created(&file), file.name.file, file.version)?;
        tx.commit().await?;
        self.clear(upload.content, &lease.segments, false).await;
        Ok(Upload { offset: length, complete: true, ..upload.clone() })
    }

    /// Drops what an upload leaves behind. What stays is found by the sweep, so a failure is nobody's concern.
    pub(super) async fn clear(&self, content: Id, segments: &[Segment], object: bool) {
        self.writers.forget(content);
        let mut cleared = self.content.drop_segments(content, segments).await;
        if object && cleared.is_ok() {
            cleared = self.content.drop_object(content).await;
        }
        if let Err(error) = cleared {
            tracing::warn!(error.message = %error, "bytes that nobody needs were left to the sweep");
        }
    }

    async fn make_object(&self, lease: &Lease) -> Result<Sha256, Error> {
        let (content, length, segments) = (lease.upload.content, lease.upload.draft.length, &lease.segments);
        let digest = match self.writers.digest(content, length) {
            Some(digest) => digest,
            None => self.digest_of(content, segments, length).await?,
        };
        self.content.finish(content, segments, length, lease.fence).await?;
        Ok(digest)
    }

    /// The digest of a whole upload: of its segments, or of the object that an earlier try has made of them already.
    async fn digest_of(&self, content: Id, segments: &[Segment], length: i64) -> Result<Sha256, Error> {
        match self.digest_again(content, segments, length).await {
            Ok(digest) => Ok(digest),
            Err(_) => digest_all(self.content.read(content, 0, length).await?).await,
        }
    }

    /// Reads again what is durable.
    pub(super) async fn digest_again(&self, content: Id, segments: &[Segment], length: i64) -> Result<Sha256, Error> {
        digest_all(self.content.read_segments(content, segments, length).await?).await
    }
}

async fn digest_all(mut reader: Box<dyn Reader>) -> Result<Sha256, Error> {
    let mut digest = Sha256::new();
    loop {
        let piece = reader.next().await?;
        if piece.is_empty() {
            return Ok(digest);
        }
        digest.update(&piece);
    }
}
