//! The deterministic part: what runs do, as Temporal replays it. No clock, no randomness, no I/O in here; all of that happens
//! in steps, which are declared here and performed in `temporal`.
//!
//! What must hold: every type below stands in histories that outlive a release, so fields may be added with a default but never
//! renamed or removed; a change of the order of steps needs `patched`, and the saved histories of each release must replay.
use api::Id;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

mod approval;
mod ballot;

pub(crate) use approval::Approval;
pub(crate) use ballot::{Decision, Refusal, Rule};

/// Names of the steps, as histories hold them.
pub(crate) mod step {
    pub(crate) const CHECK_DOCUMENT: &str = "check_document";
    pub(crate) const CREATE_TASKS: &str = "create_tasks";
    pub(crate) const REMIND: &str = "remind";
    pub(crate) const ESCALATE: &str = "escalate";
    pub(crate) const RECORD: &str = "record_decision";
    pub(crate) const FINISH: &str = "finish";
    pub(crate) const RELEASE: &str = "release_delegation";
    /// Type of a failure that no repetition mends; its message is for people.
    pub(crate) const REFUSED: &str = "refused";
}

/// Input of a document approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) job: Job,
    pub(crate) rule: Rule,
    /// Time to decide, in each round.
    pub(crate) due_millis: u64,
    /// When to remind, in each round.
    pub(crate) remind_millis: u64,
    pub(crate) approvers: Vec<Seat>,
    pub(crate) owner: Seat,
}

/// Which run a step is for, and in the name of which call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) organization: Id,
    pub(crate) run: Id,
    pub(crate) cause: Cause,
}

/// Context of a call: the events of what follows from it carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) request_id: String,
    pub(crate) traceparent: String,
}

/// A task and whose it is. Its id is derived from run and person, so that a repeated step makes no second one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) task: Id,
    pub(crate) user: Id,
}

/// Tasks of a round; earlier rounds end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) job: Job,
    /// 1 the approvers, 2 the owner.
    pub(crate) number: i16,
    pub(crate) seats: Vec<Seat>,
}

/// A decision about a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vote {
    /// The same for a repeated request.
    pub(crate) id: Id,
    pub(crate) task: Id,
    pub(crate) user: Id,
    pub(crate) decision: Decision,
    pub(crate) comment: String,
    pub(crate) cause: Cause,
}

/// A decision to be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) job: Job,
    pub(crate) vote: Vote,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Approved,
    Rejected,
    Expired,
    Failed(String),
    Canceled,
}

/// The end of a run, to be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finish {
    pub(crate) job: Job,
    pub(crate) ending: Ending,
}

#[cfg(test)]
mod tests;

/// Declares the steps; `temporal` performs them.
pub(crate) struct Steps;

#[activity_definitions]
#[expect(clippy::unimplemented, reason = "the form of a declaration that the macro asks for; it is never called")]
impl Steps {
    #[activity(name = step::CHECK_DOCUMENT)]
    fn check_document(job: Job) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = step::CREATE_TASKS)]
    fn create_tasks(round: Round) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = step::REMIND)]
    fn remind(round: Round) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = step::ESCALATE)]
    fn escalate(round: Round) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = step::RECORD)]
    fn record_decision(record: Record) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = step::FINISH)]
    fn finish(finish: Finish) -> Result<(), ActivityError> {
        unimplemented!()
    }

    #[activity(name = step::RELEASE)]
    fn release_delegation(job: Job) -> Result<(), ActivityError> {
        unimplemented!()
    }
}
