//! Every way this service can fail, and the one place where it becomes an error of the API.
use proto::__name__::v1::ErrorReason as Reason;

use crate::model::DISPLAY_NAME_MAX;

/// A failure of a use case. Messages tell the reader what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that has its API form already: permission, existence, field, page.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] db::Error),
    #[error("the display name {0}; send 1 to {DISPLAY_NAME_MAX} bytes of text without control characters")]
    DisplayNameInvalid(&'static str),
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Api(error) => error,
            Error::Store(error) => error.into(),
            Error::DisplayNameInvalid(_) => Self::invalid(Reason::DisplayNameInvalid, message.clone())
                .violation("__name__.display_name", message)
                .with("limit", DISPLAY_NAME_MAX.to_string()),
        }
    }
}
