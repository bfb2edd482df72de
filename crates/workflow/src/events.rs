//! What this service publishes. It hears only that an organization is gone for good.
use proto::workflow::v1::{RunEnded, RunStarted, TaskCreated, TaskEnded, TaskEscalated, TaskReminded, run, task};

use crate::model::{Decision, Outcome, Run, State, Task};

/// A run was accepted.
pub(crate) fn run_started(run: &Run) -> RunStarted {
    RunStarted { name: run.name.to_string() }
}

/// A run ended.
pub(crate) fn run_ended(run: &Run) -> RunEnded {
    RunEnded {
        name: run.name.to_string(),
        state: state(run.state).into(),
        outcome: outcome(run.outcome).into(),
        creator: run.creator.name(),
        subject: run.document().to_string(),
        title: run.title.clone(),
    }
}

/// A task was given to an approver.
pub(crate) fn task_created(task: &Task, run: &Run) -> TaskCreated {
    TaskCreated {
        name: task.name.to_string(),
        run: task.run.to_string(),
        assignee: task.assignee.name(),
        subject: task.document.to_string(),
        title: run.title.clone(),
    }
}

/// The assignee is to be reminded.
pub(crate) fn task_reminded(task: &Task, run: &Run) -> TaskReminded {
    TaskReminded {
        name: task.name.to_string(),
        run: task.run.to_string(),
        assignee: task.assignee.name(),
        subject: task.document.to_string(),
        title: run.title.clone(),
    }
}

/// A task was given to the owner, because nobody decided in time.
pub(crate) fn task_escalated(task: &Task, run: &Run) -> TaskEscalated {
    TaskEscalated {
        name: task.name.to_string(),
        run: task.run.to_string(),
        assignee: task.assignee.name(),
        subject: task.document.to_string(),
        title: run.title.clone(),
    }
}

/// A task ended.
pub(crate) fn task_ended(task: &Task) -> TaskEnded {
    TaskEnded {
        name: task.name.to_string(),
        run: task.run.to_string(),
        assignee: task.assignee.name(),
        decision: decision(task.decision).into(),
    }
}

/// A state in the words of the contract.
pub(crate) fn state(state: State) -> run::State {
    match state {
        State::Starting => run::State::Starting,
        State::Running => run::State::Running,
        State::Completed => run::State::Completed,
        State::Failed => run::State::Failed,
        State::Canceled => run::State::Canceled,
    }
}

/// An outcome in the words of the contract.
pub(crate) fn outcome(outcome: Option<Outcome>) -> run::Outcome {
    match outcome {
        None => run::Outcome::Unspecified,
        Some(Outcome::Approved) => run::Outcome::Approved,
        Some(Outcome::Rejected) => run::Outcome::Rejected,
        Some(Outcome::Expired) => run::Outcome::Expired,
    }
}

/// A decision in the words of the contract.
pub(crate) fn decision(decision: Option<Decision>) -> task::Decision {
    match decision {
        None => task::Decision::Unspecified,
        Some(Decision::Approve) => task::Decision::Approve,
        Some(Decision::Reject) => task::Decision::Reject,
    }
}
