//! One service as this process sees it: its endpoints, their choice and supervision, and the limits of what is sent there.
//!
//! Work on the side (questions to DNS, health checks) belongs to the upstream and ends with it. Everything else happens when
//! a call is made: windows end, ejections run out.
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::Error;
use tokio::{task::JoinSet, time::Instant};

use super::{
    balance,
    circuit::Circuit,
    connection::{Address, Target},
    discovery::{Names, Resolve, Step},
    endpoint::Endpoint,
    fault::{Failure, Outcome, Reach},
    health::{self, Watch},
    outlier::{self, Cause},
    retry::Budget,
};
use crate::{identity::Trust, observe, settings::Settings, tls};

/// Time without calls after which health checks rest.
const NO_TRAFFIC: Duration = Duration::from_secs(60);

pub(super) struct Upstream {
    service: String,
    pub(super) settings: Arc<Settings>,
    pub(super) circuit: Circuit,
    pub(super) budget: Budget,
    supervision: Supervision,
    endpoints: RwLock<Arc<[Arc<Endpoint>]>>,
    found: Option<Found>,
    window_ends: Mutex<Option<Instant>>,
    watch: Mutex<Watch>,
    tasks: Mutex<JoinSet<()>>,
    panics: AtomicU64,
    stale: Arc<AtomicBool>,
    plain: bool,
}

/// What is ours to do: a sidecar does both itself, and a pipe has no health of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Supervision {
    pub(super) ejects: bool,
    pub(super) checks: bool,
}

/// Endpoints that come from names.
struct Found {
    names: Arc<Names>,
    way: Way,
}

/// How the endpoints behind names are reached.
#[derive(Clone)]
pub(super) enum Way {
    /// Over mutual TLS, as a workload of the platform.
    Tls(tls::Reloading, Trust),
    /// Without TLS: an upstream that is none of the platform's services.
    Plain,
}

impl Way {
    fn to(&self, socket: SocketAddr) -> Address {
        match self {
            Self::Tls(identity, trust) => Address::Tls(socket, identity.clone(), trust.clone()),
            Self::Plain => Address::Plain(socket),
        }
    }
}

impl Upstream {
    /// Endpoints that never change.
    pub(super) fn fixed(
        service: &str,
        settings: &Arc<Settings>,
        supervision: Supervision,
        addresses: impl IntoIterator<Item = Address>,
    ) -> Arc<Self> {
        let upstream = Self::empty(service, settings, supervision);
        let endpoints = addresses.into_iter().map(|address| upstream.endpoint(address)).collect();
        Arc::new(Self { endpoints: RwLock::new(endpoints), ..upstream })
    }

    /// Endpoints behind names. Names that are addresses already are never asked for.
    pub(super) fn named(service: &str, settings: &Arc<Settings>, resolver: Arc<dyn Resolve>, way: Way) -> Arc<Self> {
        let supervision = Supervision { ejects: true, checks: !settings.health_check.interval.get().is_zero() };
        let (names, plain) = (settings.addresses_of(service), matches!(way, Way::Plain));
        let sockets: Result<Vec<SocketAddr>, _> = names.iter().map(|name| name.parse()).collect();
        let upstream = Self { plain, ..Self::empty(service, settings, supervision) };
        if let Ok(mut sockets) = sockets {
            sockets.sort_unstable();
            sockets.dedup();
            let endpoints = sockets.into_iter().map(|socket| upstream.endpoint(way.to(socket))).collect();
            return Arc::new(Self { endpoints: RwLock::new(endpoints), ..upstream });
        }
        let names = Names::new(service, names, resolver, &settings.discovery, Arc::clone(&upstream.stale));
        Arc::new(Self { found: Some(Found { names: Arc::new(names), way }), ..upstream })
    }

    fn empty(service: &str, settings: &Arc<Settings>, supervision: Supervision) -> Self {
        Self {
            service: service.to_owned(),
            settings: Arc::clone(settings),
            circuit: Circuit::new(service, &settings.circuit_breaker),
            budget: Budget::full(),
            supervision,
            endpoints: RwLock::new(Arc::new([])),
            found: None,
            window_ends: Mutex::default(),
            watch: Mutex::default(),
            tasks: Mutex::default(),
            panics: AtomicU64::new(0),
            stale: Arc::default(),
            plain: false,
        }
    }

    fn endpoint(&self, address: Address) -> Arc<Endpoint> {
        let (service, timeout) = (self.service.clone(), self.settings.discovery.connect_timeout.get());
        let target = Target { service, address, timeout, stale: Arc::clone(&self.stale) };
        Endpoint::new(target, self.settings.balancing.decay.get())
    }

    /// It is none of the platform's services, and reached without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// The endpoint for one try.
    pub(super) async fn pick(self: &Arc<Self>, tried: &[Arc<Endpoint>]) -> Result<Arc<Endpoint>, Failure> {
        self.discover().await;
        let (all, now) = (self.endpoints(), Instant::now());
        if self.supervision.ejects {
            self.end_window(&all, now);
        }
        if self.supervision.checks {
            self.keep_checking(now);
        }
        let choice = balance::choose(&all, tried, self.settings.balancing.panic_threshold, now);
        let Some(choice) = choice else {
            let error = Error::unavailable(format_args!("the {} service", self.service));
            return Err(Failure { reach: Reach::Unsent, error });
        };
        if choice.panic {
            self.panics.fetch_add(1, Ordering::Relaxed);
            observe::panicked(&self.service);
        }
        Ok(choice.endpoint)
    }

