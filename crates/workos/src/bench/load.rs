//! A closed loop of callers: how long each call took, and how many per second.
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt, stream};

/// Callers at once.
const CALLERS: usize = 16;

/// Latencies of one run.
pub(crate) struct Run {
    sorted: Vec<Duration>,
    /// The whole run.
    pub(crate) wall: Duration,
}

impl Run {
    /// Calls `work` so many times.
    pub(crate) async fn of<F: Future<Output = Result<()>>>(calls: usize, work: impl Fn(usize) -> F) -> Result<Self> {
        let begin = Instant::now();
        let timed = stream::iter(0..calls).map(|index| {
            let call = work(index);
            async move {
                let begin = Instant::now();
                call.await.map(|()| begin.elapsed())
            }
        });
        let results: Vec<Result<Duration>> = timed.buffer_unordered(CALLERS).collect().await;
        let mut sorted = results.into_iter().collect::<Result<Vec<_>>>()?;
        sorted.sort_unstable();
        Ok(Self { sorted, wall: begin.elapsed() })
    }

    /// A percentile in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let index = ((self.sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
        self.sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }

    /// Calls per second.
    pub(crate) fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}
