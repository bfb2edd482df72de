//! Shared rate limits.
use std::time::{Duration, Instant};

use cache::{Limit, Settings, Source};
use futures::future::join_all;

use crate::support::{cache, connect, eventually, settings};

#[tokio::test]
async fn instances_draw_from_one_budget() {
    let settings = settings().await;
    let instances = [connect(&settings).await, connect(&settings).await, connect(&settings).await];
    let limit = Limit::per_minute(10);
    let decisions = join_all((0..60).map(|call| instances[call % 3].limit("user", &limit, 1))).await;
    assert!(decisions.iter().all(|decision| decision.source == Source::Redis));
    assert_eq!(decisions.iter().filter(|decision| decision.allowed).count(), 10);
}

#[tokio::test]
async fn what_is_drawn_ahead_is_counted_for_all_and_the_end_is_exact() {
    let settings = settings().await;
    let instances = [connect(&settings).await, connect(&settings).await, connect(&settings).await];
    let (limit, begin) = (Limit::per(Duration::from_secs(36_000), 3_000), Instant::now());
    let allowed = |instance: usize, calls: usize| {
        let one = &instances[instance];
        let calls = (0..calls).map(|_| one.limit("user", &limit, 1)).collect::<Vec<_>>();
        async move { join_all(calls).await.iter().filter(|decision| decision.allowed).count() }
    };
    let mut granted = 0;
    for call in 0..1_200 {
        granted += allowed(call % 3, 4).await;
    }
    // A unit comes back every twelve seconds. What an instance has drawn and not used is lost: at most a sixteenth of what was left.
    let most = 3_000 + usize::try_from(begin.elapsed().as_secs() / 12).expect("a test is short") + 1;
    assert!((2_700..=most).contains(&granted), "{granted}");
    for instance in &instances {
        assert!(!instance.limit("user", &limit, 1).await.allowed);
    }
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_and_then_it_is_allowed() {
    let cache = cache().await;
    let limit = Limit::per_second(5).burst(1);
    assert!(cache.limit("user", &limit, 1).await.allowed);
    let refused = cache.limit("user", &limit, 1).await;
    assert!(
        !refused.allowed && refused.retry_after > Duration::ZERO && refused.retry_after <= Duration::from_millis(200),
        "{refused:?}"
    );
    assert!(cache.limit("another", &limit, 1).await.allowed);
    eventually("the budget fills again", async || cache.limit("user", &limit, 1).await.allowed.then_some(())).await;
}

#[tokio::test]
async fn a_cost_above_the_burst_draws_all_of_it() {
    let cache = cache().await;
    let limit = Limit::per_minute(5);
    let first = cache.limit("user", &limit, 100).await;
    assert!(first.allowed && first.remaining == 0, "{first:?}");
    assert!(!cache.limit("user", &limit, 1).await.allowed);
}

#[tokio::test]
async fn what_remains_is_told() {
    let cache = cache().await;
    let limit = Limit::per_minute(5);
    assert_eq!(cache.limit("user", &limit, 2).await.remaining, 3);
    assert_eq!(cache.limit("user", &limit, 3).await.remaining, 0);
}

#[tokio::test]
async fn a_share_outside_its_bounds_is_refused() {
    for share in [0.0, -1.0, 1.5, f64::NAN] {
        let settings = Settings { local_share: share, ..settings().await };
        assert!(cache::Cache::connect(&settings).await.is_err(), "{share}");
    }
}
