//! Performs the steps that `flow` declares.
#![expect(dead_code, reason = "the macro makes a constant of each step, for workflows; ours use those of `flow`")]
use std::sync::Arc;

use temporalio_common::error::ApplicationFailure;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    error::Error,
    flow::{Finish, Job, Record, Round, step},
    service::Runs,
};

/// Performs steps over the use cases.
pub(super) struct Performer {
    runs: Arc<Runs>,
}

impl Performer {
    pub(super) fn new(runs: Arc<Runs>) -> Self {
        Self { runs }
    }
}

#[activities]
impl Performer {
    #[activity(name = step::CHECK_DOCUMENT)]
    async fn check_document(self: Arc<Self>, _context: ActivityContext, job: Job) -> Result<(), ActivityError> {
        done(self.runs.check_document(&job).await)
    }

    #[activity(name = step::CREATE_TASKS)]
    async fn create_tasks(self: Arc<Self>, _context: ActivityContext, round: Round) -> Result<(), ActivityError> {
        done(self.runs.open_round(&round).await)
    }

    #[activity(name = step::REMIND)]
    async fn remind(self: Arc<Self>, _context: ActivityContext, round: Round) -> Result<(), ActivityError> {
        done(self.runs.remind(&round).await)
    }

    #[activity(name = step::ESCALATE)]
    async fn escalate(self: Arc<Self>, _context: ActivityContext, round: Round) -> Result<(), ActivityError> {
        done(self.runs.open_round(&round).await)
    }

    #[activity(name = step::RECORD)]
    async fn record_decision(self: Arc<Self>, _context: ActivityContext, record: Record) -> Result<(), ActivityError> {
        done(self.runs.record(&record).await)
    }

    #[activity(name = step::FINISH)]
    async fn finish(self: Arc<Self>, _context: ActivityContext, finish: Finish) -> Result<(), ActivityError> {
        done(self.runs.finish(&finish).await)
    }

    #[activity(name = step::RELEASE)]
    async fn release_delegation(self: Arc<Self>, _context: ActivityContext, job: Job) -> Result<(), ActivityError> {
        done(self.runs.release(&job).await)
    }
}

/// What is refused is not tried again and is told to people; anything else is, and only its reason goes into the history.
fn done(result: Result<(), Error>) -> Result<(), ActivityError> {
    let failure = match result {
        Ok(()) => return Ok(()),
        Err(Error::StepRefused(why)) => {
            ApplicationFailure::builder(why).type_name(step::REFUSED.to_owned()).non_retryable(true).build()
        }
        Err(error) => {
            tracing::warn!(error.message = %error, error.cause = ?std::error::Error::source(&error), "a step is tried again");
            ApplicationFailure::new(api::Error::from(error).to_string())
        }
    };
    Err(ActivityError::application(failure))
}
