//! Every way this service can fail, and the one place where it becomes an error of the API.
use api::Code;
use proto::notification::v1::ErrorReason as Reason;

/// A failure of a use case. Messages tell the reader what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that has its API form already: permission, existence, field, page, or of a peer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] db::Error),
    #[error("{0} does not exist; ListInboxItems names those that do")]
    ItemNotFound(String),
    #[error("mails are sent through a mail server here, none are captured; read them where they arrive")]
    CaptureOff,
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Api(error) => error,
            Error::Store(error) => error.into(),
            Error::ItemNotFound(name) => Self::new(Code::NotFound, Reason::ItemNotFound, message).with("name", name),
            Error::CaptureOff => Self::new(Code::FailedPrecondition, Reason::CaptureOff, message),
        }
    }
}
