//! How long the messages of a service are waited for: not beyond the end of the connection, nor through a long silence.
use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, listener::Connection, refusal::Refusal};

/// What ends the wait.
#[derive(Clone, Default)]
pub(crate) struct Patience {
    /// The connection ends.
    ending: CancellationToken,
    /// Longest silence; `None` where somebody else finds out who is dead, or where silence is what was asked for.
    silence: Option<Duration>,
}

impl Patience {
    /// For a stream of messages on this connection.
    pub(crate) fn of(config: &Config, connection: &Connection) -> Self {
        Self { ending: connection.ending.clone(), silence: Some(config.stream_idle) }
    }

    /// The connection may end as it likes: this has no place for a record.
    pub(crate) fn beyond_the_end(self) -> Self {
        Self { ending: CancellationToken::new(), ..self }
    }

    /// Silence is no fault.
    pub(crate) fn through_silence(self) -> Self {
        Self { silence: None, ..self }
    }

    /// Waits for what comes; the silence began at `since`.
    pub(crate) async fn wait<T>(&self, since: Instant, next: impl Future<Output = T>) -> Result<T, Refusal> {
        let silent = async {
            match self.silence.and_then(|silence| Some((silence, since.checked_add(silence)?))) {
                Some((silence, until)) => {
                    sleep_until(until).await;
                    silence
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.ending.cancelled() => {
                Err(api::Error::unavailable("this connection (it ends now; open the stream again)").into())
            }
            next = next => Ok(next),
            silence = silent => {
                let seconds = silence.as_secs();
                let what = format!("the service (it sent nothing for {seconds} s, setting gateway.stream_idle)");
                Err(api::Error::unavailable(what).into())
            }
        }
    }
}
