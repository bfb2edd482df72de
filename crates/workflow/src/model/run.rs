//! Runs.
use api::{Id, UserId};
use time::OffsetDateTime;

use super::{Approval, DocumentName, RunName};
use crate::flow::{Cause, Ending, Input, Job, Seat};

/// State of a run, numbered as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Accepted; the engine has not taken it yet.
    Starting = 1,
    /// The engine has it.
    Running = 2,
    /// Ended with an outcome.
    Completed = 3,
    /// Ended by an error.
    Failed = 4,
    /// Ended on request.
    Canceled = 5,
}

/// How an approval ended, numbered as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Approved = 1,
    Rejected = 2,
    Expired = 3,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: RunName,
    pub(crate) approval: Approval,
    /// Who decides when nobody does in time.
    pub(crate) owner: UserId,
    /// Revision of the document when the run was created.
    pub(crate) revision: i64,
    /// Title of the document when the run was created.
    pub(crate) title: String,
    pub(crate) creator: UserId,
    /// Name of the delegation that the steps act by.
    pub(crate) delegation: String,
    /// Context of the call that created it.
    pub(crate) cause: Cause,
    pub(crate) state: State,
    pub(crate) outcome: Option<Outcome>,
    /// Why it failed.
    pub(crate) error: String,
    /// Number of the newest event.
    pub(crate) version: i64,
    pub(crate) create_time: OffsetDateTime,
    pub(crate) end_time: Option<OffsetDateTime>,
    /// When it was asked to end.
    pub(crate) cancel_time: Option<OffsetDateTime>,
}

impl Run {
    /// It has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.state >= State::Completed
    }

    /// What the etag is made of: it changes with everything that a reader sees, also when the engine took the run, of which
    /// there is no event.
    pub(crate) fn stamp(&self) -> i64 {
        self.version * 8 + self.state as i64
    }

    /// The document it is about.
    pub(crate) fn document(&self) -> DocumentName {
        self.approval.document
    }

    /// The run as it ends.
    pub(crate) fn ended(self, ending: &Ending, now: OffsetDateTime) -> Self {
        let (state, outcome, error) = match ending {
            Ending::Approved => (State::Completed, Some(Outcome::Approved), String::new()),
            Ending::Rejected => (State::Completed, Some(Outcome::Rejected), String::new()),
            Ending::Expired => (State::Completed, Some(Outcome::Expired), String::new()),
            Ending::Failed(why) => (State::Failed, None, why.clone()),
            Ending::Canceled => (State::Canceled, None, String::new()),
        };
        Self { state, outcome, error, version: self.version + 1, end_time: Some(now), ..self }
    }

    /// What the engine is to run.
    pub(crate) fn input(&self) -> Input {
        let approvers = self.approval.approvers.iter().map(|user| self.seat(b"approver", *user));
        Input {
            job: Job { organization: self.name.organization.0, run: self.name.run, cause: self.cause.clone() },
            rule: self.approval.rule,
            due_millis: millis(self.approval.due_after),
            remind_millis: millis(self.approval.remind_after),
            approvers: approvers.collect(),
            owner: self.seat(b"owner", self.owner),
        }
    }

    /// The task of a person: the same id each time it is asked for.
    fn seat(&self, part: &[u8], user: UserId) -> Seat {
        let task = Id::derive(self.name.run, &[part, user.uuid().as_bytes().as_slice()].concat());
        Seat { task, user: user.0 }
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
