//! The clock: the only place that reads the time of day, so that tests can set it.
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use prost_types::Timestamp;
use time::OffsetDateTime;

/// Time of day in UTC, with a shift that tests may change.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    shift_millis: Arc<AtomicI64>,
}

impl Clock {
    /// Now, in whole microseconds as PostgreSQL keeps them.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one home of the time of day")]
    pub fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc() + time::Duration::milliseconds(self.shift_millis.load(Ordering::Relaxed));
        let micros = now.microsecond();
        now.replace_microsecond(micros).unwrap_or(now)
    }

    /// Moves this clock and all its clones forward.
    pub fn advance(&self, by: std::time::Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shift_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

/// The time as the contract carries it.
#[must_use]
pub fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: time.unix_timestamp(), nanos: i32::try_from(time.nanosecond()).unwrap_or_default() }
}

/// The time of a timestamp; `None` when it lies outside years 1 to 9999 or its nanoseconds are out of range.
#[must_use]
pub fn from_timestamp(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let time =
        OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok().filter(|time| (1..=9999).contains(&time.year()))?;
    time.replace_nanosecond(nanos).ok()
}
