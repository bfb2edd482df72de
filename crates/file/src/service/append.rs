//! Appending bytes: lease, write, make durable, move the offset, and at the end make a file of it.
//!
//! The offset in the row moves only after the bytes are durable, and only under the newest fence. The writing runs as a task of
//! its own: a call that is cut off or abandoned ends only the supply of bytes, and what came is kept. Memory per upload is a
//! few chunks. The running SHA-256 is kept between requests of one process; after a restart the durable prefix is read again.
use std::{sync::Arc, time::Duration};

use api::{CallContext, Caller};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Files,
    lease::{LEASE, RENEW},
    upload::own,
    writers::Turn,
};
use crate::{
    content::{Segment, SegmentWriter},
    error::Error,
    model::{FileName, Upload, UploadName},
    store::{self, upload::Lease},
};

/// Bytes that may be lost with a crash in the middle of one request.
const CHECKPOINT: i64 = 64 * 1024 * 1024;
/// Silence after which a writer leaves when another one wants to write: its client is probably gone.
const QUIET: Duration = Duration::from_secs(1);
/// Chunks on their way to the writer.
const CHUNKS: usize = 2;

/// What a client sends after the start.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes.
    Bytes(Bytes),
    /// All was sent, or the connection was cut: what came is kept.
    End,
    /// Something that does not belong here: what was not acknowledged does not count.
    Invalid,
}

/// An append under way. Dropping it cuts the supply of bytes.
pub(crate) struct Appending {
    steps: mpsc::Sender<Step>,
    outcome: oneshot::Receiver<Result<Upload, Error>>,
}

impl Appending {
    /// Hands a step on, as fast as the writer takes it. False when the writer has ended.
    pub(crate) async fn push(&self, step: Step) -> bool {
        self.steps.send(step).await.is_ok()
    }

    /// How it ended; also before all steps were pushed.
    pub(crate) async fn outcome(&mut self) -> Result<Upload, Error> {
        let ended = (&mut self.outcome).await;
        ended.unwrap_or_else(|_| Err(api::Error::unavailable("the file service").into()))
    }
}

struct Append {
    files: Arc<Files>,
    context: CallContext,
    lease: Lease,
    own: Segment,
    writer: Box<dyn SegmentWriter>,
    digest: Sha256,
    durable: i64,
    written: i64,
    renewed: Instant,
    turn: Turn,
}

/// Why no more bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Over,
    Wanted,
    Shutdown,
}

impl Files {
    /// Begins to append at `offset`, as the only writer.
    pub(crate) async fn append(
        self: &Arc<Self>,
        caller: &Caller,
        name: UploadName,
        offset: i64,
    ) -> Result<Appending, Error> {
        let tx = self.db.tenant(caller).await?;
        let upload = own(caller, store::upload::find(&tx, name).await?, self.clock.now())?;
        drop(tx);
        if upload.is_whole() {
            // A crash may have kept it from becoming a file.
            self.heal(caller.context(), upload).await?;
            return Err(Error::Complete(FileName { organization: name.organization, file: name.upload }));
        }
        upload.continues_at(offset)?;
        let turn = self.writers.only(upload.content).await?;
        let lease = self.lease(caller.context(), name).await?;
        // The task outlives the call, and the call stands in the audit already.
        let context = CallContext { audit: false, deadline: None, ..caller.context().clone() };
        let begun = self.clone().begin(&context, lease, turn, offset).await?;
        let (steps, incoming) = mpsc::channel(CHUNKS);
        let (answer, outcome) = oneshot::channel();
        self.tasks.spawn("append", move |shutdown| async move {
            // Who asked may have gone.
            let _gone = answer.send(begun.run(incoming, shutdown).await);
        });
        Ok(Appending { steps, outcome })
    }

