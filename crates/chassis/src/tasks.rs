//! Background work: every task has a name, a stage in which it is stopped, and a rule for when it ends unasked.
//!
//! | rule | ends unasked | panics or fails |
//! |---|---|---|
//! | kept ([`Tasks::keep`]) | restarted with growing delay, unready meanwhile | the same |
//! | once ([`Tasks::spawn`]) | fine | process unready for good, error |
//! | vital (`Tasks::vital`) | process unready for good, error | the same |
//!
//! A task learns of the stop by its cancellation token. What has not ended when the drain deadline passes is aborted and
//! named in the log. This is the only place of services, gateway and chassis that spawns.
use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::task::AbortHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::readiness::Readiness;

/// Delay before the first restart of a kept task; doubles up to [`LONGEST_DELAY`].
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A task that ran this long starts again with the first delay.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// When a task is told to stop; earlier stages have ended by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Sockets of the gateway: no new work enters.
    Edge,
    /// Consumers of events.
    Consume,
    /// gRPC servers.
    Rpc,
    /// Background work of services, which handlers may still need.
    Work,
    /// The relay: sends what the stages above wrote.
    Relay,
    /// Identity, engine watchers, admin port.
    Platform,
}

impl Stage {
    pub(crate) const ORDER: [Stage; 6] =
        [Stage::Edge, Stage::Consume, Stage::Rpc, Stage::Work, Stage::Relay, Stage::Platform];
}

/// How a task ended: `()` or a `Result`.
pub trait Ending {
    /// Why it failed, when it did.
    fn failure(self) -> Option<String>;
}

impl Ending for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Display> Ending for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

struct Inner {
    readiness: Readiness,
    tokens: BTreeMap<Stage, CancellationToken>,
    trackers: BTreeMap<Stage, TaskTracker>,
    running: Mutex<BTreeMap<u64, (Stage, String, AbortHandle)>>,
    next: std::sync::atomic::AtomicU64,
}

/// The tasks of one process; clones share them. Obtained for a service by `kit.tasks()`.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
    service: &'static str,
}

impl Tasks {
    pub(crate) fn new(readiness: Readiness) -> Tasks {
        let inner = Inner {
            readiness,
            tokens: Stage::ORDER.map(|stage| (stage, CancellationToken::new())).into(),
            trackers: Stage::ORDER.map(|stage| (stage, TaskTracker::new())).into(),
            running: Mutex::default(),
            next: std::sync::atomic::AtomicU64::new(0),
        };
        Tasks { inner: Arc::new(inner), service: "" }
    }

    /// The same tasks, under the name of a service.
    pub(crate) fn of(&self, service: &'static str) -> Tasks {
        Tasks { inner: Arc::clone(&self.inner), service }
    }

    /// Runs work that may end. A panic or an error makes the process unready for good.
    pub fn spawn<W, F>(&self, name: impl Into<String>, work: W)
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output: Ending> + Send + 'static,
    {
        self.once(Stage::Work, name, work);
    }

    /// Runs work that must go on until the stop: when it ends unasked or panics it is restarted with growing delay, and
    /// the process is unready meanwhile.
    pub fn keep<W, F>(&self, name: impl Into<String>, work: W)
    where
        W: Fn(CancellationToken) -> F + Send + Sync + 'static,
        F: Future<Output: Ending> + Send + 'static,
    {
        self.keep_in(Stage::Work, name, work);
    }

