//! One engine over its life: ready, perhaps dead and restarted on the same port, in the end stopped.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::child::Guarded;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::guard::Order;
use crate::probe::Probe;

/// So many ends within `WINDOW` are too many.
const ENDS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Delay before the first restart; it doubles with every further one in the window.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(5);
/// Time between two questions of a starting engine.
const BETWEEN: Duration = Duration::from_millis(20);

/// Engines that are away at the moment, and why.
pub(crate) type Outages = BTreeMap<Engine, String>;

/// Everything to start an engine, as often as needed.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) engine: Engine,
    pub(crate) version: String,
    pub(crate) port: u16,
    pub(crate) order: Order,
    pub(crate) probe: Probe,
}

/// Where a supervisor reports.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(crate) outages: watch::Sender<Outages>,
    pub(crate) failed: watch::Sender<Option<Arc<EngineError>>>,
}

/// The whole environment of an engine: nothing of ours, in which secrets could be.
pub(crate) fn environment(home: &Path) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        pair("PATH", "/usr/local/bin:/usr/bin:/bin"),
        pair("HOME", &home.display().to_string()),
        pair("LC_ALL", "C.UTF-8"),
        pair("TZ", "UTC"),
    ]
}

/// Starts the engine and waits until it answers. Asked to stop meanwhile, it waits for the engine's end.
pub(crate) async fn launch(plan: &Plan, patience: Duration, stop: &CancellationToken) -> Result<Guarded, EngineError> {
    let mut guarded = Guarded::start(plan.engine, &plan.order).await?;
    let began = Instant::now();
    let mut last;
    loop {
        let asked = tokio::select! {
            status = guarded.wait() => return Err(guarded.died(plan.engine, status).await),
            asked = plan.probe.ask(plan.port) => asked,
            () = stop.cancelled() => {
                guarded.stop().await;
                return Err(EngineError::Interrupted { engine: plan.engine });
            }
        };
        match asked {
            Ok(()) => return Ok(guarded),
            Err(answer) => last = answer,
        }
        if began.elapsed() > patience {
            break;
        }
        sleep(BETWEEN).await;
    }
    let tail = guarded.tail();
    guarded.stop().await;
    let log = plan.order.log.clone();
    Err(EngineError::Silent { engine: plan.engine, seconds: patience.as_secs(), last, log, tail })
}

/// The task that keeps one engine alive. Dropping it lets go of the engine, which then stops by itself.
pub(crate) struct Supervisor {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub(crate) fn start(plan: Plan, guarded: Guarded, patience: Duration, reports: Reports) -> Supervisor {
        let stop = CancellationToken::new();
        let watched = Watched { plan, patience, reports, stop: stop.clone(), ends: VecDeque::new() };
        #[expect(clippy::disallowed_methods, reason = "engines stand below chassis; aborted on drop")]
        let task = tokio::spawn(watched.run(guarded));
        Supervisor { stop, task }
    }

    /// Asks for the stop; `stopped` waits for it.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the engine has stopped.
    pub(crate) async fn stopped(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Watched {
    plan: Plan,
    patience: Duration,
    reports: Reports,
    stop: CancellationToken,
    ends: VecDeque<Instant>,
}

impl Watched {
    async fn run(mut self, first: Guarded) {
        let mut guarded = first;
        loop {
            let status = tokio::select! {
                status = guarded.wait() => status,
                () = self.stop.cancelled() => return guarded.stop().await,
            };
            let tail = guarded.tail();
            drop(guarded);
            match self.restart(status, tail).await {
                Some(next) => guarded = next,
                None => return,
            }
        }
    }

    /// Until it runs again; `None` when it was stopped meanwhile or is given up.
    async fn restart(&mut self, mut status: String, mut tail: String) -> Option<Guarded> {
        let Plan { engine, port, .. } = self.plan;
        loop {
            let delay = self.note_end()?;
            tracing::error!(
                engine = engine.name(), port, status, log = %self.plan.order.log.display(),
                "{engine} ended unasked ({status}) and is restarted on its port; its last lines:\n{tail}"
            );
            self.reports.outages.send_modify(|outages| {
                outages.insert(engine, format!("ended unasked ({status}), restarting"));
            });
            tokio::select! {
                () = sleep(delay) => {}
                () = self.stop.cancelled() => return None,
            }
            match launch(&self.plan, self.patience, &self.stop).await {
                Ok(guarded) => {
                    tracing::info!(engine = engine.name(), port, "{engine} is back");
                    self.reports.outages.send_modify(|outages| {
                        outages.remove(&engine);
                    });
                    return Some(guarded);
                }
                Err(EngineError::Interrupted { .. }) => return None,
                Err(error) => (status, tail) = (error.to_string(), String::new()),
            }
        }
    }

    /// Counts an end; the delay before the next try, or none when these are too many.
    fn note_end(&mut self) -> Option<Duration> {
        let now = Instant::now();
        self.ends.retain(|end| now.duration_since(*end) < WINDOW);
        self.ends.push_back(now);
        let count = self.ends.len();
        if count >= ENDS {
            let engine = self.plan.engine;
            let error = EngineError::Unstable { engine, count, log: self.plan.order.log.clone() };
            tracing::error!(engine = engine.name(), "{error}");
            self.reports.outages.send_modify(|outages| {
                outages.insert(engine, error.to_string());
            });
            self.reports.failed.send_replace(Some(Arc::new(error)));
            return None;
        }
        let doubled = FIRST_DELAY * 2_u32.pow(u32::try_from(count - 1).unwrap_or(0).min(10));
        Some(doubled.min(LAST_DELAY))
    }
}
