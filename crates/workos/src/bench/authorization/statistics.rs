//! Whether two samples come from the same distribution: the rank test of Mann and Whitney, which asks nothing of its form.

/// The middle value.
pub(crate) fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Two-sided p of Mann-Whitney's U, by its normal approximation: how often chance alone makes two samples at least as unlike. Good from
/// about twenty values each.
pub(crate) fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = one.iter().map(|value| (*value, true)).collect();
    all.extend(other.iter().map(|value| (*value, false)));
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (mut ranks, mut before) = (0.0, 0.0);
    for group in all.chunk_by(|left, right| left.0 == right.0) {
        // Equal values share the mean of their ranks.
        let count = group.len() as f64;
        ranks += (before + (count + 1.0) / 2.0) * group.iter().filter(|(_, is_one)| *is_one).count() as f64;
        before += count;
    }
    let (one, other) = (one.len() as f64, other.len() as f64);
    let u = ranks - one * (one + 1.0) / 2.0;
    let deviation = (one * other * (one + other + 1.0) / 12.0).sqrt();
    if deviation == 0.0 { 1.0 } else { tails(((u - one * other / 2.0) / deviation).abs()) }
}

/// What lies beyond `z` on both sides of the normal distribution (Abramowitz and Stegun 7.1.26, good to 1e-7).
fn tails(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    sum * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_differ_are_told_from_those_that_do_not() {
        let low: Vec<f64> = (0..40).map(f64::from).collect();
        let shuffled: Vec<f64> = (0..40).map(|value| f64::from(value * 7 % 40)).collect();
        let high: Vec<f64> = low.iter().map(|value| value + 15.0).collect();
        assert!(mann_whitney(&low, &shuffled) > 0.99);
        assert!(mann_whitney(&low, &high) < 1e-4);
        assert!((median(&low) - 19.5).abs() < 1e-9);
    }

    #[test]
    fn two_deviations_leave_a_twentieth() {
        assert!((tails(1.959_964) - 0.05).abs() < 1e-6);
    }
}
