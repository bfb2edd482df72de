//! Watching a run: its state now and after each change, until it ends.
use std::sync::Arc;

use api::{Caller, Id};
use futures::{Stream, stream};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

use super::Runs;
use crate::{
    error::Error,
    model::{Run, RunName},
};

/// Somebody who watches a run.
struct Watch {
    runs: Arc<Runs>,
    caller: Caller,
    name: RunName,
    changes: Receiver<Id>,
    /// The run as it was last seen.
    seen: Option<Run>,
}

impl Runs {
    /// Gives the run now and after each change, and ends with it. The right to read it is asked for each time.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        caller: Caller,
        name: RunName,
    ) -> Result<impl Stream<Item = Result<Run, Error>> + Send + 'static, Error> {
        // Before the first look: a change in between is heard of.
        let changes = self.changes.subscribe();
        let first = self.get(&caller, name).await?;
        let watch = Watch { runs: Arc::clone(self), caller, name, changes, seen: None };
        Ok(stream::unfold((watch, Some(first)), |(mut watch, first)| async move {
            let item = match first {
                Some(first) => Ok(first),
                None => watch.next().await?,
            };
            watch.seen = item.as_ref().ok().cloned();
            Some((item, (watch, None)))
        }))
    }
}

impl Watch {
    /// The next state; `None` after the last.
    async fn next(&mut self) -> Option<Result<Run, Error>> {
        // Nothing was seen after an error: the stream has ended.
        let seen = self.seen.take().filter(|seen| !seen.is_closed())?;
        loop {
            // Steps may run in another process, of which nothing is heard here.
            let _ = timeout(self.runs.config.watch_interval, self.changed()).await;
            match self.runs.get(&self.caller, self.name).await {
                Ok(run) if run.stamp() == seen.stamp() => {}
                other => return Some(other),
            }
        }
    }

    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok(run) if run != self.name.run => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // Only when the service is gone, and the watch holds it.
                Err(RecvError::Closed) => std::future::pending::<()>().await,
            }
        }
    }
}
