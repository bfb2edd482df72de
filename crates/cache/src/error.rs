//! The ways the cache can fail. All but wrong settings mean: go on without it.
use std::error;

/// A failure of the cache. The driver's words are in [`error::Error::source`], for logs alone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot work; the text says what to do.
    #[error("{0}")]
    Configuration(String),
    /// Redis is away, slow or refuses the command.
    #[error("the cache is not available")]
    Unavailable(#[source] Fault),
    /// The value cannot be written as JSON, or is larger than 1 MiB.
    #[error("the value cannot be cached")]
    Unfit(#[source] Fault),
}

/// The driver's words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Error {
    pub(crate) fn unavailable(cause: impl ToString) -> Self {
        Self::Unavailable(Fault(cause.to_string()))
    }

    pub(crate) fn unfit(cause: impl ToString) -> Self {
        Self::Unfit(Fault(cause.to_string()))
    }
}

impl From<fred::error::Error> for Error {
    fn from(cause: fred::error::Error) -> Self {
        Self::unavailable(cause)
    }
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let answer = match &error {
            Error::Unavailable(_) | Error::Configuration(_) => Self::unavailable("the cache"),
            Error::Unfit(_) => Self::fault("a fault on our side; it is logged under the request id"),
        };
        let source: Option<Fault> = error::Error::source(&error).and_then(|source| source.downcast_ref().cloned());
        match source {
            Some(fault) => answer.caused_by(fault),
            None => answer,
        }
    }
}
