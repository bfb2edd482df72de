//! A transaction: statements, and what is written with its commit.
//!
//! What must hold: no statement runs outside the walls of its scope; a transaction whose statement failed never reports a
//! commit; a connection whose answer was not awaited is closed, never lent again with an answer still to come.
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use api::{CallContext, Id, OrganizationId};
use futures::{FutureExt, future::join};
use tokio_postgres::{Error as DriverError, Row, Statement, types::ToSql};

use crate::{
    Error, Kind, Record, audit, door::Shared, outbox::NewEvent, outbox::insert_all, pipeline, pipeline::Write,
    pool::Lease, pool::MARGIN, scope::Scope,
};

/// Time PostgreSQL has to report its own timeout before the connection is given up.
const GRACE: Duration = Duration::from_millis(500);

/// SQL and its parameters.
pub type Query<'a> = (&'a str, &'a [&'a (dyn ToSql + Sync)]);

/// An open transaction. Dropping it without [`Tx::commit`] rolls back; a read needs no commit.
///
/// All methods take `&self`, so independent statements may be awaited together and then share a round trip.
pub struct Tx {
    lease: Lease,
    shared: Arc<Shared>,
    scope: Scope,
    context: CallContext,
    started: Instant,
    state: State,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct State {
    begun: AtomicBool,
    failed: AtomicBool,
    broken: AtomicBool,
    running: AtomicU32,
    committed: bool,
}

/// What is written with the commit.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) writes: Vec<Write>,
    pub(crate) unanswered: Option<String>,
    pub(crate) audited: bool,
}

impl Tx {
    pub(crate) fn new(lease: Lease, shared: Arc<Shared>, scope: Scope, context: CallContext) -> Self {
        Self {
            lease,
            shared,
            scope,
            context,
            started: Instant::now(),
            state: State::default(),
            pending: Mutex::default(),
        }
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// Those of [`Kind`]. After one, the transaction can only be dropped.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.run(self.lease.client().query(&statement, params)).await
    }

    /// The row of a query that gives at most one.
    ///
    /// # Errors
    /// As [`Tx::query`]; [`Kind::Internal`] when there is more than one row.
    pub async fn query_opt(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.run(self.lease.client().query_opt(&statement, params)).await
    }

