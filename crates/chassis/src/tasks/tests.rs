//! What becomes of tasks that end, fail, panic or do not stop. Time is paused.
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn ready_process() -> (Readiness, Tasks) {
    let readiness = Readiness::default();
    drop(readiness.awaiting("start"));
    assert!(readiness.state().is_ready());
    (readiness.clone(), Tasks::new(readiness))
}

async fn until(readiness: &Readiness, holds: impl FnMut(&crate::readiness::State) -> bool) {
    let mut watch = readiness.watch();
    tokio::time::timeout(Duration::from_secs(300), watch.wait_for(holds)).await.expect("in time").expect("open");
}

#[tokio::test(start_paused = true)]
async fn a_kept_task_that_panics_is_restarted_and_the_process_is_unready_meanwhile() {
    let (readiness, tasks) = ready_process();
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    tasks.of("document").keep("loop", move |shutdown| {
        let run = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(run > 0, "first run breaks");
            shutdown.cancelled().await;
        }
    });
    until(&readiness, |state| !state.is_ready()).await;
    let awaited = readiness.state().awaited;
    assert!(awaited["document/loop (task)"].contains("first run breaks"), "{awaited:?}");
    until(&readiness, crate::readiness::State::is_ready).await;
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    tasks.stop(Stage::Work).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_well_once_changes_nothing_and_one_that_fails_breaks_the_process() {
    let (readiness, tasks) = ready_process();
    tasks.spawn("fine", |_| async {});
    tasks.stop(Stage::Edge).await;
    assert!(readiness.state().is_ready());
    tasks.spawn("load", |_| async { Err::<(), _>("no such index") });
    until(&readiness, |state| state.failed.is_some()).await;
    assert_eq!(readiness.state().failed.as_deref(), Some("task load: no such index"));
}

#[tokio::test(start_paused = true)]
async fn a_vital_task_may_end_when_asked_and_not_before() {
    let (readiness, tasks) = ready_process();
    tasks.vital(Stage::Rpc, "server", |shutdown| async move { shutdown.cancelled().await });
    tasks.stop(Stage::Rpc).await;
    assert_eq!(readiness.state().failed, None);
    tasks.vital(Stage::Relay, "relay", |_| async {});
    until(&readiness, |state| state.failed.is_some()).await;
    assert_eq!(readiness.state().failed.as_deref(), Some("task relay: ended unasked"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_stop_is_named_and_aborted() {
    let (_, tasks) = ready_process();
    tasks.spawn("stubborn", |_| std::future::pending::<()>());
    assert!(tokio::time::timeout(Duration::from_secs(1), tasks.stop(Stage::Work)).await.is_err());
    assert_eq!(tasks.names(Stage::Work), ["stubborn"]);
    assert_eq!(tasks.abort(), ["stubborn"]);
    tokio::time::timeout(Duration::from_secs(1), tasks.stop(Stage::Work)).await.expect("aborted");
    assert_eq!(tasks.names(Stage::Work), Vec::<String>::new());
}
