//! The circuit breaker of one service: how many of our calls may run and wait at the same time.
//!
//! What is above a limit is refused at once, with an error that names the limit, its value and the setting. Counts go down
//! when a permit is dropped, whatever happens to the call.
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{Code, CommonReason, Error};

use super::fault::{Failure, Reach};
use crate::{observe, settings::CircuitBreaker};

/// When a refused caller shall come again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The limits of one service.
pub(super) struct Circuit {
    service: String,
    requests: Gate,
    streams: Gate,
    pending: Gate,
}

/// One limit.
struct Gate {
    setting: &'static str,
    max: u32,
    held: Arc<AtomicU32>,
    overflowed: AtomicU64,
}

/// A place under a limit; free again when dropped.
pub(super) struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a limit is used, for the operator.
pub(super) struct Use {
    pub(super) max: u32,
    pub(super) held: u32,
    pub(super) overflowed: u64,
}

impl Circuit {
    pub(super) fn new(service: &str, settings: &CircuitBreaker) -> Self {
        let gate = |setting, max| Gate { setting, max, held: Arc::default(), overflowed: AtomicU64::new(0) };
        Self {
            service: service.to_owned(),
            requests: gate("max_requests", settings.max_requests),
            streams: gate("max_streams", settings.max_streams),
            pending: gate("max_pending_requests", settings.max_pending_requests),
        }
    }

    /// A place among the running calls, or among the streams: those who watch for hours leave the others their places.
    pub(super) fn request(&self, streams: bool) -> Result<Permit, Failure> {
        if streams { &self.streams } else { &self.requests }.enter(&self.service)
    }

    /// A place among the calls that wait for a connection.
    pub(super) fn pending(&self) -> Result<Permit, Failure> {
        self.pending.enter(&self.service)
    }

    /// Calls that run, without streams: those that rest must not let more be tried again.
    pub(super) fn running(&self) -> u32 {
        self.requests.held.load(Ordering::Relaxed)
    }

    /// Running calls, streams, waiting calls.
    pub(super) fn uses(&self) -> [Use; 3] {
        [&self.requests, &self.streams, &self.pending].map(|gate| Use {
            max: gate.max,
            held: gate.held.load(Ordering::Relaxed),
            overflowed: gate.overflowed.load(Ordering::Relaxed),
        })
    }
}

impl Gate {
    fn enter(&self, service: &str) -> Result<Permit, Failure> {
        permit(&self.held, self.max).ok_or_else(|| {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            observe::overflowed(service, self.setting);
            let setting = format!("mesh.circuit_breaker.{}", self.setting);
            let message = format!(
                "{} calls to the {service} service are on their way, the most that {setting} allows; try again shortly",
                self.max
            );
            let error = Error::new(Code::Unavailable, CommonReason::UpstreamOverloaded, message)
                .with("limit", self.setting)
                .with("value", self.max.to_string())
                .with("setting", setting)
                .with("upstream", service)
                .retry_after(RETRY_AFTER);
            Failure { reach: Reach::Held, error }
        })
    }
}

/// A place below the limit, if there is one.
pub(super) fn permit(held: &Arc<AtomicU32>, max: u32) -> Option<Permit> {
    let enter = |count: u32| (count < max).then_some(count + 1);
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).is_ok().then(|| Permit(Arc::clone(held)))
}
