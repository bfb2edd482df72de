//! Tasks: get, list, complete.
use api::{Caller, Id, OrganizationId, Role, UserId};

use super::{Runs, cause};
use crate::{
    error::Error,
    flow::{Refusal, Vote},
    model::{Decision, Listed, Position, Task, TaskName, TaskState, Window, limit},
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

    /// Decides a task. The run takes the decision or refuses it; the answer comes when it is written down, and it is the row of
    /// the task that remembers which request it was.
    pub(crate) async fn complete(
        &self,
        caller: &Caller,
        name: TaskName,
        decision: Decision,
        comment: String,
        request_id: &str,
    ) -> Result<Task, Error> {
        let user = caller.user_required()?;
        let vote = Vote {
            id: self.vote_id(user, request_id)?,
            task: name.task,
            user: user.0,
            decision,
            comment,
            cause: cause(caller.context()),
        };
        let tx = self.db.tenant(caller).await?;
        if let Some(task) = store::task::find_vote(&tx, name.organization, vote.id).await? {
            return completed(task, name, &vote);
        }
        let task = assigned(caller, store::task::find(&tx, name).await?, name)?;
        drop(tx);
        if task.state != TaskState::Open {
            // Perhaps by another try of this request, since its vote was looked for.
            return closed(task, name, &vote);
        }
        match self.engine.decide(task.run, &vote).await {
            // That it is closed is not yet an answer: an earlier try of this request may have closed it.
            Ok(()) | Err(Trouble::Gone | Trouble::Refused(Refusal::Closed)) => {}
            Err(Trouble::Refused(Refusal::NotAssignee)) => return Err(Error::NotAssignee),
            Err(trouble) => return Err(Error::EngineAway(trouble)),
        }
        let tx = self.db.tenant(caller).await?;
        let task = assigned(caller, store::task::find(&tx, name).await?, name)?;
        closed(task, name, &vote)
    }

    /// A repeated request is the same vote.
    fn vote_id(&self, user: UserId, request_id: &str) -> Result<Id, Error> {
        if request_id.is_empty() {
            return Ok(self.ids.next());
        }
        if request_id.len() > limit::REQUEST_ID || !request_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = "must be at most 128 visible ASCII characters; send a UUID";
            return Err(api::Error::invalid_field("request_id", problem).into());
        }
        Ok(Id::derive(user.0, request_id.as_bytes()))
    }
}

/// The answer of a task that is closed: to the vote that closed it, and to any other.
fn closed(task: Task, name: TaskName, vote: &Vote) -> Result<Task, Error> {
    if task.vote == Some(vote.id) { completed(task, name, vote) } else { Err(Error::TaskClosed) }
}

/// The answer to a vote that was taken: the task, unless the request id belonged to another request.
fn completed(task: Task, name: TaskName, vote: &Vote) -> Result<Task, Error> {
    let same = task.name == name && task.decision == Some(vote.decision) && task.comment == vote.comment;
    if same { Ok(task) } else { Err(api::Error::request_id_reused().into()) }
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
