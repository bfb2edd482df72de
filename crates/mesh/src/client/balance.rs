//! Which endpoint gets a call: the cheaper of two taken at random, among those that are good.
//!
//! Two choices come close to the best choice without knowing the cost of all, and without all clients choosing the same one.
//! When too few are good, health and ejections are ignored (Envoy's panic): either the checks are wrong, or the few would break
//! down under the calls of all.
use std::sync::Arc;

use rand::RngExt;
use tokio::time::Instant;

use super::endpoint::Endpoint;

/// What was chosen.
pub(super) struct Choice {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) panic: bool,
}

/// Too few are good.
pub(super) fn panics(good: usize, all: usize, threshold: u32) -> bool {
    (good as u64) * 100 < (all as u64) * u64::from(threshold)
}

/// The endpoint for one try. Another than those tried before, as long as there is one; one that can be reached, as long as
/// there is one. `None` when there is none at all, or no good one and panic is switched off.
pub(super) fn choose(all: &[Arc<Endpoint>], tried: &[Arc<Endpoint>], threshold: u32, now: Instant) -> Option<Choice> {
    if let [only] = all
        && threshold > 0
    {
        let panic = !only.known().is_good(now);
        return Some(Choice { endpoint: Arc::clone(only), panic });
    }
    let good: Vec<_> = all.iter().filter(|endpoint| endpoint.known().is_good(now)).collect();
    let panic = panics(good.len(), all.len(), threshold);
    let usable = if panic { all.iter().collect() } else { good };
    let fresh = preferring(usable, |endpoint| !tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint)));
    let among = preferring(fresh, |endpoint| endpoint.connection().is_reachable());
    cheaper(&among, now).map(|endpoint| Choice { endpoint, panic })
}

/// Those that fit, or all when none does.
fn preferring(all: Vec<&Arc<Endpoint>>, fits: impl Fn(&Arc<Endpoint>) -> bool) -> Vec<&Arc<Endpoint>> {
    let fit: Vec<_> = all.iter().copied().filter(|endpoint| fits(endpoint)).collect();
    if fit.is_empty() { all } else { fit }
}

fn cheaper(among: &[&Arc<Endpoint>], now: Instant) -> Option<Arc<Endpoint>> {
    let count = among.len();
    if count < 2 {
        return among.first().map(|only| Arc::clone(only));
    }
    let mut random = rand::rng();
    let first = random.random_range(0..count);
    let second = (first + random.random_range(1..count)) % count;
    let (first, second) = (among[first], among[second]);
    Some(Arc::clone(if second.cost(now) < first.cost(now) { second } else { first }))
}
