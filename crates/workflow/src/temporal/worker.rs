//! The worker: polls Temporal for steps of runs and performs them.
//!
//! What must hold: when Temporal is away the service is not ready and heals by itself; a stop finishes what was begun; a kill
//! drops it where it stands, so that Temporal gives it to the next worker. Runs live on a thread of their own, because the SDK's
//! workflows cannot move between threads.
use std::{pin::pin, sync::Arc, time::Duration};

use chassis::Awaited;
use temporalio_client::Client;
use temporalio_common::worker::WorkerDeploymentOptions;
use temporalio_sdk::{Runtime, Worker, WorkerOptions, runtime::RuntimeOptions};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{Engine, Trouble, steps::Performer};
use crate::{flow::Approval, service::Runs};

/// Time between two looks at Temporal.
const LOOK: Duration = Duration::from_secs(2);
/// Time between two tries to connect.
const RETRY: Duration = Duration::from_millis(500);
/// How long a run waits for the worker that knows it, before any other may take it.
const STICKY: Duration = Duration::from_secs(5);
/// Steps get this long to end by themselves in a stop.
const GRACE: Duration = Duration::from_secs(10);

/// Works until the stop, and says in `awaited` whether Temporal is there.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    runs: Arc<Runs>,
    awaited: Arc<Awaited>,
    shutdown: CancellationToken,
) -> Result<(), Trouble> {
    let Some(client) = connected(&engine, &awaited, &shutdown).await else { return Ok(()) };
    let options = options(&engine, runs).map_err(Trouble::Away)?;
    // Dropping the sender, as an abort of this task does, kills the worker.
    let (alive, killed) = oneshot::channel::<()>();
    let handle = Handle::current();
    let stop = shutdown.clone();
    let work = tokio::task::spawn_blocking(move || handle.block_on(work(client, options, stop, killed)));
    let ended = tokio::select! {
        ended = work => ended,
        () = watch(&engine, &awaited) => return Ok(()),
    };
    drop(alive);
    ended.map_err(|error| Trouble::Away(error.to_string()))?
}

/// Waits for the first connection; `None` when the stop comes first.
async fn connected(engine: &Engine, awaited: &Awaited, shutdown: &CancellationToken) -> Option<Client> {
    loop {
        match engine.client().await {
            Ok(client) => {
                awaited.done();
                return Some(client.clone());
            }
            Err(trouble) => awaited.lost(trouble.to_string()),
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Looks again and again whether Temporal is there. The worker itself polls on through an outage.
async fn watch(engine: &Engine, awaited: &Awaited) {
    loop {
        match engine.probe().await {
            Ok(()) => awaited.done(),
            Err(trouble) => awaited.lost(trouble.to_string()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn options(engine: &Engine, runs: Arc<Runs>) -> Result<WorkerOptions, String> {
    let options = WorkerOptions::new(engine.settings.task_queue.clone())
        .register_activities(Performer::new(runs))
        .register_workflow::<Approval>()
        .map_err(|error| error.to_string())?
        .deployment_options(WorkerDeploymentOptions::from_build_id(env!("CARGO_PKG_VERSION").to_owned()))
        .sticky_queue_schedule_to_start_timeout(STICKY)
        .graceful_shutdown_period(GRACE)
        .build();
    Ok(options)
}

async fn work(
    client: Client,
    options: WorkerOptions,
    shutdown: CancellationToken,
    mut killed: oneshot::Receiver<()>,
) -> Result<(), Trouble> {
    let broken = |error: &dyn std::fmt::Display| Trouble::Away(error.to_string());
    let runtime = Runtime::from_current_tokio(RuntimeOptions::default()).map_err(|error| broken(&error))?;
    let mut worker = Worker::new(&runtime, client, options).map_err(|error| broken(&error))?;
    let stop = worker.shutdown_handle();
    let mut running = pin!(worker.run());
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut killed => {
                // It must not poll for what nobody will do.
                stop();
                return Ok(());
            }
            ended = &mut running => return ended.map_err(|error| broken(&error)),
            () = shutdown.cancelled(), if !stopping => {
                stopping = true;
                stop();
            }
        }
    }
}
