//! Without Redis: everything goes on, and heals.
use std::time::{Duration, Instant};

use cache::{Cache, Key, Limit, Settings, Source};
use engines::Engines;
use fred::interfaces::ClientLike;

use crate::{
    proxy::Proxy,
    support::{client, connect, eventually, prefix, settings},
};

const MINUTE: Duration = Duration::from_secs(60);

async fn through_proxy() -> (Proxy, Settings) {
    let settings = settings().await;
    let (proxy, url) = Proxy::before(&settings.url).await;
    (proxy, Settings { url, limit_timeout: Duration::from_millis(50), ..settings })
}

async fn heals(cache: &Cache) {
    let limit = Limit::per_second(1000);
    eventually("Redis decides again", async || {
        (cache.limit("heal", &limit, 1).await.source == Source::Redis).then_some(())
    })
    .await;
    cache.health().await.expect("it answers");
}

#[tokio::test]
async fn a_service_starts_without_redis_at_once_and_uses_it_when_it_comes() {
    let (mut proxy, settings) = through_proxy().await;
    proxy.cut().await;
    let begun = Instant::now();
    let cache = connect(&settings).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert!(cache.health().await.is_err());
    let decision = cache.limit("user", &Limit::per_minute(1), 1).await;
    assert!(decision.allowed && decision.source == Source::Local, "{decision:?}");
    proxy.mend().await;
    heals(&cache).await;
}

#[tokio::test]
async fn while_redis_is_away_the_share_of_this_instance_holds() {
    let (mut proxy, settings) = through_proxy().await;
    let cache = connect(&Settings { local_share: 0.5, ..settings }).await;
    heals(&cache).await;
    proxy.cut().await;
    let limit = Limit::per_minute(10);
    let mut allowed = 0;
    let begun = Instant::now();
    for _ in 0..40 {
        let decision = cache.limit("user", &limit, 1).await;
        assert_eq!(decision.source, Source::Local);
        allowed += u32::from(decision.allowed);
    }
    assert_eq!(allowed, 5, "half of ten, and never all");
    assert!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
    let key = Key::<u32>::new("k", &[]);
    assert!(cache.get(&key).await.is_err());
    assert_eq!(cache.single_flight(&key, MINUTE, async || Ok::<_, cache::Error>(7)).await.expect("it loads"), 7);
    proxy.mend().await;
    heals(&cache).await;
}

#[tokio::test]
async fn a_silent_redis_costs_its_patience_once_and_not_per_request() {
    let (proxy, settings) = through_proxy().await;
    let cache = connect(&settings).await;
    heals(&cache).await;
    proxy.freeze();
    let limit = Limit::per_second(1_000_000);
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(cache.limit("user", &limit, 1).await.source, Source::Local);
        if begun.elapsed() > Duration::from_millis(200) {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_millis(500), "it took {:?}", begun.elapsed());
    heals(&cache).await;
}

#[tokio::test]
async fn a_valkey_that_ended_and_was_restarted_is_used_again() {
    let root = std::env::temp_dir().join(prefix());
    let elsewhere = Some("unused".to_owned());
    let one = engines::Settings {
        root: root.clone(),
        mode: engines::Mode::Up,
        postgres_url: elsewhere.clone(),
        nats_url: elsewhere.clone(),
        temporal_url: elsewhere,
        ..engines::Settings::default()
    };
    let engines = Engines::start(one, |_| {}).await.expect("Valkey starts");
    let url = engines.addresses().redis.clone();
    let cache = connect(&Settings { limit_timeout: Duration::from_millis(500), ..Settings::new(&url, prefix()) }).await;
    let key = Key::<u32>::new("k", &[]);
    cache.set(&key, &1, MINUTE).await.expect("Valkey runs");
    heals(&cache).await;
    let mut outages = engines.outages();
    let _ = client(&url).await.shutdown(Some(fred::types::ShutdownFlags::NoSave)).await;
    outages.wait_for(|outages| !outages.is_empty()).await.expect("the supervisor sees it end");
    heals(&cache).await;
    cache.set(&key, &2, MINUTE).await.expect("Valkey runs again");
    assert_eq!(cache.get(&key).await.expect("Valkey runs again"), Some(2));
    engines.stop().await;
    std::fs::remove_dir_all(root).expect("it is ours");
}

#[tokio::test]
async fn a_probe_tells_running_from_away_and_a_malformed_url_from_both() {
    let url = settings().await.url;
    cache::probe(&url).await.expect("Valkey runs");
    assert!(matches!(cache::probe("redis://:p@127.0.0.1:1").await, Err(cache::Error::Unavailable(_))));
    assert!(
        matches!(cache::probe("nonsense://:secret@x").await, Err(cache::Error::Configuration(text)) if !text.contains("secret"))
    );
    let wrong = url.replacen("redis://:", "redis://:wrong", 1);
    assert!(matches!(cache::probe(&wrong).await, Err(cache::Error::Unavailable(_))));
}

#[tokio::test]
async fn connections_end_with_the_cache() {
    let (proxy, settings) = through_proxy().await;
    let cache = connect(&Settings { connections: 5, ..settings }).await;
    eventually("all are open", async || (proxy.open() == 5).then_some(())).await;
    drop(cache);
    eventually("all are closed", async || (proxy.open() == 0).then_some(())).await;
}
