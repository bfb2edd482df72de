//! Values: typed, with a lifetime, loaded once.
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use cache::{Error, Key};
use futures::future::join_all;

use crate::support::{cache, connect, eventually, prefix, settings};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_value_is_read_as_it_was_written_until_it_is_removed() {
    let cache = cache().await;
    let key = Key::<Vec<String>>::new("names", &[&7]);
    assert_eq!(cache.get(&key).await.expect("Valkey runs"), None);
    let names = vec!["é".to_owned(), "\u{0}".to_owned()];
    cache.set(&key, &names, MINUTE).await.expect("Valkey runs");
    assert_eq!(cache.get(&key).await.expect("Valkey runs"), Some(names));
    cache.delete(&key).await.expect("Valkey runs");
    assert_eq!(cache.get(&key).await.expect("Valkey runs"), None);
}

#[tokio::test]
async fn a_value_ends_with_its_lifetime() {
    let cache = cache().await;
    let key = Key::<u32>::new("short", &[]);
    cache.set(&key, &1, Duration::from_millis(50)).await.expect("Valkey runs");
    eventually("it expires", async || cache.get(&key).await.expect("Valkey runs").is_none().then_some(())).await;
}

#[tokio::test]
async fn prefixes_do_not_meet() {
    let settings = settings().await;
    let one = connect(&settings).await;
    let two = connect(&cache::Settings { prefix: prefix(), ..settings }).await;
    let key = Key::<u32>::new("same", &[]);
    one.set(&key, &1, MINUTE).await.expect("Valkey runs");
    assert_eq!(two.get(&key).await.expect("Valkey runs"), None);
}

#[tokio::test]
async fn a_value_of_another_shape_is_a_miss() {
    let cache = cache().await;
    cache.set(&Key::<String>::new("k", &[]), &"text".to_owned(), MINUTE).await.expect("Valkey runs");
    assert_eq!(cache.get(&Key::<u32>::new("k", &[])).await.expect("Valkey runs"), None);
}

#[tokio::test]
async fn a_value_above_the_limit_is_refused() {
    let error = cache()
        .await
        .set(&Key::<String>::new("big", &[]), &"x".repeat(2 << 20), MINUTE)
        .await
        .expect_err("it is too large");
    assert!(matches!(error, Error::Unfit(_)), "{error:?}");
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_load() {
    let cache = cache().await;
    let (key, loads) = (Key::<u32>::new("once", &[]), AtomicU32::new(0));
    let load = async || {
        loads.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok::<_, Error>(42)
    };
    let answers = join_all((0..50).map(|_| cache.single_flight(&key, MINUTE, load))).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|value| value == 42)));
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    cache.single_flight(&key, MINUTE, load).await.expect("it is cached");
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_failed_load_is_told_to_all_and_not_cached() {
    let cache = cache().await;
    let key = Key::<u32>::new("failing", &[]);
    let failed = cache.single_flight(&key, MINUTE, async || Err::<u32, _>("not now")).await;
    assert_eq!(failed, Err("not now"));
    assert_eq!(cache.single_flight(&key, MINUTE, async || Ok::<_, &str>(1)).await, Ok(1));
}
