//! Latency as a peak-sensitive moving average (peak EWMA, as in Finagle): a slow answer counts at once and in full, fast ones
//! win back trust only over time, and silence is forgotten.
use std::time::Duration;

use tokio::time::Instant;

/// Times the decay after which an estimate says nothing any more.
const FORGOTTEN: f64 = 5.0;

/// What one endpoint's answers took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeakEwma(Option<(f64, Instant)>);

impl PeakEwma {
    /// Takes in one answer.
    pub(super) fn observe(&mut self, took: Duration, decay: Duration, now: Instant) {
        let seconds = took.as_secs_f64();
        let kept = self.0.map(|(old, at)| (old, weight(now.saturating_duration_since(at), decay)));
        let smoothed = match kept {
            Some((old, weight)) if seconds < old * weight => old * weight + seconds * (1.0 - weight),
            _ => seconds,
        };
        self.0 = Some((smoothed, now));
    }

    /// Takes in that there was no answer for at least this long.
    pub(super) fn at_least(&mut self, waited: Duration, decay: Duration, now: Instant) {
        if self.seconds(decay, now).is_none_or(|known| known < waited.as_secs_f64()) {
            self.0 = Some((waited.as_secs_f64(), now));
        }
    }

    /// The estimate in seconds; `None` when there was no answer yet, or none for so long that the endpoint is a stranger again.
    pub(super) fn seconds(&self, decay: Duration, now: Instant) -> Option<f64> {
        let (seconds, at) = self.0?;
        let silent = now.saturating_duration_since(at);
        (silent.as_secs_f64() < FORGOTTEN * decay.as_secs_f64()).then(|| seconds * weight(silent, decay))
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// What is left of something after this time.
pub(super) fn weight(elapsed: Duration, decay: Duration) -> f64 {
    (-elapsed.as_secs_f64() / decay.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_over_time() {
        let (start, mut latency) = (Instant::now(), PeakEwma::default());
        assert_eq!(latency.seconds(DECAY, start), None, "nobody knows");
        latency.observe(Duration::from_millis(10), DECAY, start);
        latency.observe(Duration::from_secs(2), DECAY, start);
        assert_eq!(latency.seconds(DECAY, start), Some(2.0));
        latency.observe(Duration::from_millis(10), DECAY, start);
        assert_eq!(latency.seconds(DECAY, start), Some(2.0), "one fast answer in the same moment proves nothing");
        latency.observe(Duration::from_millis(10), DECAY, after(start, 10));
        let trust = latency.seconds(DECAY, after(start, 10)).expect("known");
        assert!((0.7..0.8).contains(&trust), "{trust}");
    }

    #[test]
    fn silence_makes_a_stranger() {
        let (start, mut latency) = (Instant::now(), PeakEwma::default());
        latency.observe(Duration::from_secs(1), DECAY, start);
        let half = latency.seconds(DECAY, after(start, 7)).expect("known");
        assert!((0.49..0.51).contains(&half), "{half}");
        assert_eq!(latency.seconds(DECAY, after(start, 60)), None);
    }

    #[test]
    fn who_leaves_before_the_answer_has_waited_at_least_that_long() {
        let (start, mut latency) = (Instant::now(), PeakEwma::default());
        latency.at_least(Duration::from_secs(1), DECAY, start);
        latency.at_least(Duration::from_millis(1), DECAY, start);
        assert_eq!(latency.seconds(DECAY, start), Some(1.0));
    }
}
