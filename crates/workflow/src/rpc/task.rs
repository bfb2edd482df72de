//! Tasks on the wire.
use api::{Error as ApiError, timestamp};
use proto::workflow::v1::{
    self as wire,
    task::{Decision as WireDecision, State},
};

use crate::{
    events,
    model::{Decision, Task, TaskState},
};

/// Reads a decision.
pub(super) fn parse_decision(decision: WireDecision) -> Result<Decision, ApiError> {
    match decision {
        WireDecision::Approve => Ok(Decision::Approve),
        WireDecision::Reject => Ok(Decision::Reject),
        WireDecision::Unspecified => Err(ApiError::invalid_field("decision", "is required; send APPROVE or REJECT")),
    }
}

/// Writes a task.
pub(super) fn render(task: Task) -> wire::Task {
    let state = match task.state {
        TaskState::Open => State::Open,
        TaskState::Completed => State::Completed,
        TaskState::Closed => State::Closed,
    };
    wire::Task {
        name: task.name.to_string(),
        run: task.run.to_string(),
        assignee: task.assignee.name(),
        subject: task.document.to_string(),
        state: state.into(),
        decision: events::decision(task.decision).into(),
        comment: task.comment,
        due_time: Some(timestamp(task.due_time)),
        create_time: Some(timestamp(task.create_time)),
        end_time: task.end_time.map(timestamp),
    }
}
