//! Tasks: get, list, complete.
use api::{Caller, Id, OrganizationId, Role};

use super::{Attempt, Runs, cause};
use crate::{
    error::Error,
    flow::{Refusal, Vote},
    model::{Decision, Listed, Position, Task, TaskName, TaskState, Window},
    store,
    temporal::Trouble,
};

impl Runs {
    /// Gets a task of the caller's, or any by role.
    pub(crate) async fn get_task(&self, caller: &Caller, name: TaskName) -> Result<Task, Error> {
        let tx = self.db.tenant(caller).await?;
        let found = store::task::find(&tx, name).await?;
        Ok(caller.permit_own(found, |task| Some(task.assignee) == caller.user(), name)?)
    }

    /// Lists the caller's tasks.
    pub(crate) async fn list_tasks(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        closed: bool,
        window: Window,
    ) -> Result<Listed<Task>, Error> {
        let assignee = caller.user_required()?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::task::list(&tx, organization, assignee, closed, &window).await?;
        Ok(window.page(rows, |last| Position::of(last.create_time, last.name.task)))
    }

    /// Decides a task. The run takes the decision or refuses it; the answer comes when it is written down.
    pub(crate) async fn complete(
        &self,
        caller: &Caller,
        name: TaskName,
        decision: Decision,
        comment: String,
        attempt: &Attempt,
    ) -> Result<Task, Error> {
        let user = caller.user_required()?;
        let tx = self.db.tenant(caller).await?;
        if attempt.replay(&tx).await?.is_some() {
            drop(tx);
            return self.get_task(caller, name).await;
        }
        let task = assigned(caller, store::task::find(&tx, name).await?, name)?;
        drop(tx);
        let vote = Vote {
            id: self.vote_id(&task, attempt),
            task: name.task,
            user: user.0,
            decision,
            comment,
            cause: cause(caller.context()),
        };
        if task.state == TaskState::Open {
            self.vote(&task, &vote).await?;
        }
        self.voted(caller, name, vote.id, attempt).await
    }

    /// Hands the vote to the run. That the task is closed is not yet an answer: an earlier try of this vote may have closed it.
    async fn vote(&self, task: &Task, vote: &Vote) -> Result<(), Error> {
        match self.engine.decide(task.run, vote).await {
            Ok(()) | Err(Trouble::Gone | Trouble::Refused(Refusal::Closed)) => Ok(()),
            Err(Trouble::Refused(Refusal::NotAssignee)) => Err(Error::NotAssignee),
            Err(trouble) => Err(Error::EngineAway(trouble)),
        }
    }

    /// The answer: the task, if it was this vote that completed it.
    async fn voted(&self, caller: &Caller, name: TaskName, vote: Id, attempt: &Attempt) -> Result<Task, Error> {
        let tx = self.db.tenant(caller).await?;
        let first = attempt.replay(&tx).await?.is_none();
        let task = assigned(caller, store::task::find(&tx, name).await?, name)?;
        if task.vote != Some(vote) {
            return Err(Error::TaskClosed);
        }
        if first && !attempt.request_id.is_empty() {
            tx.remember(&attempt.request_id, &name.to_string());
            tx.commit().await?;
        }
        Ok(task)
    }

    /// A repeated request is the same vote.
    fn vote_id(&self, task: &Task, attempt: &Attempt) -> Id {
        match attempt.request_id.as_str() {
            "" => self.ids.next(),
            request_id => Id::derive(task.name.task, &[request_id.as_bytes(), &attempt.fingerprint].concat()),
        }
    }
}

/// Only its assignee completes a task; who may read all tasks hears why he cannot, others hear nothing.
fn assigned(caller: &Caller, found: Option<Task>, name: TaskName) -> Result<Task, Error> {
    let reads_all = caller.role().is_some_and(|role| role as i32 >= Role::Viewer as i32);
    match found {
        Some(task) if Some(task.assignee) == caller.user() => Ok(task),
        Some(_) if reads_all => Err(Error::NotAssignee),
        None if reads_all => Err(api::Error::not_found(name).into()),
        _ => Err(api::Error::denied().into()),
    }
}