    async fn begin(
        self: Arc<Self>,
        context: &CallContext,
        lease: Lease,
        turn: Turn,
        offset: i64,
    ) -> Result<Append, Error> {
        let opened = self.holding(context, &lease, self.open(&lease, offset)).await;
        let (own, writer, digest) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.release(context, &lease).await;
                return Err(error);
            }
        };
        let (context, renewed) = (context.clone(), Instant::now());
        Ok(Append { files: self, context, lease, own, writer, digest, durable: offset, written: offset, renewed, turn })
    }

    /// Opens the segment of this lease and finds the digest of what stands before `offset`.
    async fn open(&self, lease: &Lease, offset: i64) -> Result<(Segment, Box<dyn SegmentWriter>, Sha256), Error> {
        lease.upload.continues_at(offset)?;
        let content = lease.upload.content;
        let own = lease.segments.last().copied().unwrap_or(Segment { fence: lease.fence, start: offset });
        let digest = match self.writers.digest(content, offset) {
            Some(digest) => digest,
            None => self.digest_again(content, &lease.segments, offset).await?,
        };
        let writer = self.content.segment(content, own, offset - own.start).await?;
        Ok((own, writer, digest))
    }
}

impl Append {
    async fn run(mut self, mut steps: mpsc::Receiver<Step>, shutdown: CancellationToken) -> Result<Upload, Error> {
        let kept = match self.receive(&mut steps, &shutdown).await {
            Ok(ending) => self.keep(ending).await,
            Err(error) => Err(error),
        };
        if kept.is_err() {
            self.undo().await;
        }
        kept
    }

    async fn receive(
        &mut self,
        steps: &mut mpsc::Receiver<Step>,
        shutdown: &CancellationToken,
    ) -> Result<Ending, Error> {
        let mut wanted = false;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(Ending::Shutdown),
                step = steps.recv() => match step {
                    Some(Step::Bytes(bytes)) => self.write(bytes).await?,
                    Some(Step::End) | None => return Ok(Ending::Over),
                    Some(Step::Invalid) => return Err(Error::StreamInvalid),
                },
                () = self.turn.wanted(), if !wanted => wanted = true,
                () = sleep(QUIET) => if wanted { return Ok(Ending::Wanted) },
            }
            if self.renewed.elapsed() >= RENEW {
                self.files.renew(&self.context, &self.lease).await?;
                self.renewed = Instant::now();
            }
        }
    }

    /// Writes bytes, never beyond the length.
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let length = self.lease.upload.draft.length;
        let end = self.written.saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        if end > length {
            return Err(Error::TooLarge { limit: length });
        }
        self.digest.update(&bytes);
        self.writer.write(bytes).await?;
        self.written = end;
        if self.written - self.durable >= CHECKPOINT {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Keeps what came and lets go; all bytes make a file.
    async fn keep(&mut self, ending: Ending) -> Result<Upload, Error> {
        if self.written > self.durable {
            self.checkpoint().await?;
        }
        let upload = Upload { offset: self.written, ..self.lease.upload.clone() };
        if upload.is_whole() {
            return self.files.finalize(&self.context, &self.lease).await;
        }
        self.files.release(&self.context, &self.lease).await;
        match ending {
            Ending::Over => Ok(upload),
            Ending::Wanted => Err(Error::Locked),
            Ending::Shutdown => Err(api::Error::unavailable("the file service").into()),
        }
    }

    /// What is durable counts.
    async fn checkpoint(&mut self) -> Result<(), Error> {
        self.writer.sync().await?;
        let (files, now) = (&self.files, self.files.clock.now());
        let expire = now + files.config.upload_age;
        let tx = files.db.tenant_as(self.lease.upload.name.organization, &self.context).await?;
        if !store::upload::advance(&tx, &self.lease, self.written, now + LEASE, expire).await? {
            return Err(Error::Locked);
        }
        tx.commit().await?;
        (self.durable, self.renewed, self.lease.upload.expire_time) = (self.written, Instant::now(), expire);
        files.writers.keep(self.lease.upload.content, self.written, self.digest.clone());
        Ok(())
    }

    /// Lets go and cuts off what does not count. Where it is to be cut only the row knows: a commit whose answer was lost may
    /// have moved the offset. What is not cut now is cut by the next writer.
    async fn undo(&mut self) {
        if let Some(offset) = self.files.release(&self.context, &self.lease).await
            && let Err(error) = self.writer.cut(offset - self.own.start).await
        {
            tracing::warn!(error.message = %error, "the tail of an upload was not cut; the next writer does it");
        }
    }
}