    /// Takes in how a call at an endpoint ended.
    pub(super) fn ended(&self, endpoint: &Arc<Endpoint>, outcome: Outcome) {
        let now = Instant::now();
        let failures = endpoint.ended(outcome, now);
        let limit = self.settings.outlier_detection.consecutive_failures;
        if self.supervision.ejects && outcome == Outcome::Failed && limit > 0 && failures >= limit {
            // One at a time, so that together they do not eject more than is allowed.
            let _one = self.window_ends.lock().unwrap_or_else(PoisonError::into_inner);
            self.eject(&self.endpoints(), endpoint, Cause::ConsecutiveFailures, now);
        }
    }

    fn end_window(&self, all: &[Arc<Endpoint>], now: Instant) {
        outlier::readmit(all, now);
        let mut ends = self.window_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = self.settings.outlier_detection.interval.get();
        if now < *ends.get_or_insert(now + interval) {
            return;
        }
        *ends = Some(now + interval);
        for (endpoint, cause) in outlier::judge(&self.settings.outlier_detection, all, now) {
            self.eject(all, &endpoint, cause, now);
        }
        self.show();
    }

    fn eject(&self, all: &[Arc<Endpoint>], endpoint: &Endpoint, cause: Cause, now: Instant) {
        let Some(time) = outlier::eject(&self.settings.outlier_detection, all, endpoint, now) else { return };
        observe::ejected(&self.service, cause.name());
        let (service, address, seconds) = (&self.service, endpoint.connection().address(), time.as_secs());
        tracing::warn!(target: "mesh", service, address = %address, cause = cause.name(), seconds, "endpoint ejected");
        self.show();
    }

    /// Asks DNS when it is time. Who has no endpoint at all waits for the answer; the others go on with what is known.
    async fn discover(self: &Arc<Self>) {
        let Some(found) = &self.found else { return };
        let answer = match found.names.step(Instant::now()) {
            Step::Fresh => return,
            Step::Asked(answer) => answer,
            Step::Ask(told, answer) => {
                let (names, upstream) = (Arc::clone(&found.names), Arc::downgrade(self));
                self.on_the_side(async move {
                    let sockets = names.lookup().await;
                    if let (Some(sockets), Some(upstream)) = (sockets, upstream.upgrade()) {
                        upstream.replace(sockets);
                        names.answered(Instant::now());
                    }
                    drop(told);
                });
                answer
            }
        };
        if self.endpoints().is_empty() {
            let mut answer = answer;
            // It ends with an error: nothing is ever sent, the sender only goes.
            let _ = answer.changed().await;
        }
    }

    /// Takes new addresses; endpoints that stay keep what is known of them, and those that go finish what they carry.
    fn replace(&self, sockets: Vec<SocketAddr>) {
        let Some(found) = &self.found else { return };
        let old = self.endpoints();
        let known = |socket: &SocketAddr| {
            let at = |address: &Address| matches!(address, Address::Tls(at, ..) | Address::Plain(at) if at == socket);
            old.iter().find(|endpoint| at(endpoint.connection().address()))
        };
        let new = sockets.iter().map(|socket| match known(socket) {
            Some(endpoint) => Arc::clone(endpoint),
            None => self.endpoint(found.way.to(*socket)),
        });
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = new.collect();
        self.show();
    }

    fn keep_checking(self: &Arc<Self>, now: Instant) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.used = Some(now);
        if !std::mem::replace(&mut watch.runs, true) {
            drop(watch);
            self.on_the_side(health::keep(Arc::downgrade(self), self.settings.health_check.clone()));
        }
    }

    /// What the checks are to ask; `None` when they rest because nobody calls.
    pub(super) fn to_be_checked(&self) -> Option<(String, Arc<[Arc<Endpoint>]>)> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.runs = watch.used.is_some_and(|used| used.elapsed() < NO_TRAFFIC);
        watch.runs.then(|| (self.service.clone(), self.endpoints()))
    }

    fn on_the_side(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    /// All endpoints as they are now.
    pub(super) fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Age of the answer of DNS; `None` for endpoints that never change.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.found.as_ref().and_then(|found| found.names.age(now))
    }

    /// Endpoints come from DNS.
    pub(super) fn is_named(&self) -> bool {
        self.found.is_some()
    }

    /// Calls that were sent to an endpoint that was not good, because too few were.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Writes the numbers of endpoints to the metrics.
    pub(super) fn show(&self) {
        let (all, now) = (self.endpoints(), Instant::now());
        let count = |fits: fn(&super::endpoint::Known, Instant) -> bool| {
            all.iter().filter(|endpoint| fits(&endpoint.known(), now)).count()
        };
        let (good, ejected) = (count(|known, now| known.is_good(now)), count(|known, now| known.is_ejected(now)));
        observe::endpoints(&self.service, [("total", all.len()), ("good", good), ("ejected", ejected)]);
    }
}
