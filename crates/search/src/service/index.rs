//! The indexer: gathers changes, reads what the resources are now, writes it, commits, and only then lets go of the events.
//!
//! One task does all of it, so two writes of one resource are never on the way at once. What cannot be done now is put off, one
//! owner's trouble apart from the other's; a resource that can never be indexed is noted and holds up nobody. Nothing is lost
//! by a crash: what was not committed was not acknowledged.
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use api::{CallContext, OrganizationId};
use chassis::Awaited;
use events::{Delivery, Outcome};
use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Jobs, Search, queue::Job};
use crate::{
    backend::{Generation, WriteOutcome},
    error::Error,
    events::changed,
    metrics,
    model::{Kind, Read, Rejection, ResourceName, Revision, Write},
    peers::{READ_BATCH, is_lasting},
    store::{self, Indexed},
};

const TASK: &str = "search.index";
/// Resources that are read together.
const BATCH: usize = 100;
/// Reads at once.
const READS: usize = 4;
/// How long something waits that could not be done; doubles up to the longest.
const SHORTEST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A resource on its way into the index, with everybody who waits for it.
struct Change {
    name: ResourceName,
    revision: Revision,
    context: Option<CallContext>,
    /// Kept until it is durable; dropping one unheard makes its event come again.
    waiting: Vec<Job>,
    tries: u32,
}

impl Change {
    fn absorb(&mut self, other: Self) {
        self.revision = self.revision.max(other.revision);
        self.context = other.context.or(self.context.take());
        self.waiting.extend(other.waiting);
        self.tries = self.tries.min(other.tries);
    }

    fn finish(self) {
        for done in self.waiting.into_iter().filter_map(|mut job| job.done.take()) {
            // Whoever asked may have gone.
            let _: Result<(), ()> = oneshot::Sender::send(done, ());
        }
    }
}

impl From<Job> for Change {
    fn from(mut job: Job) -> Self {
        let (name, revision, context) = (job.name, job.revision, job.context.take());
        Self { name, revision, context, waiting: vec![job], tries: 0 }
    }
}

/// Changes, one for each resource.
type Batch = HashMap<ResourceName, Change>;

/// What the indexer holds between its steps.
struct Bench {
    generation: Generation,
    /// Written and not yet durable.
    written: Vec<(Change, Indexed)>,
    /// What could not be done, and when it is tried again.
    put_off: Vec<(Instant, Change)>,
    last_commit: Instant,
}

impl Search {
    /// Takes one event: done when its effect is durable.
    pub(crate) async fn heard(&self, delivery: &Delivery) -> Outcome {
        match changed(delivery) {
            Err(outcome) => outcome,
            Ok((name, revision)) if self.settled.covers(name, revision) => Outcome::Done,
            Ok((name, revision)) => match self.queue.index(name, revision, Some(delivery.context(TASK))).await {
                true => Outcome::Done,
                false => Outcome::Retry(SHORTEST_DELAY),
            },
        }
    }

