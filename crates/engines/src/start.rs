//! The whole set: found, started side by side, published, watched, stopped.

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::address::Addresses;
use crate::child::Guarded;
use crate::engine::{Engine, Progress, Step};
use crate::error::{Doing, EngineError};
use crate::found::{Program, program};
use crate::place::{Place, Places};
use crate::port::{Handed, free};
use crate::postgres::{self, Ask};
use crate::secrets::Secrets;
use crate::settings::{Mode, Settings};
use crate::supervise::{Outages, Plan, Reports, Supervisor, launch};
use crate::{nats, temporal, valkey};

/// How often an engine is started on another port when it lost the race for one.
const TRIES: usize = 5;
/// How long the engines of a killed `up` may take to stop.
const PREVIOUS: Duration = Duration::from_secs(45);

/// Running engines. `stop` ends them in order; dropping it ends them, too, a moment later.
pub struct Engines {
    addresses: Addresses,
    supervisors: Vec<Supervisor>,
    outages: watch::Receiver<Outages>,
    failed: watch::Receiver<Option<Arc<EngineError>>>,
    _places: Places,
}

impl Engines {
    /// Starts every engine that has no URL, side by side, and returns when each has answered in its own protocol.
    /// Must be called inside a tokio runtime that lives as long as the engines are needed. On an error nothing is
    /// left running.
    pub async fn start(
        settings: Settings,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Engines, EngineError> {
        let account = Account::choose(settings.account.as_deref())?;
        let local: Vec<Engine> = Engine::ALL.into_iter().filter(|engine| settings.url(*engine).is_none()).collect();
        let programs = local.iter().map(|engine| Ok((*engine, program(*engine, &settings)?)));
        let programs: Vec<(Engine, Program)> = programs.collect::<Result<_, EngineError>>()?;
        let places = Places::open(&settings, account)?;
        let secrets = secrets(&settings, &places, account)?;
        let began = Instant::now();
        let (handed, failed) = (Handed::default(), CancellationToken::new());
        let set =
            Set { settings: &settings, account, places: &places, secrets, handed, failed, began, progress: &progress };
        for engine in Engine::ALL.into_iter().filter(|engine| settings.url(*engine).is_some()) {
            set.tell(engine, Step::External);
        }
        let started = set.start_all(programs).await?;
        let addresses = Addresses::of(&settings, &places, &set.secrets, &started);
        places.publish(&addresses)?;
        let (outages, outages_seen) = watch::channel(Outages::new());
        let (failed, failed_seen) = watch::channel(None);
        let reports = Reports { outages, failed };
        let watch =
            |started: Started| Supervisor::start(started.plan, started.guarded, settings.patience, reports.clone());
        let supervisors = started.into_iter().map(watch).collect();
        Ok(Engines { addresses, supervisors, outages: outages_seen, failed: failed_seen, _places: places })
    }

    /// Where the engines are, with passwords.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The engines that are away at the moment, with the reason; changes are signalled.
    pub fn outages(&self) -> watch::Receiver<Outages> {
        self.outages.clone()
    }

    /// Resolves when an engine ended so often that it is not restarted any more.
    pub fn failed(&self) -> impl Future<Output = Arc<EngineError>> + Send + 'static {
        let mut failed = self.failed.clone();
        async move {
            loop {
                if let Some(error) = failed.borrow_and_update().clone() {
                    return error;
                }
                if failed.changed().await.is_err() {
                    // All engines were stopped: from then on none can fail.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Stops every engine in order, side by side, and returns when all have ended.
    pub async fn stop(mut self) {
        let supervisors = std::mem::take(&mut self.supervisors);
        for supervisor in &supervisors {
            supervisor.ask_to_stop();
        }
        for supervisor in supervisors {
            supervisor.stopped().await;
        }
    }
}

/// An engine that has answered.
pub(crate) struct Started {
    pub(crate) plan: Plan,
    pub(crate) pages: Option<u16>,
    guarded: Guarded,
}

/// What the engines of one start have in common.
struct Set<'a> {
    settings: &'a Settings,
    account: Option<Account>,
    places: &'a Places,
    secrets: Secrets,
    handed: Handed,
    /// The first failure stops the others' starting.
    failed: CancellationToken,
    began: Instant,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Set<'_> {
    fn tell(&self, engine: Engine, step: Step) {
        (self.progress)(Progress { engine, step, elapsed: self.began.elapsed() });
    }

    /// All or none: after a failure those that run are stopped before it is returned.
    async fn start_all(&self, programs: Vec<(Engine, Program)>) -> Result<Vec<Started>, EngineError> {
        let one = async |(engine, program)| {
            let started = self.start(engine, program).await;
            if started.is_err() {
                self.failed.cancel();
            }
            started
        };
        let (mut running, mut errors) = (Vec::new(), Vec::new());
        for started in join_all(programs.into_iter().map(one)).await {
            match started {
                Ok(started) => running.push(started),
                Err(error) => errors.push(error),
            }
        }
        let cause = errors.iter().position(|error| !matches!(error, EngineError::Interrupted { .. }));
        if errors.is_empty() {
            return Ok(running);
        }
        join_all(running.into_iter().map(|started| started.guarded.stop())).await;
        Err(errors.swap_remove(cause.unwrap_or(0)))
    }

    async fn start(&self, engine: Engine, program: Program) -> Result<Started, EngineError> {
        let place = self.places.of(engine)?;
        self.wait_for_previous(engine, &place.lock).await?;
        let mut last = None;
        for _ in 0..TRIES {
            let port = self.handed.take(self.preferred(engine))?;
            let pages = match (engine, self.settings.mode) {
                (Engine::Temporal, Mode::Up) => Some(self.handed.take(Some(self.settings.ports.temporal_ui))?),
                _ => None,
            };
            let plan = self.plan(engine, &place, program.clone(), port, pages).await?;
            self.tell(engine, Step::Starting { port });
            match launch(&plan, self.settings.patience, &self.failed).await {
                Ok(guarded) => {
                    self.tell(engine, Step::Ready { port, version: plan.version.clone() });
                    return Ok(Started { plan, pages, guarded });
                }
                // It ended, and now somebody else has its port: another try on another one.
                Err(error @ EngineError::Died { .. }) if !free(port) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.expect("at least one try was made"))
    }

    fn preferred(&self, engine: Engine) -> Option<u16> {
        let ports = &self.settings.ports;
        (self.settings.mode == Mode::Up).then_some(match engine {
            Engine::Postgres => ports.postgres,
            Engine::Valkey => ports.redis,
            Engine::Nats => ports.nats,
            Engine::Temporal => ports.temporal,
        })
    }

    async fn plan(
        &self,
        engine: Engine,
        place: &Place,
        program: Program,
        port: u16,
        pages: Option<u16>,
    ) -> Result<Plan, EngineError> {
        let mode = self.settings.mode;
        match engine {
            Engine::Postgres => {
                let tell = |step| self.tell(engine, step);
                let password = &self.secrets.postgres;
                let root = self.places.root();
                let ask = Ask { mode, root, account: self.account, port, password, tell: &tell };
                postgres::plan(&ask, place, program).await
            }
            Engine::Valkey => valkey::plan(mode, place, program, port, &self.secrets.valkey),
            Engine::Nats => nats::plan(self.settings, place, program, port, &self.secrets.nats),
            Engine::Temporal => temporal::plan(mode, place, program, port, pages),
        }
    }

    /// After a `kill -9` of `up` its guards still stop the engines: they hold their locks until that is done.
    async fn wait_for_previous(&self, engine: Engine, lock: &Path) -> Result<(), EngineError> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let file = File::create(lock).doing(|| format!("open {}", lock.display()))?;
            if file.try_lock().is_ok() {
                return Ok(());
            }
            if began.elapsed() > PREVIOUS {
                return Err(EngineError::Occupied { engine, seconds: PREVIOUS.as_secs(), lock: lock.to_owned() });
            }
            if !std::mem::replace(&mut told, true) {
                self.tell(engine, Step::WaitingForPrevious);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The passwords of this set; refused when they are gone and the data are still there.
fn secrets(settings: &Settings, places: &Places, account: Option<Account>) -> Result<Secrets, EngineError> {
    let wanted = places.of(Engine::Postgres)?.data;
    let ask = Ask { mode: settings.mode, root: places.root(), account, port: 0, password: "", tell: &|_| {} };
    Secrets::load(&places.secrets(), &postgres::data_folder(&wanted, &ask)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be_spawned(_: impl Future + Send + 'static) {}

    #[test]
    fn a_start_may_be_spawned_on_any_runtime() {
        may_be_spawned(Engines::start(Settings::default(), |_| {}));
    }
}