    /// The row of a query that gives exactly one.
    ///
    /// # Errors
    /// As [`Tx::query`]; [`Kind::Internal`] when there is none or more than one row.
    pub async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        let statement = self.prepare(sql).await?;
        self.run(self.lease.client().query_one(&statement, params)).await
    }

    /// The rows of each of several queries, sent in this order before the first answer is awaited: one round trip. Each sees what those before
    /// it did, and what others committed until it began, as if it had been sent after their answers; so locks are taken in this order.
    ///
    /// # Errors
    /// As [`Tx::query`], of the first that fails.
    pub async fn together(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        let statements = self.prepared(queries).await?;
        let begin = (!self.state.begun.swap(true, Ordering::AcqRel)).then(|| self.begin());
        self.guarded(pipeline::rows(self.lease.client(), begin.as_deref(), &statements)).await
    }

    /// Runs a statement; gives the number of rows it touched.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepare(sql).await?;
        self.run(self.lease.client().execute(&statement, params)).await
    }

    /// Publishes an event under the organization of this transaction, with the aggregate's version after the change.
    /// The row is written with the commit.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the event is larger than 256 KiB or the transaction has 5,000 events already.
    pub fn publish<E: proto::Event>(&self, event: &E, aggregate: Id, version: i64) -> Result<(), Error> {
        self.publish_for(self.organization(), event, aggregate, version)
    }

    /// As [`Tx::publish`], for another organization: only a system transaction can commit that.
    ///
    /// # Errors
    /// As [`Tx::publish`].
    pub fn publish_for<E: proto::Event>(
        &self,
        organization: OrganizationId,
        event: &E,
        aggregate: Id,
        version: i64,
    ) -> Result<(), Error> {
        let event = NewEvent::of(event, self.shared.ids.next(), organization, (aggregate, version), &self.context)?;
        let events = &mut self.pending().events;
        if events.len() >= crate::outbox::EVENTS_MAX {
            return Err(Error::internal("more than 5,000 events in one transaction"));
        }
        events.push(event);
        Ok(())
    }

    /// Says what happened, for the audit log, instead of the row that the contract's `audit: EVERY_CALL` writes. Written with the
    /// commit, and only then.
    pub fn audit(&self, record: Record) {
        self.audit_as(&self.context, record);
    }

    pub(crate) fn audit_as(&self, context: &CallContext, record: Record) {
        let write = record.write(&self.shared.ids, self.organization(), context);
        let mut pending = self.pending();
        pending.audited = true;
        pending.writes.push(write);
    }

    /// Writes events, remembered answers and the audit row, and commits, in one round trip.
    ///
    /// # Errors
    /// Those of [`Kind`]. After [`Kind::Unavailable`] and [`Kind::Deadline`] it is unknown whether the commit took place: the
    /// caller finds out by repeating the request under the same request id.
    pub async fn commit(self) -> Result<(), Error> {
        self.commit_with(&[]).await.map(drop)
    }

    /// As [`Tx::together`] and [`Tx::commit`] after it, in one round trip; gives the rows of the queries.
    ///
    /// # Errors
    /// As [`Tx::commit`].
    pub async fn commit_with(mut self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        let statements = self.prepared(queries).await?;
        let pending = std::mem::take(&mut *self.pending());
        if self.state.failed.load(Ordering::Acquire) {
            return Err(Error::internal("commit of a transaction whose statement failed"));
        }
        if let Some(request_id) = pending.unanswered {
            return Err(Error::internal(format!("request id {request_id} was taken but no answer was remembered")));
        }
        let published = !pending.events.is_empty();
        let mut writes = insert_all(pending.events);
        writes.extend(pending.writes);
        if statements.is_empty() && writes.is_empty() && !self.state.begun.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        if self.context.audit && !pending.audited {
            writes.push(audit::write(&self.shared.ids, self.organization(), &self.context));
        }
        let begin = (!self.state.begun.swap(true, Ordering::AcqRel)).then(|| self.begin());
        let client = self.lease.client();
        let rows = self.guarded(pipeline::commit(client, begin.as_deref(), &statements, &writes)).await?;
        self.state.committed = true;
        if published {
            self.shared.notify.notify_one();
        }
        Ok(rows)
    }

    /// The organization of this transaction; the all-zero id for a subject's and for system transactions.
    #[must_use]
    pub fn organization(&self) -> OrganizationId {
        self.scope.organization()
    }

    /// Context of the call, event or task that opened it.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    pub(crate) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> String {
        self.scope.begin(&self.shared.service, self.time_left().saturating_sub(MARGIN))
    }

    fn time_left(&self) -> Duration {
        let most = self.shared.statement_timeout;
        self.context
            .deadline
            .map_or(most, |deadline| most.min(deadline.saturating_duration_since(tokio::time::Instant::now())))
    }

    async fn prepared<'a>(&self, queries: &[Query<'a>]) -> Result<Vec<pipeline::Prepared<'a>>, Error> {
        let mut statements = Vec::with_capacity(queries.len());
        for (sql, params) in queries {
            statements.push((self.prepare(sql).await?, *params));
        }
        Ok(statements)
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.guarded(self.lease.client().prepare_cached(sql)).await
    }

    /// Runs a statement; the first one takes `BEGIN` along. Both are sent in the same poll, `BEGIN` first.
    async fn run<T>(&self, work: impl Future<Output = Result<T, DriverError>>) -> Result<T, Error> {
        if self.state.begun.swap(true, Ordering::AcqRel) {
            return self.guarded(work).await;
        }
        let sql = self.begin();
        let both = async {
            let (begun, answer) = join(self.lease.client().batch_execute(&sql), work).await;
            begun.and(answer)
        };
        self.guarded(both).await
    }

    /// Awaits an answer within the time that is left, and notes what its failure means for transaction and connection.
    async fn guarded<T>(&self, work: impl Future<Output = Result<T, DriverError>>) -> Result<T, Error> {
        if self.state.failed.load(Ordering::Acquire) {
            return Err(Error::internal("a statement in a transaction whose earlier statement failed"));
        }
        self.state.running.fetch_add(1, Ordering::AcqRel);
        let answer = tokio::time::timeout(self.time_left() + GRACE, work).await;
        self.state.running.fetch_sub(1, Ordering::AcqRel);
        let silent = answer.is_err();
        let error = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(cause)) => Error::from(cause),
            Err(_) => Error::new(Kind::Deadline, "no answer within the time that was left"),
        };
        self.state.failed.store(true, Ordering::Release);
        // PostgreSQL reports its own timeout in time; when we had to stop waiting, the host may have vanished.
        if error.breaks_connection() || self.lease.client().is_closed() || silent {
            self.state.broken.store(true, Ordering::Release);
            self.lease.suspect();
        }
        if matches!(error.kind(), Kind::Conflict) {
            self.shared.metrics.conflict();
        }
        Err(error)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        self.shared.metrics.finished(self.state.committed, self.started.elapsed());
        if self.state.committed {
            return;
        }
        let unanswered = self.state.running.load(Ordering::Acquire) > 0;
        if unanswered && self.time_left().is_zero() {
            self.lease.suspect();
        }
        if unanswered || self.state.broken.load(Ordering::Acquire) {
            self.lease.discard();
        } else if self.state.begun.load(Ordering::Acquire) {
            // The first poll sends it; the driver's task takes the answer. Whoever gets the connection next stands behind it.
            let _ = self.lease.client().batch_execute("rollback").now_or_never();
        }
    }
}