    /// Opens the index and keeps it; runs until the process stops.
    pub(crate) async fn keep_indexing(&self, jobs: &Jobs, awaited: &Awaited, shutdown: CancellationToken) {
        let mut jobs = jobs.0.lock().await;
        let Some(generation) = self.open(awaited, &shutdown).await else { return };
        let (written, put_off) = (Vec::new(), Vec::new());
        let mut bench = Bench { generation, written, put_off, last_commit: Instant::now() };
        let work = async {
            loop {
                let batch = self.gather(&mut bench, &mut jobs).await;
                self.write(&mut bench, batch).await;
                if self.commit_due(&bench) <= Instant::now() || bench.written.len() >= self.config.commit_count {
                    self.commit(&mut bench).await;
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    fn commit_due(&self, bench: &Bench) -> Instant {
        bench.last_commit + self.config.commit_interval
    }

    /// Waits for something to do: changes, what was put off, or (an empty batch) the time of the next commit.
    async fn gather(&self, bench: &mut Bench, jobs: &mut mpsc::Receiver<Job>) -> Batch {
        let mut batch = Batch::new();
        let again = bench.put_off.iter().map(|(when, _)| *when).min();
        let due = (!bench.written.is_empty()).then(|| self.commit_due(bench));
        let wake = again.into_iter().chain(due).min();
        tokio::select! {
            Some(job) = jobs.recv() => {
                add(&mut batch, job.into());
                let until = Instant::now() + self.config.gather;
                while batch.len() < BATCH && let Ok(Some(job)) = timeout_at(until, jobs.recv()).await {
                    add(&mut batch, job.into());
                }
            }
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
        let now = Instant::now();
        for (_, change) in bench.put_off.extract_if(.., |(when, _)| *when <= now) {
            add(&mut batch, change);
        }
        batch
    }

    /// Reads the resources of a batch and writes them.
    async fn write(&self, bench: &mut Bench, batch: Batch) {
        let mut groups: BTreeMap<(OrganizationId, Kind), Vec<Change>> = BTreeMap::new();
        for change in batch.into_values() {
            groups.entry((change.name.organization, change.name.kind)).or_default().push(change);
        }
        let mut chunks = Vec::new();
        for (group, mut changes) in groups {
            while !changes.is_empty() {
                let rest = changes.split_off(changes.len().min(READ_BATCH));
                chunks.push((group, std::mem::replace(&mut changes, rest)));
            }
        }
        let reads = stream::iter(chunks).map(|(group, changes)| self.read(group, changes));
        let reads: Vec<_> = reads.buffer_unordered(READS).collect().await;
        let (mut changes, mut writes) = (Vec::new(), Vec::new());
        for read in reads {
            match read {
                Ok(read) => {
                    for (change, read) in read {
                        let (write, indexed) = written(&change, read);
                        writes.push(write);
                        changes.push((change, indexed));
                    }
                }
                Err((error, unread)) => put_off(bench, unread, &error),
            }
        }
        if !writes.is_empty() {
            self.apply(bench, changes, writes).await;
        }
    }

    async fn apply(&self, bench: &mut Bench, changes: Vec<(Change, Indexed)>, writes: Vec<Write>) {
        match self.backend.apply(bench.generation, writes).await {
            Ok(outcomes) => {
                for ((change, mut indexed), outcome) in changes.into_iter().zip(outcomes) {
                    if outcome == WriteOutcome::Rejected {
                        indexed.rejection = Some(Rejection::EngineRefused);
                    }
                    bench.written.push((change, indexed));
                }
            }
            Err(error) => {
                // What was written before is lost with it.
                let lost = bench.written.drain(..).chain(changes).map(|(change, _)| change).collect();
                put_off(bench, lost, &error.into());
            }
        }
    }

    /// Reads resources of one owner and organization. A resource that makes the read fail for good is found out, alone.
    async fn read(
        &self,
        (organization, kind): (OrganizationId, Kind),
        changes: Vec<Change>,
    ) -> Result<Vec<(Change, Read)>, (Error, Vec<Change>)> {
        let context = changes.iter().find_map(|change| change.context.clone());
        let context = context.unwrap_or_else(|| CallContext::background(TASK, &self.ids));
        let names: Vec<_> = changes.iter().map(|change| change.name).collect();
        match self.owners.read(&context, organization, kind, &names).await {
            Ok(reads) => return Ok(changes.into_iter().zip(reads).collect()),
            Err(error) if !is_lasting(&error) => return Err((error.into(), changes)),
            Err(error) => {
                tracing::error!(error = %error, owner = kind.as_str(), "a read for the index is refused; reading one by one")
            }
        }
        let mut reads = Vec::with_capacity(names.len());
        for name in &names {
            reads.push(match self.owners.read(&context, organization, kind, std::slice::from_ref(name)).await {
                Ok(mut read) => read.pop().unwrap_or(UNREADABLE),
                Err(error) if is_lasting(&error) => UNREADABLE,
                Err(error) => return Err((error.into(), changes)),
            });
        }
        Ok(changes.into_iter().zip(reads).collect())
    }

    /// Makes durable what was written, and lets go of the events.
    async fn commit(&self, bench: &mut Bench) {
        if bench.written.is_empty() {
            return;
        }
        let begun = Instant::now();
        let (changes, indexed): (Vec<_>, Vec<_>) = bench.written.drain(..).unzip();
        match self.make_durable(bench.generation, &indexed).await {
            Ok(()) => {
                metrics::indexed(changes.len());
                metrics::committed(begun.elapsed());
                self.settled.note(indexed.iter().map(|one| (one.name, one.revision)));
                changes.into_iter().for_each(Change::finish);
            }
            Err(error) => put_off(bench, changes, &error),
        }
        bench.last_commit = Instant::now();
    }

    async fn make_durable(&self, generation: Generation, indexed: &[Indexed]) -> Result<(), Error> {
        self.backend.refresh(generation).await?;
        let context = CallContext::background(TASK, &self.ids);
        let tx = self.db.system("the index spans all organizations", &context).await?;
        // Boxed: three statements at once make a large future.
        Box::pin(store::record(&tx, indexed, self.clock.now())).await?;
        tx.commit().await?;
        Ok(())
    }
}

const UNREADABLE: Read = Read::Refused { version: 0, rejection: Rejection::Unreadable };

/// What is written about a resource. What cannot be indexed is not found either, so that no stale text of it stays.
fn written(change: &Change, read: Read) -> (Write, Indexed) {
    let (name, heard) = (change.name, change.revision);
    // An owner never says less than its events; one that knows nothing of the resource any more says 0.
    let at = |version| heard.with_version(version).max(heard);
    let (write, rejection) = match read {
        Read::There(mut entry) => {
            entry.revision = at(entry.revision.0);
            (Write::Put(entry), None)
        }
        Read::Gone { version } => (Write::Tombstone(name, at(version)), None),
        Read::Refused { version, rejection } => {
            metrics::rejected();
            tracing::error!(resource = %name, reason = rejection.as_str(), "a resource cannot be indexed");
            (Write::Tombstone(name, at(version)), Some(rejection))
        }
    };
    let revision = write.revision();
    (write, Indexed { name, revision, rejection })
}

fn add(batch: &mut Batch, change: Change) {
    match batch.entry(change.name) {
        std::collections::hash_map::Entry::Occupied(mut there) => there.get_mut().absorb(change),
        std::collections::hash_map::Entry::Vacant(free) => _ = free.insert(change),
    }
}

fn put_off(bench: &mut Bench, changes: Vec<Change>, error: &Error) {
    metrics::put_off(changes.len());
    tracing::warn!(count = changes.len(), error = %error, "resources cannot be indexed now and are tried again");
    let now = Instant::now();
    for mut change in changes {
        let delay = SHORTEST_DELAY.saturating_mul(1 << change.tries.min(10)).min(LONGEST_DELAY);
        change.tries += 1;
        bench.put_off.push((now + delay, change));
    }
}
