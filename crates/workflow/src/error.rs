//! Every way this service can fail, and the one place where it becomes an error of the API.
use std::time::Duration;

use api::Code;
use proto::workflow::v1::ErrorReason as Reason;

use crate::{model::RunName, temporal::Trouble};

/// A failure of a use case. Messages tell the reader what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that has its API form already: permission, existence, field, page, or of a peer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] db::Error),
    /// A field of the approval, without its path.
    #[error("{field}: {problem}")]
    InputInvalid { field: &'static str, problem: String },
    #[error("{0} exists already; choose another run_id, or leave it empty")]
    RunExists(RunName),
    #[error("the run has ended")]
    RunClosed,
    #[error("the task is no longer open: it was decided, handed over, or its run has ended")]
    TaskClosed,
    #[error("only its assignee completes a task; ask them")]
    NotAssignee,
    #[error("the workflow engine is not available right now; try again shortly")]
    EngineAway(#[source] Trouble),
    /// A step that no repetition mends; the text is for people.
    #[error("{0}")]
    StepRefused(String),
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refused = |reason| Self::new(Code::FailedPrecondition, reason, message.clone());
        match error {
            Error::Api(error) => error,
            Error::Store(error) => error.into(),
            Error::InputInvalid { field, problem } => {
                let path = format!("run.document_approval.{field}");
                Self::invalid(Reason::InputInvalid, format!("{path}: {problem}")).violation(path, problem)
            }
            Error::RunExists(run) => {
                Self::new(Code::AlreadyExists, Reason::RunExists, message).with("run", run.to_string())
            }
            Error::RunClosed => refused(Reason::RunClosed),
            Error::TaskClosed => refused(Reason::TaskClosed),
            Error::NotAssignee => Self::new(Code::PermissionDenied, Reason::NotAssignee, message),
            Error::EngineAway(trouble) => Self::new(Code::Unavailable, Reason::EngineUnavailable, message)
                .retry_after(Duration::from_secs(2))
                .caused_by(trouble),
            Error::StepRefused(_) => Self::fault(message),
        }
    }
}
