//! Refused calls on their way into the audit log of their service.
//!
//! What must hold: a call never waits for it; what is in memory is bounded; a flood of equal refusals becomes few rows. The first
//! of equal refusals is written at once, those of the next 10 s as one row with their number. What does not fit is counted and the
//! number written.
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use api::{CallContext, OrganizationId};
use db::{Db, Record};
use mesh::{Refusals, Refused};
use tokio::{
    sync::{Mutex, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

/// Refusals that may wait to be looked at.
const QUEUE_MAX: usize = 1024;
/// Different refusals that are folded at the same time.
const FOLDS_MAX: usize = 4096;
/// How long equal refusals are folded.
const FOLD: Duration = Duration::from_secs(10);
/// How often is looked for folds that are due.
const LOOK: Duration = Duration::from_secs(1);

/// Takes refusals from the server.
struct Keeper {
    queue: mpsc::Sender<Refused>,
    lost: Arc<AtomicU32>,
}

impl Refusals for Keeper {
    fn keep(&self, refused: Refused) {
        if self.queue.try_send(refused).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts the keeper of one service.
pub(crate) fn keeper(tasks: &Tasks, db: Db) -> Arc<dyn Refusals> {
    let (queue, waiting) = mpsc::channel(QUEUE_MAX);
    let lost = Arc::new(AtomicU32::new(0));
    let desk = Arc::new(Mutex::new(Desk { waiting, lost: Arc::clone(&lost), db, folds: HashMap::new() }));
    tasks.keep("refusals", move |shutdown| {
        let desk = Arc::clone(&desk);
        async move { desk.lock().await.run(shutdown).await }
    });
    Arc::new(Keeper { queue, lost })
}

/// What makes two refusals equal.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    organization: Option<OrganizationId>,
    texts: [String; 6],
}

struct Fold {
    last: Refused,
    more: u32,
    due: Instant,
}

struct Desk {
    waiting: mpsc::Receiver<Refused>,
    lost: Arc<AtomicU32>,
    db: Db,
    folds: HashMap<Key, Fold>,
}

impl Desk {
    async fn run(&mut self, shutdown: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                taken = self.waiting.recv_many(&mut batch, 256) => if taken == 0 { break },
                () = tokio::time::sleep(LOOK) => {}
            }
            let mut rows: Vec<_> = batch.drain(..).filter_map(|refused| self.first(refused)).collect();
            rows.extend(self.due(Instant::now()));
            self.write(rows).await;
        }
        while let Ok(refused) = self.waiting.try_recv() {
            batch.push(refused);
        }
        let mut rows: Vec<_> = batch.drain(..).filter_map(|refused| self.first(refused)).collect();
        rows.extend(self.due(Instant::now() + FOLD));
        self.write(rows).await;
    }

    /// The row of a refusal that no fold takes.
    fn first(&mut self, refused: Refused) -> Option<(CallContext, Record)> {
        let key = key(&refused);
        if let Some(fold) = self.folds.get_mut(&key) {
            fold.more += 1;
            fold.last = refused;
            return None;
        }
        if self.folds.len() < FOLDS_MAX {
            self.folds.insert(key, Fold { last: refused.clone(), more: 0, due: Instant::now() + FOLD });
        }
        Some(row(refused, 1))
    }

    /// Rows of the folds whose time has come, and of what was lost.
    fn due(&mut self, now: Instant) -> Vec<(CallContext, Record)> {
        let ended = self.folds.extract_if(|_, fold| fold.due <= now);
        let mut rows: Vec<_> =
            ended.filter(|(_, fold)| fold.more > 0).map(|(_, fold)| row(fold.last, fold.more)).collect();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let context = CallContext { method: "refusals".to_owned(), ..CallContext::default() };
            rows.push((context, Record::refused("refusals.lost", "QUEUE_FULL").times(lost)));
        }
        rows
    }

    /// Without a database the rows are lost, and counted like those that did not fit; the log has them still.
    async fn write(&self, rows: Vec<(CallContext, Record)>) {
        let number = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        if number > 0 && self.db.audit_refusals(rows).await.is_err() {
            self.lost.fetch_add(number, Ordering::Relaxed);
        }
    }
}

fn key(refused: &Refused) -> Key {
    let CallContext { actor, acting, method, resource, network, .. } = &refused.context;
    let texts = [actor, acting, method, resource, network, &refused.reason].map(String::clone);
    Key { organization: refused.organization, texts }
}

fn row(refused: Refused, times: u32) -> (CallContext, Record) {
    let record = Record::refused(refused.context.method.clone(), refused.reason)
        .of(refused.organization.unwrap_or(OrganizationId::SYSTEM))
        .with("peer", refused.peer)
        .times(times);
    (refused.context, record)
}
