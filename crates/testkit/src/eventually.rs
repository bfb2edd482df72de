//! Waiting for something that comes by itself.
use std::{fmt, time::Duration};

use tokio::time::Instant;

/// Patience of [`eventually`].
const DEADLINE: Duration = Duration::from_secs(30);
/// Time between two looks.
const EVERY: Duration = Duration::from_millis(20);

/// What a look gives: `Option`, or `Result` whose error is the state seen, which a failure then prints.
pub trait Look {
    /// What was waited for.
    type Found;

    /// What was found, or what was seen instead.
    ///
    /// # Errors
    /// The state seen, as text.
    fn found(self) -> Result<Self::Found, String>;
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: fmt::Debug> Look for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:?}"))
    }
}

/// Looks again and again until `look` finds something, for at most 30 s.
///
/// # Panics
/// When the deadline passes; the message is `what` and what was seen last.
pub async fn eventually<F>(what: &str, look: impl FnMut() -> F) -> <F::Output as Look>::Found
where
    F: Future<Output: Look>,
{
    eventually_within(DEADLINE, what, look).await
}

/// As [`eventually`], with a deadline of its own.
///
/// # Panics
/// When the deadline passes; the message is `what` and what was seen last.
pub async fn eventually_within<F>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> <F::Output as Look>::Found
where
    F: Future<Output: Look>,
{
    let began = Instant::now();
    let mut looks = 0;
    loop {
        looks += 1;
        match look().await.found() {
            Ok(found) => return found,
            Err(seen) => assert!(
                began.elapsed() < deadline,
                "not within {deadline:?} ({looks} looks): {what}; seen last: {seen}"
            ),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// SQL that goes on once a condition holds, and fails after half a minute: what its transaction has locked stays so until then.
#[must_use]
pub fn holding_until(condition: &str) -> String {
    format!(
        "do $$ begin for look in 1..3000 loop if {condition} then return; end if; perform pg_sleep(0.01); end loop; \
         raise exception 'what this waits for has not come'; end $$"
    )
}
