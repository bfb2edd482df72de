//! A cache of its own per test, by prefix, and what tests say often.
use std::time::Duration;

use cache::{Cache, Settings};
use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{Builder, config::Config},
};
use tokio::time::Instant;

/// A prefix that no other test has.
pub(crate) fn prefix() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!("cache{}-{}", std::process::id(), NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// Settings for the Valkey of the test run. A laden machine takes more than the 20 ms of a real gateway.
pub(crate) async fn settings() -> Settings {
    Settings { limit_timeout: Duration::from_millis(500), ..Settings::new(engines::for_tests().await.redis, prefix()) }
}

pub(crate) async fn cache() -> Cache {
    connect(&settings().await).await
}

pub(crate) async fn connect(settings: &Settings) -> Cache {
    Cache::connect(settings).await.expect("the settings are right")
}

/// A connection outside the crate under test.
pub(crate) async fn client(url: &str) -> Client {
    let client = Builder::from_config(Config::from_url(url).expect("the engines give a valid URL"))
        .build()
        .expect("it is complete");
    client.init().await.expect("Valkey runs");
    client
}

/// Polls until there is an answer, at most 30 s.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let patience = Instant::now() + Duration::from_secs(30);
    while Instant::now() < patience {
        tick.tick().await;
        if let Some(answer) = ask().await {
            return answer;
        }
    }
    panic!("within 30 s it did not happen: {what}");
}
