//! What a handler answers, and what follows from it.
use std::{future::Future, time::Duration};

use api::Code;
use futures::future::BoxFuture;

use crate::Delivery;

/// After so many deliveries the event becomes a dead letter. Below the broker's own limit, so that the move is ours.
pub(crate) const ATTEMPTS: u32 = 8;
/// The broker's own limit, a net below [`ATTEMPTS`].
pub(crate) const MAX_DELIVER: u32 = 10;

/// Delays between deliveries of a failing event: almost an hour until the last try, which outlives a restart of what it needs.
const RETRY_SECONDS: [u64; ATTEMPTS as usize - 1] = [1, 5, 30, 120, 300, 900, 1800];
/// Delays of an event that this version does not know: short for a rolling update, a day in sum.
const HOLD_SECONDS: [u64; MAX_DELIVER as usize - 1] = [30, 60, 300, 900, 3600, 10_800, 21_600, 21_600, 28_800];

/// A handler's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The effect is durable (or was already).
    Done,
    /// Try again after this time; zero means a delay that grows with the attempts. A dead letter after 8 attempts.
    Retry(Duration),
    /// This version does not know the event: keep it for a newer one, a dead letter `UNSUPPORTED` after a day.
    Hold(String),
    /// It will never work: a dead letter at once, with this cause.
    Reject(String),
}

impl Outcome {
    /// Try again, later and later.
    #[must_use]
    pub fn retry() -> Self {
        Self::Retry(Duration::ZERO)
    }

    /// The outcome's name, for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry(_) => "retry",
            Self::Hold(_) => "hold",
            Self::Reject(_) => "reject",
        }
    }
}

/// Failures that pass are retried, all others rejected. A credential of ours that was refused passes: keys and tokens turn over.
impl<E: Into<api::Error>> From<Result<(), E>> for Outcome {
    fn from(result: Result<(), E>) -> Self {
        let Err(error) = result else { return Self::Done };
        let error: api::Error = error.into();
        if error.is_transient() || error.code() == Code::Unauthenticated {
            tracing::info!(code = ?error.code(), error = %error, source = ?std::error::Error::source(&error), "event is tried again");
            Self::retry()
        } else {
            Self::Reject(error.to_string())
        }
    }
}

/// What becomes of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Acknowledge,
    Again(Duration),
    Bury(String),
}

/// What follows from an outcome at the given attempt (counted from 1). `jitter` lies in 0..1 and spreads growing delays.
pub(crate) fn fate(outcome: Outcome, attempt: u32, jitter: f64) -> Fate {
    let grown = |table: &[u64]| {
        let index = (attempt.max(1) as usize - 1).min(table.len() - 1);
        Duration::from_secs(table[index]).mul_f64(0.8 + 0.4 * jitter)
    };
    match outcome {
        Outcome::Done => Fate::Acknowledge,
        Outcome::Retry(_) if attempt >= ATTEMPTS => Fate::Bury(format!("gave up after {attempt} attempts")),
        Outcome::Retry(Duration::ZERO) => Fate::Again(grown(&RETRY_SECONDS)),
        Outcome::Retry(delay) => Fate::Again(delay),
        Outcome::Hold(what) if attempt >= MAX_DELIVER => Fate::Bury(format!("UNSUPPORTED: {what}")),
        Outcome::Hold(_) => Fate::Again(grown(&HOLD_SECONDS)),
        Outcome::Reject(cause) => Fate::Bury(cause),
    }
}

/// Handles events of one consumer. Events of one aggregate come one at a time; different aggregates come concurrently. The
/// same event may come again, so the effect must be idempotent: `db.once(..)` or a version guard.
pub trait Handler: Send + Sync + 'static {
    /// Handles one delivery. It may run long: the broker is told that work goes on.
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, Outcome>;
}

impl<F, Handling> Handler for F
where
    F: Fn(Delivery) -> Handling + Send + Sync + 'static,
    Handling: Future<Output = Outcome> + Send + 'static,
{
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, Outcome> {
        Box::pin(self(delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_grow_and_end_in_a_dead_letter() {
        let delays: Vec<_> = (1..ATTEMPTS).map(|attempt| fate(Outcome::retry(), attempt, 0.5)).collect();
        assert_eq!(delays[0], Fate::Again(Duration::from_secs(1)));
        assert!(
            delays.windows(2).all(|pair| matches!(pair, [Fate::Again(first), Fate::Again(second)] if first < second))
        );
        assert!(matches!(fate(Outcome::retry(), ATTEMPTS, 0.5), Fate::Bury(_)));
        assert_eq!(fate(Outcome::Retry(Duration::from_millis(7)), 3, 0.9), Fate::Again(Duration::from_millis(7)));
    }

    #[test]
    fn evt_14_an_unknown_event_is_held_for_a_day_and_then_unsupported() {
        let held: Duration = (1..MAX_DELIVER)
            .map(|attempt| match fate(Outcome::Hold("x".into()), attempt, 0.5) {
                Fate::Again(delay) => delay,
                other => panic!("attempt {attempt} gave {other:?}"),
            })
            .sum();
        assert!(held >= Duration::from_secs(24 * 3600), "held only {held:?}");
        assert_eq!(fate(Outcome::Hold("type x".into()), MAX_DELIVER, 0.0), Fate::Bury("UNSUPPORTED: type x".into()));
    }

    #[test]
    fn passing_failures_are_retried_and_lasting_ones_rejected() {
        assert_eq!(Outcome::from(Err::<(), _>(api::Error::unavailable("search"))), Outcome::retry());
        assert_eq!(Outcome::from(Err::<(), _>(api::Error::conflict())), Outcome::retry());
        assert!(matches!(
            Outcome::from(Err::<(), _>(api::Error::invalid_field("name", "is empty"))),
            Outcome::Reject(_)
        ));
        assert_eq!(Outcome::from(Ok::<(), api::Error>(())), Outcome::Done);
    }
}
