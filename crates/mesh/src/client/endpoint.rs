//! One address of a service: its connection, what is known of it, and what a call there would cost.
//!
//! Everything that is known is written by outcomes of calls and checks, and read by who chooses, judges and shows.
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    connection::{Connection, Target},
    fault::Outcome,
    latency::{self, PeakEwma},
};

/// Cost of a stranger that has a call already: he gets one to show himself, and the next when nobody else is left.
const STRANGER: f64 = 1e6;
/// Least latency that counts, so that calls in flight count also where answers come at once.
const LEAST: f64 = 1e-6;
/// Failures in a row double the cost up to so many times.
const DOUBLINGS: f64 = 16.0;

pub(super) struct Endpoint {
    /// Of calls, and of streams: whoever takes none of what he streams holds back other streams at most.
    connections: [Arc<Connection>; 2],
    decay: Duration,
    in_flight: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    latency: PeakEwma,
    /// Failures in a row, forgotten as latency is.
    failing: Option<(f64, Instant)>,
    known: Known,
}

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) health: Health,
    pub(super) consecutive_failures: u32,
    pub(super) window: Window,
    pub(super) ejected_until: Option<Instant>,
    /// End of the last ejection.
    pub(super) back_since: Option<Instant>,
    /// Times that the next ejection lasts longer than the first.
    pub(super) ejection_weight: u32,
    pub(super) requests: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) timed_out: u64,
    pub(super) ejections: u64,
    pub(super) checks_failed: u64,
}

/// Outcomes since the last judgement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) succeeded: u32,
    pub(super) failed: u32,
}

/// What active checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// Not checked yet: it gets calls.
    #[default]
    Unchecked,
    Healthy {
        /// Failed checks in a row.
        failures: u32,
    },
    Unhealthy {
        /// Good checks in a row.
        successes: u32,
    },
}

impl Known {
    /// Neither unhealthy nor ejected.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        !matches!(self.health, Health::Unhealthy { .. }) && !self.is_ejected(now)
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }
}

impl Endpoint {
    pub(super) fn new(target: Target, decay: Duration) -> Arc<Self> {
        let (in_flight, state) = (AtomicU32::new(0), Mutex::default());
        let connections = [Connection::new(target.clone()), Connection::new(target)];
        Arc::new(Self { connections, decay, in_flight, state })
    }

    /// The connection of calls, which says how the endpoint does.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connections[0]
    }

    /// The connection of streams, or that of calls.
    pub(super) fn connection_of(&self, streams: bool) -> &Arc<Connection> {
        &self.connections[usize::from(streams)]
    }

    pub(super) fn known(&self) -> Known {
        self.state().known
    }

    /// Changes what is known; the answer is the closure's.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.state().known)
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Estimated latency in seconds.
    pub(super) fn latency(&self, now: Instant) -> Option<f64> {
        self.state().latency.seconds(self.decay, now)
    }

    /// What one more call would cost: latency for each call that is there already. An endpoint that fails answers fast or not
    /// at all, so each failure in a row doubles it; otherwise calls would rush to the broken one.
    pub(super) fn cost(&self, now: Instant) -> f64 {
        let in_flight = f64::from(self.in_flight());
        let state = self.state();
        let fresh =
            |(count, at): (f64, Instant)| count * latency::weight(now.saturating_duration_since(at), self.decay);
        let failing = state.failing.map_or(0.0, fresh);
        match state.latency.seconds(self.decay, now) {
            Some(seconds) => seconds.max(LEAST) * (in_flight + 1.0) * failing.min(DOUBLINGS).exp2(),
            None if in_flight < 0.5 && failing < 0.5 => 0.0,
            None => STRANGER + in_flight + failing,
        }
    }

    pub(super) fn begun(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.note(|known| known.requests += 1);
    }

    pub(super) fn over(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// The answer began after this time.
    pub(super) fn answered(&self, took: Duration, now: Instant) {
        self.state().latency.observe(took, self.decay, now);
    }

    /// There was no answer for this time, and then nobody waited any more.
    pub(super) fn waited(&self, waited: Duration, now: Instant) {
        self.state().latency.at_least(waited, self.decay, now);
    }

    /// Takes in how a call ended; gives the failures in a row.
    pub(super) fn ended(&self, outcome: Outcome, now: Instant) -> u32 {
        let mut state = self.state();
        match outcome {
            Outcome::Succeeded => {
                state.known.consecutive_failures = 0;
                state.known.succeeded += 1;
                state.known.window.succeeded = state.known.window.succeeded.saturating_add(1);
                state.failing = None;
            }
            Outcome::Failed => {
                state.known.consecutive_failures = state.known.consecutive_failures.saturating_add(1);
                state.known.failed += 1;
                state.known.window.failed = state.known.window.failed.saturating_add(1);
                state.costlier(self.decay, now);
            }
            Outcome::Overloaded => state.costlier(self.decay, now),
            Outcome::Unclear => {}
        }
        state.known.consecutive_failures
    }

    /// It comes back as a stranger: what was measured before says nothing of it now.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.latency.forget();
        state.failing = None;
        state.known.consecutive_failures = 0;
        state.known.window = Window::default();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn costlier(&mut self, decay: Duration, now: Instant) {
        let old =
            self.failing.map_or(0.0, |(count, at)| count * latency::weight(now.saturating_duration_since(at), decay));
        self.failing = Some((old + 1.0, now));
    }
}
