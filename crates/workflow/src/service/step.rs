//! What the steps of a run do. Each may be performed more than once, also by a worker that was thought dead: the run is locked
//! first, and what is done already, or comes after the end, changes nothing.
use std::time::Duration;

use api::{CallContext, OrganizationId, UserId};
use db::Tx;
use tokio::time::Instant;

use super::Runs;
use crate::{
    error::Error,
    events,
    flow::{Cause, Finish, Job, Record, Round, Seat},
    model::{Run, RunName, Task, TaskName, TaskState},
    store,
};

/// Time of a step, below the engine's ten seconds: it answers before it is given up.
const TIME: Duration = Duration::from_secs(8);
/// The round of the owner.
const OWNER: i16 = 2;

impl Runs {
    /// Makes sure that the document can be read in the name of the creator.
    pub(crate) async fn check_document(&self, job: &Job) -> Result<(), Error> {
        let context = self.context("check_document", &job.cause);
        let run = self.load(job, &context).await?;
        if run.is_closed() {
            return Ok(());
        }
        self.peers.check_document(&run.delegation, run.document(), &context).await
    }

    /// Gives the tasks of a round and ends those of earlier ones.
    pub(crate) async fn open_round(&self, round: &Round) -> Result<(), Error> {
        let context = self.context("open_round", &round.job.cause);
        let Some((tx, run)) = self.begin(&round.job, &context).await? else { return Ok(()) };
        let now = self.clock.now();
        for task in store::task::open_of(&tx, run.name).await? {
            if task.round < round.number {
                end(&tx, task.closed(now)).await?;
            }
        }
        for seat in &round.seats {
            let task = opened(&run, round.number, seat, now);
            if !store::task::insert(&tx, &task).await? {
                continue;
            }
            match round.number {
                OWNER => tx.publish(&events::task_escalated(&task, &run), task.name.task, task.version)?,
                _ => tx.publish(&events::task_created(&task, &run), task.name.task, task.version)?,
            }
        }
        Ok(tx.commit().await?)
    }

    /// Has those reminded who have not decided.
    pub(crate) async fn remind(&self, round: &Round) -> Result<(), Error> {
        let context = self.context("remind", &round.job.cause);
        let Some((tx, run)) = self.begin(&round.job, &context).await? else { return Ok(()) };
        let now = self.clock.now();
        for task in store::task::open_of(&tx, run.name).await? {
            if task.round != round.number || task.remind_time.is_some() {
                continue;
            }
            let task = task.reminded(now);
            store::task::save(&tx, &task).await?;
            tx.publish(&events::task_reminded(&task, &run), task.name.task, task.version)?;
        }
        Ok(tx.commit().await?)
    }

    /// Writes a decision down. The audit names who decided and in which call.
    pub(crate) async fn record(&self, record: &Record) -> Result<(), Error> {
        let Record { job, vote } = record;
        let name = TaskName { organization: OrganizationId(job.organization), task: vote.task };
        let context = CallContext {
            method: "workos.workflow.v1.TaskService/CompleteTask".to_owned(),
            resource: name.to_string(),
            actor: UserId(vote.user).name(),
            audit: true,
            ..self.context("record_decision", &vote.cause)
        };
        let Some((tx, run)) = self.begin(job, &context).await? else { return Ok(()) };
        match store::task::find(&tx, name).await? {
            Some(task) if task.state == TaskState::Open => {
                end(&tx, task.decided(vote.decision, vote.comment.clone(), vote.id, self.clock.now())).await?;
                tx.commit().await?;
                self.changed(run.name);
            }
            Some(task) if task.vote == Some(vote.id) => {}
            _ => tracing::error!(task = %name, "a decision was taken for a task that is not open"),
        }
        Ok(())
    }

    /// Ends the run and what is left of its tasks.
    pub(crate) async fn finish(&self, finish: &Finish) -> Result<(), Error> {
        let context = self.context("finish", &finish.job.cause);
        let Some((tx, run)) = self.begin(&finish.job, &context).await? else { return Ok(()) };
        let now = self.clock.now();
        for task in store::task::open_of(&tx, run.name).await? {
            end(&tx, task.closed(now)).await?;
        }
        let run = run.ended(&finish.ending, now);
        store::run::close(&tx, &run).await?;
        tx.publish(&events::run_ended(&run), run.name.run, run.version)?;
        tx.commit().await?;
        self.changed(run.name);
        Ok(())
    }

    /// Ends the delegation of a run.
    pub(crate) async fn release(&self, job: &Job) -> Result<(), Error> {
        let context = self.context("release_delegation", &job.cause);
        let run = self.load(job, &context).await?;
        self.peers.release(&run.delegation, &context).await
    }

    /// Context of background work that follows from a call.
    pub(super) fn context(&self, step: &str, cause: &Cause) -> CallContext {
        CallContext {
            request_id: cause.request_id.clone(),
            traceparent: cause.traceparent.clone(),
            method: format!("workflow/{step}"),
            actor: "workloads/workflow".to_owned(),
            deadline: Some(Instant::now() + TIME),
            ..CallContext::default()
        }
    }

    /// Opens a transaction with the run locked; `None` when it has ended.
    async fn begin(&self, job: &Job, context: &CallContext) -> Result<Option<(Tx, Run)>, Error> {
        let tx = self.db.tenant_as(OrganizationId(job.organization), context).await?;
        let run = store::run::lock(&tx, name_of(job)).await?.ok_or_else(|| missing(job))?;
        Ok((!run.is_closed()).then_some((tx, run)))
    }

    async fn load(&self, job: &Job, context: &CallContext) -> Result<Run, Error> {
        let tx = self.db.tenant_as(OrganizationId(job.organization), context).await?;
        let found = store::run::find(&tx, name_of(job), None).await?;
        Ok(found.ok_or_else(|| missing(job))?.run)
    }
}

fn opened(run: &Run, round: i16, seat: &Seat, now: time::OffsetDateTime) -> Task {
    Task {
        name: TaskName { organization: run.name.organization, task: seat.task },
        run: run.name,
        document: run.document(),
        assignee: UserId(seat.user),
        round,
        state: TaskState::Open,
        decision: None,
        comment: String::new(),
        vote: None,
        due_time: now + run.approval.due_after,
        remind_time: None,
        version: 1,
        create_time: now,
        end_time: None,
    }
}

async fn end(tx: &Tx, task: Task) -> Result<(), Error> {
    store::task::save(tx, &task).await?;
    Ok(tx.publish(&events::task_ended(&task), task.name.task, task.version)?)
}

fn name_of(job: &Job) -> RunName {
    RunName { organization: OrganizationId(job.organization), run: job.run }
}

/// A restored database may have lost a run that the engine still has.
fn missing(job: &Job) -> Error {
    Error::StepRefused(format!("{} does not exist; the database is older than the engine's record", name_of(job)))
}
