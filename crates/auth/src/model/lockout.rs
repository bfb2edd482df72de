//! Delays after wrong passwords: the first five attempts are free, then 30 s, doubling up to one hour.
//!
//! The counter belongs to the identifier as typed, whether it has an account or not. It is raised before the password is
//! tested, so that a thousand parallel guesses are five.
use time::Duration;

/// Attempts that need no waiting.
pub(crate) const LOCKOUT_FREE: i32 = 5;

/// How long the next attempt must wait after this many failures in a row.
pub(crate) fn lockout_delay(failures: i32) -> Duration {
    if failures < LOCKOUT_FREE {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(failures - LOCKOUT_FREE).unwrap_or_default().min(7);
    Duration::seconds((30 << doublings).min(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_p06_delays_grow_from_half_a_minute_to_an_hour() {
        let seconds: Vec<_> = (4..=13).map(|failures| lockout_delay(failures).whole_seconds()).collect();
        assert_eq!(seconds, [0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(lockout_delay(i32::MAX).whole_seconds(), 3600);
    }
}
