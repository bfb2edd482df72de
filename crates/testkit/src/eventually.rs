//! Waiting for something that comes by itself.
use std::time::Duration;

use tokio::time::Instant;

/// Patience of [`eventually`].
const DEADLINE: Duration = Duration::from_secs(30);
/// Time between two looks.
const EVERY: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something, for at most 30 s.
///
/// # Panics
/// When the deadline passes; the message is `what`.
pub async fn eventually<T, F>(what: &str, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    eventually_within(DEADLINE, what, look).await
}

/// As [`eventually`], with a deadline of its own.
///
/// # Panics
/// When the deadline passes; the message is `what`.
pub async fn eventually_within<T, F>(deadline: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    let mut looks = 0;
    loop {
        looks += 1;
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < deadline, "not within {deadline:?} ({looks} looks): {what}");
        tokio::time::sleep(EVERY).await;
    }
}
