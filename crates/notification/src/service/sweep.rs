//! The work of time: what is older than the settings keep it is cleared away.
use api::CallContext;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Notifications;
use crate::{error::Error, store};

const TASK: &str = "notification.sweep";

impl Notifications {
    /// Sweeps until the process stops.
    pub(crate) async fn keep_sweeping(&self, shutdown: CancellationToken) {
        let mut tick = interval(self.config.sweep_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            while !shutdown.is_cancelled() {
                match self.sweep().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(error = %error, "clearing old notifications failed; it goes on at the next turn");
                        break;
                    }
                }
            }
        }
    }

    /// One bounded step; says whether there may be more to do.
    async fn sweep(&self) -> Result<bool, Error> {
        let context = CallContext::background(TASK, &self.parts.ids);
        let tx = self.parts.db.system("clear away old notifications", &context).await?;
        let before = self.parts.clock.now() - self.config.retention;
        let more = store::sweep::clear(&tx, before, i64::from(self.config.sweep_batch)).await?;
        tx.commit().await?;
        Ok(more)
    }
}
