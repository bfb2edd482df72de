//! Rate limits by the generic cell rate algorithm (GCRA): one timestamp per key, no window edges to abuse.
//!
//! The shared limit is a script in Redis, on Redis' own clock, so all instances count together. For busy callers it is drawn ahead
//! ([`lease`], ADR 0063). When it cannot be asked
//! within its time, the same algorithm answers from memory with this instance's share, and Redis is tried again on the side, four
//! times a second: an outage costs nobody any waiting.
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{interfaces::LuaInterface, types::Value};
use tokio::{task::JoinSet, time::Instant};

use crate::{Cache, Error, Settings, connection::Connections, key::escape};

mod lease;

use lease::Leases;

/// How long Redis is left alone after it failed.
const REST: Duration = Duration::from_millis(250);
/// Keys remembered locally; beyond it the least used start afresh.
const LOCAL_KEYS: u64 = 100_000;
/// The script. `tat` is the time at which the bucket will be full again, in microseconds.
const SCRIPT: &str = include_str!("limit/gcra.lua");

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    interval: Duration,
    burst: u32,
}

impl Limit {
    /// So many per second, the same number at once. 0 counts as 1.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::per(Duration::from_secs(1), count)
    }

    /// So many per minute, the same number at once. 0 counts as 1.
    #[must_use]
    pub fn per_minute(count: u32) -> Self {
        Self::per(Duration::from_secs(60), count)
    }

    /// So many per period, the same number at once. 0 counts as 1.
    #[must_use]
    pub fn per(period: Duration, count: u32) -> Self {
        let count = count.max(1);
        Self { interval: (period / count).max(Duration::from_micros(1)), burst: count }
    }

    /// So many at once. 0 counts as 1.
    #[must_use]
    pub fn burst(self, count: u32) -> Self {
        Self { burst: count.max(1), ..self }
    }

    /// This instance's part of it.
    fn share(self, share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share lies between 0 and 1")]
        let burst = (f64::from(self.burst) * share).floor() as u32;
        Self { interval: self.interval.div_f64(share), burst: burst.max(1) }
    }

    fn interval_micros(self) -> u64 {
        u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Redis, for all instances together.
    Redis,
    /// This instance for itself, because Redis was away or slow.
    Local,
}

/// Whether it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// It may.
    pub allowed: bool,
    /// How many more of cost 1 would be allowed right now.
    pub remaining: u32,
    /// When the same cost would be allowed; zero if it is allowed now.
    pub retry_after: Duration,
    /// Who decided.
    pub source: Source,
}

impl Cache {
    /// Draws `cost` from the budget of a key. A cost above the burst counts as the burst, else it could never be allowed; a
    /// refused call draws nothing, and one of cost 0 only looks what remains. Never fails, and takes no longer than the settings' `limit_timeout`.
    pub async fn limit(&self, key: &str, limit: &Limit, cost: u32) -> Decision {
        let shared = &self.shared;
        if shared.limits.is_due() {
            let asked = Arc::downgrade(shared);
            shared.limits.on_the_side(async move {
                if let Some(shared) = asked.upgrade() {
                    shared.limits.try_again(&shared.connections).await;
                }
            });
        }
        let decision = shared.limits.decide(&shared.connections, key, *limit, cost.min(limit.burst)).await;
        self.shared.metrics.decided(decision.source, decision.allowed);
        decision
    }
}

