//! Retries: by what the contract says of the method, on a budget, after a random wait.
//!
//! A call is tried again when it provably reached no server, or when the method may be repeated and the server answered
//! UNAVAILABLE or was lost. The budget keeps an outage from being multiplied, in two ways: retries of what was sent are a fixed
//! share of calls over time, and a fixed share of the calls that run at any moment, so that neither many small failures nor
//! one long stall can double the load. What was never sent is not counted; connecting has its own, growing pauses.
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use proto::{Idempotency, Method};
use rand::RngExt;

use super::circuit::{Permit, permit};
use crate::settings::Retries;

/// What one retry costs; the bucket counts in hundredths.
const COST: i64 = 100;
/// What the bucket holds at most: ten retries.
const FULL: i64 = 10 * COST;

/// Retries that may still be made to one service.
pub(super) struct Budget {
    saved: AtomicI64,
    running: Arc<AtomicU32>,
}

impl Budget {
    pub(super) fn full() -> Self {
        Self { saved: AtomicI64::new(FULL), running: Arc::default() }
    }

    /// A call earns its share.
    pub(super) fn earn(&self, percent: u32) {
        let add = |held: i64| Some((held + i64::from(percent)).min(FULL));
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes one retry beside so many running calls; `None` when there is none left, or too many run already.
    pub(super) fn take(&self, retries: &Retries, calls: u32) -> Option<Permit> {
        let share = u64::from(calls) * u64::from(retries.budget_percent) / 100;
        let most = u32::try_from(share).unwrap_or(u32::MAX).max(retries.min_retry_concurrency);
        let permit = permit(&self.running, most)?;
        let take = |held: i64| (held >= COST).then_some(held - COST);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| permit)
    }

    /// Retries that run, waits included.
    pub(super) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Whole retries in reserve.
    pub(super) fn saved(&self) -> u32 {
        u32::try_from(self.saved.load(Ordering::Relaxed) / COST).unwrap_or_default()
    }
}

/// Whether a failed try may be followed by another.
pub(super) fn may_repeat(method: &Method, unsent: bool) -> bool {
    unsent || method.idempotency != Idempotency::Unknown
}

/// The wait before retry number `retry` (from 1): random between nothing and a limit that doubles (full jitter), but not
/// shorter than what the server asked for.
pub(super) fn wait(retries: &Retries, retry: u32, asked: Option<Duration>) -> Duration {
    let limit = retries.backoff.get().saturating_mul(2u32.saturating_pow(retry - 1)).min(retries.backoff_max.get());
    let random = limit.mul_f64(rand::rng().random_range(0.0..=1.0));
    asked.map_or(random, |asked| asked + random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_calls_may_be_retried_in_the_long_run() {
        let (budget, retries) = (Budget::full(), Retries::default());
        let retried = (0..1000)
            .filter(|_| {
                budget.earn(20);
                budget.take(&retries, 1).is_some()
            })
            .count();
        assert!((205..=215).contains(&retried), "{retried}");
    }

    #[test]
    fn a_fifth_of_the_running_calls_may_be_retries_and_never_less_than_three() {
        let retries = Retries::default();
        for (calls, most) in [(1, 3), (15, 3), (40, 8)] {
            let budget = Budget::full();
            let mut permits: Vec<_> = (0..10).filter_map(|_| budget.take(&retries, calls)).collect();
            assert_eq!(permits.len(), most, "{calls} calls");
            permits.pop();
            assert!(budget.take(&retries, calls).is_some(), "a place is free again");
        }
    }

    #[test]
    fn waits_grow_and_respect_what_the_server_asks() {
        let retries = Retries::default();
        for retry in 1..=10 {
            assert!(wait(&retries, retry, None) <= retries.backoff_max.get());
        }
        assert!(wait(&retries, 1, Some(Duration::from_secs(2))) >= Duration::from_secs(2));
    }

    #[test]
    fn a_method_without_a_level_is_repeated_only_if_it_was_not_sent() {
        let login = proto::methods().get("/workos.auth.v1.LoginService/StartLogin").expect("in the contract");
        assert!(may_repeat(login, true) && !may_repeat(login, false));
        let get = proto::methods().get("/workos.document.v1.DocumentService/GetDocument").expect("in the contract");
        assert!(may_repeat(get, false));
    }
}