    /// Ends when the service's background work is to end; for helpers that outlive a function but are no task.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.token(Stage::Work)
    }

    pub(crate) fn once<W, F>(&self, stage: Stage, name: impl Into<String>, work: W)
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output: Ending> + Send + 'static,
    {
        let name = self.full_name(name);
        let work = work(self.token(stage));
        let (tasks, label) = (self.clone(), name.clone());
        self.start(stage, name, async move {
            if let Some(failure) = outcome(work).await {
                tasks.fail(&label, &failure);
            }
        });
    }

    /// Runs work whose end before the stop is a failure of the process.
    pub(crate) fn vital<W, F>(&self, stage: Stage, name: impl Into<String>, work: W)
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output: Ending> + Send + 'static,
    {
        let name = self.full_name(name);
        let token = self.token(stage);
        let work = work(token.clone());
        let (tasks, label) = (self.clone(), name.clone());
        self.start(stage, name, async move {
            let failure = outcome(work).await;
            if !token.is_cancelled() {
                tasks.fail(&label, failure.as_deref().unwrap_or("ended unasked"));
            }
        });
    }

    pub(crate) fn keep_in<W, F>(&self, stage: Stage, name: impl Into<String>, work: W)
    where
        W: Fn(CancellationToken) -> F + Send + Sync + 'static,
        F: Future<Output: Ending> + Send + 'static,
    {
        let name = self.full_name(name);
        let token = self.token(stage);
        let entry = self.inner.readiness.present(format!("{name} (task)"));
        let label = name.clone();
        self.start(stage, name, async move {
            let mut delay = FIRST_DELAY;
            loop {
                let began = tokio::time::Instant::now();
                let failure = outcome(work(token.clone())).await;
                if token.is_cancelled() {
                    break;
                }
                let failure = failure.unwrap_or_else(|| "ended unasked".to_owned());
                delay = if began.elapsed() > STABLE_AFTER { FIRST_DELAY } else { delay };
                tracing::error!(
                    task.name = label,
                    error.message = failure,
                    delay_ms = delay.as_millis(),
                    "task restarts"
                );
                entry.lost(format!("{failure}; restarts"));
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = token.cancelled() => break,
                }
                delay = (delay * 2).min(LONGEST_DELAY);
                entry.done();
            }
        });
    }

    /// Tells one stage to stop and waits for its end.
    pub(crate) async fn stop(&self, stage: Stage) {
        self.token(stage).cancel();
        if let Some(tracker) = self.inner.trackers.get(&stage) {
            tracker.close();
            tracker.wait().await;
        }
    }

    /// Ends everything at once and returns the names of what still ran.
    pub(crate) fn abort(&self) -> Vec<String> {
        for token in self.inner.tokens.values() {
            token.cancel();
        }
        let running = self.running();
        running.values().for_each(|(_, _, handle)| handle.abort());
        running.values().map(|(_, name, _)| name.clone()).collect()
    }

    /// Names of what runs, for the log of a slow stop.
    pub(crate) fn names(&self, stage: Stage) -> Vec<String> {
        self.running().values().filter(|(of, _, _)| *of == stage).map(|(_, name, _)| name.clone()).collect()
    }

    pub(crate) fn token(&self, stage: Stage) -> CancellationToken {
        self.inner.tokens.get(&stage).cloned().unwrap_or_default()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, (Stage, String, AbortHandle)>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full_name(&self, name: impl Into<String>) -> String {
        let name = name.into();
        if self.service.is_empty() { name } else { format!("{}/{name}", self.service) }
    }

    fn fail(&self, name: &str, failure: &str) {
        tracing::error!(
            task.name = name,
            error.message = failure,
            "task failed, the process is broken until it is restarted"
        );
        self.inner.readiness.fail(&format!("task {name}: {failure}"));
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of spawning: named, tracked, aborted at the deadline")]
    fn start(&self, stage: Stage, name: String, work: impl Future<Output = ()> + Send + 'static) {
        let Some(tracker) = self.inner.trackers.get(&stage) else { return };
        let key = self.inner.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let span = tracing::info_span!(parent: None, "task", task.name = name, service.name = tracing::field::Empty);
        if !self.service.is_empty() {
            span.record("service.name", self.service);
        }
        let leaving = Leaving { tasks: self.clone(), key };
        let mut running = self.running();
        let handle = tokio::spawn(
            tracker.track_future(
                async move {
                    let _leaving = leaving;
                    work.await;
                }
                .instrument(span),
            ),
        );
        running.insert(key, (stage, name, handle.abort_handle()));
    }
}

/// Takes a task off the list when it ends, however it ends.
struct Leaving {
    tasks: Tasks,
    key: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.tasks.running().remove(&self.key);
    }
}

/// Runs work to its end; a panic becomes text.
async fn outcome<F: Future<Output: Ending>>(work: F) -> Option<String> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(ending) => ending.failure(),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text =
                text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned());
            Some(format!("panicked: {text}"))
        }
    }
}

#[cfg(test)]
mod tests;
