//! Outlier detection: an endpoint that fails where others work gets no calls for a while.
//!
//! It is ejected at once after failures in a row, and at the end of a window for its share of failures: above a fixed
//! percentage, or far below the mean of all. Each ejection in short succession lasts longer; good windows shorten the next one.
//! Never more than a share of all endpoints is out: when everything fails, ejecting helps nobody.
use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::endpoint::{Endpoint, Window};
use crate::settings::OutlierDetection;

/// Why an endpoint was ejected, as metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    ConsecutiveFailures,
    FailurePercentage,
    SuccessRate,
}

impl Cause {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailurePercentage => "failure_percentage",
            Self::SuccessRate => "success_rate",
        }
    }
}

/// Ejects an endpoint, unless it is out already or too many are; gives the time that it stays out.
pub(super) fn eject(
    settings: &OutlierDetection,
    all: &[Arc<Endpoint>],
    endpoint: &Endpoint,
    now: Instant,
) -> Option<Duration> {
    let out = all.iter().filter(|endpoint| endpoint.known().is_ejected(now)).count();
    if (out as u64 + 1) * 100 > (all.len() as u64) * u64::from(settings.max_ejection_percent) {
        return None;
    }
    endpoint.note(|known| {
        if known.is_ejected(now) {
            return None;
        }
        known.ejection_weight = known.ejection_weight.saturating_add(1);
        let time = settings.base_ejection_time.get().saturating_mul(known.ejection_weight);
        let time = time.min(settings.max_ejection_time.get());
        known.ejected_until = Some(now + time);
        known.ejections += 1;
        Some(time)
    })
}

/// Lets those back whose time is over.
pub(super) fn readmit(all: &[Arc<Endpoint>], now: Instant) {
    for endpoint in all {
        let is_over = endpoint.note(|known| {
            let is_over = known.ejected_until.take_if(|until| *until <= now).is_some();
            known.back_since = if is_over { Some(now) } else { known.back_since };
            is_over
        });
        if is_over {
            endpoint.forget();
        }
    }
}

/// Ends a window: gives those to eject, and forgives by one step those that were in all the time.
pub(super) fn judge(settings: &OutlierDetection, all: &[Arc<Endpoint>], now: Instant) -> Vec<(Arc<Endpoint>, Cause)> {
    let windows: Vec<_> = all.iter().map(|endpoint| endpoint.note(|known| std::mem::take(&mut known.window))).collect();
    let least = success_threshold(settings, &windows);
    let mut found = Vec::new();
    for (endpoint, window) in all.iter().zip(&windows) {
        match cause(settings, window, least) {
            Some(cause) => found.push((Arc::clone(endpoint), cause)),
            None => endpoint.note(|known| {
                let whole = known.back_since.is_none_or(|back| now >= back + settings.interval.get());
                if whole && !known.is_ejected(now) {
                    known.ejection_weight = known.ejection_weight.saturating_sub(1);
                }
            }),
        }
    }
    found
}

fn cause(settings: &OutlierDetection, window: &Window, least: Option<f64>) -> Option<Cause> {
    let rate = rate(window, settings.request_volume)?;
    let percent = f64::from(settings.failure_percentage_threshold);
    if percent > 0.0 && (1.0 - rate) * 100.0 >= percent {
        return Some(Cause::FailurePercentage);
    }
    least.is_some_and(|least| rate < least).then_some(Cause::SuccessRate)
}

/// Share of successes, where there were calls enough.
fn rate(window: &Window, volume: u32) -> Option<f64> {
    let (succeeded, failed) = (f64::from(window.succeeded), f64::from(window.failed));
    let total = succeeded + failed;
    (total > 0.0 && total >= f64::from(volume)).then(|| succeeded / total)
}

/// Share of successes below which an endpoint is an outlier: the mean less so many standard deviations.
fn success_threshold(settings: &OutlierDetection, windows: &[Window]) -> Option<f64> {
    let rates: Vec<_> = windows.iter().filter_map(|window| rate(window, settings.request_volume)).collect();
    let enough = rates.len() >= settings.success_rate_minimum_hosts.max(1) as usize;
    if !enough || settings.success_rate_stdev_factor == 0 {
        return None;
    }
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    Some(mean - variance.sqrt() * f64::from(settings.success_rate_stdev_factor) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(succeeded: u32, failed: u32) -> Window {
        Window { succeeded, failed }
    }

    #[test]
    fn an_outlier_lies_below_the_mean_by_more_than_the_usual_scatter() {
        let settings = OutlierDetection::default();
        let good = [99, 98, 100, 97, 99, 100, 98].map(|succeeded| window(succeeded, 100 - succeeded));
        let threshold = success_threshold(&settings, &good).expect("enough endpoints");
        assert!(good.iter().all(|window| rate(window, 50).expect("enough calls") > threshold), "{threshold}");
        let with_bad = [good.as_slice(), &[window(60, 40)]].concat();
        let threshold = success_threshold(&settings, &with_bad).expect("enough endpoints");
        assert!(0.6 < threshold && threshold < 0.97, "{threshold}");
    }

    #[test]
    fn few_calls_and_few_endpoints_prove_nothing() {
        let settings = OutlierDetection::default();
        assert_eq!(rate(&window(0, 49), settings.request_volume), None);
        assert_eq!(rate(&window(0, 0), 0), None);
        assert_eq!(success_threshold(&settings, &[window(100, 0); 4]), None);
    }
}
