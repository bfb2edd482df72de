//! Where the endpoints of a service are: fixed from the start, or behind names that are resolved again and again.
//!
//! DNS is asked on the side while calls are made: one question at a time, not more often than the settings allow, sooner when a
//! connection ended. What is known stays in force while DNS is away: addresses rarely change in that moment.
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use tokio::{sync::watch, time::Instant};

/// Endpoints of one service at most; more would not make it more reliable.
const ENDPOINTS_MAX: usize = 256;
/// Time that DNS has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers of DNS.
pub(super) trait Resolve: Send + Sync {
    /// All addresses of `host:port`.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The resolver of the operating system.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) })
    }
}

/// Names and when they were resolved.
pub(super) struct Names {
    service: String,
    names: Vec<String>,
    resolver: Arc<dyn Resolve>,
    every: Duration,
    at_most: Duration,
    /// A connection ended since the last answer.
    stale: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last answer for each name that ever had one.
    known: HashMap<String, Vec<SocketAddr>>,
    asked: Option<Instant>,
    answered: Option<Instant>,
    running: Option<watch::Receiver<()>>,
}

/// What is to be done before the endpoints are used.
pub(super) enum Step {
    /// They count.
    Fresh,
    /// Somebody asks; the receiver ends with the answer.
    Asked(watch::Receiver<()>),
    /// The caller is to ask: to run [`Names::lookup`] on the side, and drop the sender after its answer is in force.
    Ask(watch::Sender<()>, watch::Receiver<()>),
}

impl Names {
    pub(super) fn new(
        service: &str,
        names: Vec<String>,
        resolver: Arc<dyn Resolve>,
        settings: &crate::settings::Discovery,
        stale: Arc<AtomicBool>,
    ) -> Self {
        let (every, at_most) = (settings.dns_refresh_rate.get(), settings.dns_min_refresh_rate.get());
        let (service, state) = (service.to_owned(), Mutex::default());
        Self { service, names, resolver, every, at_most, stale, state }
    }

    /// Whether it is time to ask.
    pub(super) fn step(&self, now: Instant) -> Step {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A sender that is gone has answered, or was given up.
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Step::Asked(running.clone());
        }
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let is_due = since(state.answered).is_none_or(|age| age >= self.every) || self.stale.load(Ordering::Relaxed);
        if !is_due || since(state.asked).is_some_and(|age| age < self.at_most) {
            return Step::Fresh;
        }
        let (sender, receiver) = watch::channel(());
        (state.asked, state.running) = (Some(now), Some(receiver.clone()));
        self.stale.store(false, Ordering::Relaxed);
        Step::Ask(sender, receiver)
    }

    /// Asks for all names; `None` when no address came. A name that does not resolve now keeps its last answer.
    pub(super) async fn lookup(&self) -> Option<Vec<SocketAddr>> {
        let answers = join_all(self.names.iter().map(|name| self.one(name))).await;
        if answers.iter().all(Option::is_none) {
            return None;
        }
        let mut found: Vec<_> = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let answered = self.names.iter().zip(answers).filter_map(|(name, answer)| Some((name.clone(), answer?)));
            state.known.extend(answered);
            state.known.values().flatten().copied().collect()
        };
        found.sort_unstable();
        found.dedup();
        if found.len() > ENDPOINTS_MAX {
            let (service, count) = (&self.service, found.len());
            tracing::warn!(target: "mesh", service, count, used = ENDPOINTS_MAX, "more endpoints than are used");
            found.truncate(ENDPOINTS_MAX);
        }
        (!found.is_empty()).then_some(found)
    }

    /// Notes that the answer is in force.
    pub(super) fn answered(&self, now: Instant) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answered = Some(now);
    }

    /// Age of the answer in force.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        let answered = self.state.lock().unwrap_or_else(PoisonError::into_inner).answered;
        answered.map(|at| now.saturating_duration_since(at))
    }

    /// The addresses of one name, at least one.
    async fn one(&self, name: &str) -> Option<Vec<SocketAddr>> {
        let asked = tokio::time::timeout(PATIENCE, self.resolver.resolve(name.to_owned())).await;
        match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(addresses) => Some(addresses).filter(|addresses| !addresses.is_empty()),
            Err(error) => {
                let service = &self.service;
                tracing::warn!(target: "mesh", service, name, error = %error, "name does not resolve");
                None
            }
        }
    }
}
