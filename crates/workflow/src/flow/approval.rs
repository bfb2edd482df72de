//! Approval of a document: check, ask, remind, hand over, end.
//!
//! ```text
//! check_document -> create_tasks -> [decide | remind | due] -> escalate -> [decide | remind | due] -> finish -> release
//! ```
//! What must hold: a decision that was taken is written down before the run ends or goes to the owner; however the run ends, also
//! when it is canceled, `finish` and `release` run, under a token of their own that a cancel does not reach.
use std::{error::Error, pin::pin, time::Duration};

use futures::FutureExt as _;
use temporalio_common::{
    ActivityDefinition,
    error::{ApplicationFailure, IncomingError},
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityCancellationType, ActivityExecutionError, ActivityOptions, RetryPolicy, WaitConditionOptions,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination, select,
};

use super::{
    Ending, Finish, Input, Record, Round, Seat, Steps, Vote,
    ballot::{Ballot, Decision},
    step,
};

/// Time of one attempt of a step; a worker that died in it is noticed after that.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Attempts of a step that the run may fail by: about 16 hours.
const ATTEMPTS: u32 = 1000;
/// Longest wait between two attempts.
const PAUSE: Duration = Duration::from_secs(60);

/// Approval of a document.
#[workflow]
pub(crate) struct Approval {
    input: Input,
    ballot: Ballot,
}

/// Why a run stops without an outcome.
enum Stop {
    Canceled,
    Failed(String),
}

#[workflow_methods]
impl Approval {
    #[init]
    fn new(_context: &WorkflowContextView, input: Input) -> Self {
        Self { ballot: Ballot::new(input.rule, &input.approvers), input }
    }

    #[run(name = "document_approval")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let ending = match Self::ask(ctx).await {
            Ok(ending) => ending,
            Err(Stop::Canceled) => Ending::Canceled,
            Err(Stop::Failed(why)) => Ending::Failed(why),
        };
        ctx.state_mut(|state| state.ballot.close());
        Self::settle(ctx).await;
        let job = ctx.state(|state| state.input.job.clone());
        let finish = Finish { job: job.clone(), ending: ending.clone() };
        ctx.execute_activity(Steps::finish, finish, detached(0)).await?;
        // When it cannot be taken back the delegation ends by its own time.
        let _ = ctx.execute_activity(Steps::release_delegation, job, detached(ATTEMPTS)).await;
        match ending {
            Ending::Canceled => Err(WorkflowTermination::cancelled()),
            Ending::Failed(why) => Err(ApplicationFailure::non_retryable(why).into()),
            Ending::Approved | Ending::Rejected | Ending::Expired => Ok(()),
        }
    }

    #[update_validator(decide)]
    fn may_decide(&self, _context: &WorkflowContextView, vote: &Vote) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.ballot.check(vote)?)
    }

    /// Takes a decision and returns when it is written down.
    #[update(name = "decide")]
    pub(crate) async fn decide(
        ctx: &mut WorkflowContext<Self>,
        vote: Vote,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Two votes may pass the validator before either is taken.
        let taken = ctx.state_mut(|state| {
            let checked = state.ballot.check(&vote);
            if checked.is_ok() {
                state.ballot.take(&vote);
            }
            checked
        });
        taken?;
        let job = ctx.state(|state| state.input.job.clone());
        ctx.execute_activity(Steps::record_decision, Record { job, vote }, detached(0)).await?;
        Ok::<(), Box<dyn Error + Send + Sync>>(())
    }

    /// From the check to the outcome.
    async fn ask(ctx: &WorkflowContext<Self>) -> Result<Ending, Stop> {
        let input = ctx.state(|state| state.input.clone());
        Self::perform(ctx, Steps::check_document, input.job.clone()).await?;
        let approvers = Round { job: input.job.clone(), number: 1, seats: input.approvers };
        Self::perform(ctx, Steps::create_tasks, approvers.clone()).await?;
        if let Some(ending) = Self::wait(ctx, approvers).await? {
            return Ok(ending);
        }
        let owner: Seat = input.owner;
        ctx.state_mut(|state| state.ballot.hand_over(&owner));
        Self::settle(ctx).await;
        let owner = Round { job: input.job, number: 2, seats: vec![owner] };
        Self::perform(ctx, Steps::escalate, owner.clone()).await?;
        Ok(Self::wait(ctx, owner).await?.unwrap_or(Ending::Expired))
    }

    /// Waits for the outcome of one round; `None` when the time is over.
    async fn wait(ctx: &WorkflowContext<Self>, round: Round) -> Result<Option<Ending>, Stop> {
        let (due, remind) = ctx.state(|state| (state.input.due_millis, state.input.remind_millis));
        let mut verdict = pin!(ctx.wait_condition(|state| state.ballot.verdict().is_some()));
        let mut due = pin!(ctx.timer(Duration::from_millis(due)).fuse());
        let reminder = async {
            ctx.timer(Duration::from_millis(remind)).await;
            // Nobody waits for a reminder, and a run does not fail by it.
            let _ = ctx.execute_activity(Steps::remind, round, options(ATTEMPTS)).await;
        };
        let mut reminder = pin!(reminder.fuse());
        loop {
            select! {
                decided = verdict => {
                    decided.map_err(|_| Stop::Canceled)?;
                    return Ok(ctx.state(|state| state.ballot.verdict()).map(ending));
                }
                _ = due => return Ok(None),
                () = reminder => {}
            }
        }
    }

    /// Waits until all decisions taken are written down.
    async fn settle(ctx: &WorkflowContext<Self>) {
        let handlers = ctx.clone();
        let token = WorkflowCancellationToken::new();
        let alone = WaitConditionOptions::builder().cancellation_token(token).build();
        // The token is nobody else's: the wait cannot be canceled.
        let _ = ctx.wait_condition_with_options(move |_| handlers.all_handlers_finished(), alone).await;
    }

    async fn perform<A>(ctx: &WorkflowContext<Self>, activity: A, input: A::Input) -> Result<(), Stop>
    where
        A: ActivityDefinition<Output = ()>,
    {
        ctx.execute_activity(activity, input, options(ATTEMPTS)).await.map_err(stop)
    }
}

fn ending(verdict: Decision) -> Ending {
    match verdict {
        Decision::Approve => Ending::Approved,
        Decision::Reject => Ending::Rejected,
    }
}

/// A step that a cancel of the run ends, once it has really stopped.
fn options(attempts: u32) -> ActivityOptions {
    let again = RetryPolicy::builder()
        .initial_interval(Duration::from_millis(200))
        .maximum_interval(PAUSE)
        .maximum_attempts(attempts)
        .build();
    ActivityOptions::with_start_to_close_timeout(ATTEMPT)
        .retry_policy(again)
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .build()
}

/// A step that no cancel reaches; 0 attempts are as many as it takes.
fn detached(attempts: u32) -> ActivityOptions {
    let mut options = options(attempts);
    options.cancellation_token = Some(WorkflowCancellationToken::new());
    options
}

fn stop(error: ActivityExecutionError) -> Stop {
    match &error {
        ActivityExecutionError::Cancelled(_) => Stop::Canceled,
        error => match error.cause() {
            Some(IncomingError::Application(failure)) if failure.type_name() == Some(step::REFUSED) => {
                Stop::Failed(failure.source_error().to_string())
            }
            _ => Stop::Failed(
                "a step of the run failed again and again; start it again, or ask the operators".to_owned(),
            ),
        },
    }
}
