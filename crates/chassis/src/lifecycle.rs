//! The end of a process: signals, and the order in which everything stops.
//!
//! Not ready first, so that nobody sends new calls; then stage by stage (`Stage`): edge, consumers, RPC, background work,
//! relay, platform. Each stage may still need the ones after it. One deadline stands over all of it; what is still running
//! then is aborted and named. A second signal ends the process at once.
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::{
    readiness::Readiness,
    tasks::{Stage, Tasks},
};

/// Exit code of an orderly end.
pub(crate) const EXIT_OK: u8 = 0;
/// Exit code when something of ours broke (`EX_SOFTWARE`).
pub(crate) const EXIT_FAILED: u8 = 70;
/// Exit code of a wrong configuration (`EX_CONFIG`).
pub(crate) const EXIT_CONFIG: u8 = 78;

/// The sixteenths of the drain time that have passed when a stage is cut: a slow one must leave time to those after it.
const fn sixteenths(stage: Stage) -> u32 {
    match stage {
        Stage::Edge => 8,
        Stage::Consume => 10,
        Stage::Rpc => 14,
        Stage::Work => 15,
        Stage::Relay | Stage::Platform => 16,
    }
}

/// SIGTERM and SIGINT. While it lives, neither ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The runtime has no signal driver.
    pub fn take() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for one more and ends the process on the spot: the operator has lost patience.
    pub async fn end_on_next(&mut self) {
        let name = self.next().await;
        tracing::warn!(signal = name, "second signal, ending at once");
        #[expect(clippy::disallowed_methods, reason = "the second signal asks for exactly this: no drain")]
        std::process::exit(i32::from(EXIT_FAILED));
    }
}

/// Stops everything in order. Returns the names of tasks that had to be aborted.
pub(crate) async fn drain(readiness: &Readiness, tasks: &Tasks, limit: Duration) -> Vec<String> {
    let began = Instant::now();
    readiness.drain();
    tracing::info!(limit_ms = limit.as_millis(), "draining");
    for stage in Stage::ORDER {
        let deadline = began + limit * sixteenths(stage) / 16;
        if tokio::time::timeout_at(deadline, tasks.stop(stage)).await.is_err() {
            tracing::warn!(stage = ?stage, tasks = tasks.names(stage).join(", "), "drain deadline passed, cutting what still runs");
        }
    }
    let aborted = tasks.abort();
    tracing::info!(elapsed_ms = began.elapsed().as_millis(), aborted = aborted.len(), "drained");
    aborted
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stages_end_one_after_the_other_and_the_process_is_unready_before() {
        let readiness = Readiness::default();
        let tasks = Tasks::new(readiness.clone());
        let ended = Arc::new(Mutex::new(Vec::new()));
        for stage in Stage::ORDER.into_iter().rev() {
            let (ended, readiness) = (Arc::clone(&ended), readiness.clone());
            tasks.vital(stage, format!("{stage:?}"), move |shutdown| async move {
                shutdown.cancelled().await;
                assert!(readiness.state().draining, "unready comes first");
                tokio::time::sleep(Duration::from_secs(1)).await;
                ended.lock().expect("not poisoned").push(stage);
            });
        }
        assert_eq!(drain(&readiness, &tasks, Duration::from_secs(40)).await, Vec::<String>::new());
        assert_eq!(*ended.lock().expect("not poisoned"), Stage::ORDER);
        assert_eq!(readiness.state().failed, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_cuts_what_hangs_and_still_lets_the_relay_finish() {
        let readiness = Readiness::default();
        let tasks = Tasks::new(readiness.clone());
        tasks.vital(Stage::Rpc, "hanging handler", |_| std::future::pending::<()>());
        let sent = Arc::new(Mutex::new(false));
        let relay = Arc::clone(&sent);
        tasks.vital(Stage::Relay, "relay", move |shutdown| async move {
            shutdown.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            *relay.lock().expect("not poisoned") = true;
        });
        let began = Instant::now();
        assert_eq!(drain(&readiness, &tasks, Duration::from_secs(10)).await, ["hanging handler"]);
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(*sent.lock().expect("not poisoned"));
    }
}
