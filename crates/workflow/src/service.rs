//! Use cases: who may do it, what happens, what is stored and published with it.
//!
//! What must hold: permission is decided before anything is said about existence or state; a change, its event and the answer
//! to its request id are committed together; no lock is held while another service or the engine is asked. The table of runs is
//! what people read; the engine is what decides, and the table follows it.
use std::sync::Arc;

use api::{CallContext, Caller, Clock, Id, Ids, Share};
use db::{Db, Replay, Tx};
use tokio::sync::broadcast;

use crate::{
    config::Config, error::Error, flow::Cause, model::RunName, peers::Peers, store::run::Found, temporal::Engine,
};

mod erase;
mod relay;
mod run;
mod step;
mod task;
mod watch;

/// Changes that a slow watcher may be behind before it just looks again.
const CHANGES: usize = 1024;

/// The workflow service.
pub(crate) struct Runs {
    db: Db,
    clock: Clock,
    ids: Ids,
    peers: Peers,
    engine: Arc<Engine>,
    config: Config,
    /// Ids of runs that changed in this process.
    changes: broadcast::Sender<Id>,
}

/// The request id of a call, with a fingerprint of the request it came with: a repeat gets the first answer.
pub(crate) struct Attempt {
    request_id: String,
    fingerprint: [u8; 32],
}

impl Attempt {
    /// Takes the fingerprint of a request; of one without a request id none is needed.
    pub(crate) fn new(caller: &Caller, request_id: &str, request: &impl prost::Message) -> Self {
        let fingerprint = match request_id {
            "" => [0; 32],
            _ => db::fingerprint(&caller.context().method, request),
        };
        Self { request_id: request_id.to_owned(), fingerprint }
    }

    /// Takes the request id for a transaction, or gives what was remembered for it.
    async fn replay(&self, tx: &Tx) -> Result<Option<String>, Error> {
        match tx.replay(&self.request_id, &self.fingerprint).await? {
            Replay::New => Ok(None),
            Replay::Seen(response) => Ok(Some(response)),
        }
    }
}

impl Runs {
    /// The service over its database, other services and the engine.
    pub(crate) fn new(kit: &chassis::Kit, engine: Arc<Engine>, config: Config) -> Self {
        Self {
            db: kit.db(),
            clock: kit.clock(),
            ids: kit.ids(),
            peers: Peers::new(kit.mesh()),
            engine,
            config,
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    /// Wakes who watches the run.
    fn changed(&self, run: RunName) {
        // Nobody watching is no failure.
        let _ = self.changes.send(run.run);
    }
}

/// What follows from a call carries these of its context.
fn cause(context: &CallContext) -> Cause {
    Cause { request_id: context.request_id.clone(), traceparent: context.traceparent.clone() }
}

/// What somebody may do with a run without a role: its creator everything, who has a task of it read it.
fn share(caller: &Caller) -> impl Fn(&Found) -> Option<Share> {
    let user = caller.user();
    move |found| match found.assigned {
        _ if Some(found.run.creator) == user => Some(Share::Keeper),
        true => Some(Share::Reader),
        false => None,
    }
}