/// Shared limits and their local stand-in.
pub(crate) struct Limits {
    prefix: String,
    patience: Duration,
    share: f64,
    origin: Instant,
    /// Microseconds since `origin` until which Redis is not asked; 0 while it answers.
    resting: AtomicU64,
    hash: Mutex<Option<String>>,
    leases: Leases,
    local: moka::sync::Cache<String, Arc<Mutex<u64>>>,
    /// Tries of a Redis that was away.
    tries: Mutex<JoinSet<()>>,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            prefix: settings.prefix.clone(),
            patience: settings.limit_timeout,
            share: settings.local_share,
            origin: Instant::now(),
            resting: AtomicU64::new(0),
            hash: Mutex::new(None),
            leases: Leases::default(),
            local: moka::sync::Cache::builder()
                .max_capacity(LOCAL_KEYS)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
            tries: Mutex::default(),
        }
    }

    async fn decide(&self, connections: &Connections, key: &str, limit: Limit, cost: u32) -> Decision {
        let mut name = format!("{}:limit:", self.prefix);
        escape(&mut name, key);
        let granted =
            |remaining| Decision { allowed: true, remaining, retry_after: Duration::ZERO, source: Source::Redis };
        if let Some(remaining) = self.leases.grant(&name, cost) {
            return granted(remaining);
        }
        let mut refused = None;
        if self.resting.load(Ordering::Acquire) == 0 {
            // Boxed: the driver's future is large, and who is decided about locally has no use for it.
            match tokio::time::timeout(self.patience, Box::pin(self.ask(connections, &name, limit, cost))).await {
                Ok(Ok(decision)) if decision.allowed => return decision,
                Ok(Ok(decision)) => refused = Some(decision),
                Ok(Err(error)) => self.rest(&error),
                Err(_) => self.rest(&silent()),
            }
        }
        if let Some(remaining) = self.leases.grant_to_the_last(&name, cost) {
            return granted(remaining);
        }
        if let Some(refused) = refused {
            return refused;
        }
        self.decide_locally(name, limit.share(self.share), cost.min(limit.share(self.share).burst))
    }

    /// Redis rests and it is time to try it; of several who ask at that moment one hears yes.
    fn is_due(&self) -> bool {
        let until = self.resting.load(Ordering::Acquire);
        if until == 0 {
            return false;
        }
        let now = self.now();
        let next = now + u64::try_from(REST.as_micros()).unwrap_or(u64::MAX);
        now >= until && self.resting.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn on_the_side(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        while tries.try_join_next().is_some() {}
        tries.spawn(work);
    }

    /// Asks Redis for no more than an answer.
    async fn try_again(&self, connections: &Connections) {
        match tokio::time::timeout(self.patience, self.load(connections)).await {
            Ok(Ok(_)) => {
                if self.resting.swap(0, Ordering::AcqRel) > 0 {
                    tracing::info!("shared rate limits answer again");
                }
            }
            Ok(Err(error)) => self.rest(&error),
            Err(_) => self.rest(&silent()),
        }
    }

    fn rest(&self, error: &Error) {
        let until = self.now() + u64::try_from(REST.as_micros()).unwrap_or(u64::MAX);
        if self.resting.swap(until.max(1), Ordering::AcqRel) == 0 {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(error = cause, "shared rate limits away; each instance applies its own share");
        }
    }

    async fn ask(&self, connections: &Connections, name: &str, limit: Limit, cost: u32) -> Result<Decision, Error> {
        let client = connections.within(self.patience);
        let known = self.hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Who only looks draws nothing, but is known to have asked.
        let ahead = self.leases.ahead(name) * cost.min(1);
        let numbers = [limit.interval_micros(), limit.burst.into(), cost.into(), ahead.into()];
        let arguments = || numbers.iter().map(|number| Value::from(number.to_string())).collect::<Vec<_>>();
        let hash = match known {
            Some(hash) => hash,
            None => self.load(connections).await?,
        };
        let answer: Result<Vec<i64>, _> = client.evalsha(hash, vec![name], arguments()).await;
        let numbers = match answer {
            // A server that was restarted has forgotten the script.
            Err(cause) if cause.details().starts_with("NOSCRIPT") => {
                client.evalsha(self.load(connections).await?, vec![name], arguments()).await?
            }
            other => other?,
        };
        let [allowed, wait, remaining, ahead] = numbers[..] else {
            return Err(Error::unavailable("the limit script gave another form of answer"));
        };
        let remaining = u32::try_from(remaining).unwrap_or(0);
        self.leases.drawn(name, u32::try_from(ahead).unwrap_or(0), remaining);
        Ok(Decision {
            allowed: allowed == 1,
            remaining,
            retry_after: Duration::from_micros(u64::try_from(wait).unwrap_or(0)),
            source: Source::Redis,
        })
    }

    async fn load(&self, connections: &Connections) -> Result<String, Error> {
        let hash: String = connections.within(self.patience).script_load(SCRIPT).await?;
        *self.hash.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash.clone());
        Ok(hash)
    }

    fn decide_locally(&self, name: String, limit: Limit, cost: u32) -> Decision {
        let full_at = self.local.get_with(name, Arc::default);
        let mut full_at = full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let (decision, next) = gcra(self.now(), *full_at, limit, cost);
        *full_at = next;
        decision
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

fn silent() -> Error {
    Error::unavailable("no answer in time")
}

/// The algorithm of the script. Gives the decision and the new time at which the bucket will be full.
fn gcra(now: u64, full_at: u64, limit: Limit, cost: u32) -> (Decision, u64) {
    let interval = limit.interval_micros();
    let capacity = interval.saturating_mul(u64::from(limit.burst));
    let base = full_at.max(now);
    let next = base.saturating_add(interval.saturating_mul(u64::from(cost)));
    let left = |full_at: u64| u32::try_from((now + capacity).saturating_sub(full_at) / interval).unwrap_or(u32::MAX);
    if next > now + capacity {
        let retry_after = Duration::from_micros(next - now - capacity);
        return (Decision { allowed: false, remaining: left(base), retry_after, source: Source::Local }, base);
    }
    (Decision { allowed: true, remaining: left(next), retry_after: Duration::ZERO, source: Source::Local }, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_then_the_rate() {
        let limit = Limit::per_second(10).burst(3);
        let (mut full_at, mut allowed) = (0, 0);
        for now in (0..1_000_000).step_by(10_000) {
            let (decision, next) = gcra(now, full_at, limit, 1);
            full_at = next;
            allowed += u32::from(decision.allowed);
        }
        assert_eq!(allowed, 3 + 9, "three at once, then one each 100 ms");
    }

    #[test]
    fn a_refusal_says_when_and_draws_nothing() {
        let limit = Limit::per_second(1);
        let (_, full_at) = gcra(0, 0, limit, 1);
        let (refused, same) = gcra(400_000, full_at, limit, 1);
        assert_eq!((refused.allowed, refused.remaining, refused.retry_after), (false, 0, Duration::from_millis(600)));
        assert_eq!(same, full_at);
        assert!(gcra(1_000_000, full_at, limit, 1).0.allowed);
    }

    #[test]
    fn a_share_is_a_part_of_rate_and_burst_and_never_nothing() {
        let limit = Limit::per_second(100).share(0.25);
        assert_eq!((limit.burst, limit.interval), (25, Duration::from_millis(40)));
        assert_eq!(Limit::per_minute(1).share(0.1).burst, 1);
    }
}
