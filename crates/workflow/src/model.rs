//! Runs and tasks as values, with the rules that hold for them. Pure: no I/O, no clock, nothing of the wire or the engine.
mod approval;
mod list;
mod run;
mod task;

pub(crate) use approval::{Approval, Draft};
pub(crate) use list::{Listed, Position, Window};
pub(crate) use run::{Outcome, Run, State};
pub(crate) use task::{Task, TaskState, comment};

pub(crate) use crate::flow::{Decision, Rule};

api::resource_name!(
    /// Name of a run.
    pub(crate) struct RunName { organization: api::OrganizationId, run: api::Id } = "organizations/*/runs/*"
);
api::resource_name!(
    /// Name of a task.
    pub(crate) struct TaskName { organization: api::OrganizationId, task: api::Id } = "organizations/*/tasks/*"
);
api::resource_name!(
    /// Name of a document, which the document service owns.
    pub(crate) struct DocumentName { organization: api::OrganizationId, document: api::Id }
    = "organizations/*/documents/*"
);

/// What a request may hold at most.
pub(crate) mod limit {
    use std::time::Duration;

    /// People who approve.
    pub(crate) const APPROVERS: usize = 20;
    /// Bytes of a comment.
    pub(crate) const COMMENT: usize = 4 << 10;
    /// Characters of a request id.
    pub(crate) const REQUEST_ID: usize = 128;
    /// Shortest time to decide.
    pub(crate) const DUE_MIN: Duration = Duration::from_millis(100);
    /// Longest time to decide: two rounds of it stay below the longest life of a delegation, 400 days.
    pub(crate) const DUE_MAX: Duration = Duration::from_hours(190 * 24);
    /// Time to decide when the request does not say.
    pub(crate) const DUE_DEFAULT: Duration = Duration::from_hours(7 * 24);
}
