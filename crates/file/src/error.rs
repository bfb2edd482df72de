//! Every way this service can fail, and the one place where it becomes an error of the API.
use std::time::Duration;

use api::Code;
use proto::file::v1::ErrorReason as Reason;

use crate::{content::ContentError, model::FileName};

/// A failure of a use case. Messages tell the reader what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that has its API form already.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] db::Error),
    /// The place of the bytes.
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the upload stands at offset {current}; continue there")]
    OffsetMismatch { current: i64 },
    #[error("more bytes than the {limit} that are allowed; what was not acknowledged before does not count")]
    TooLarge { limit: i64 },
    #[error("the length is missing or negative; send 0 or more")]
    LengthInvalid,
    #[error("the upload metadata {0}; send `key base64` pairs separated by commas, at most 8 KiB")]
    MetadataInvalid(&'static str),
    #[error("files of the type {0} are not accepted here; ask the operator (setting file.refused_types)")]
    TypeRefused(String),
    #[error("another request writes this upload; ask for its offset and try again shortly")]
    Locked,
    #[error("the upload is complete; it is {0}")]
    Complete(FileName),
    #[error("the file name {0}; send 1 to 255 characters without control characters")]
    NameInvalid(&'static str),
    #[error("the file is attached to documents; detach it first")]
    Attached,
    #[error("the range lies outside the {size} bytes of the file")]
    RangeUnsatisfiable { size: i64 },
    #[error("the stream must be `start`, then `chunk`s of at most 1 MiB, then `finish`")]
    StreamInvalid,
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let invalid = |reason, field| Self::invalid(reason, message.clone()).violation(field, message.clone());
        match error {
            Error::Api(error) => error,
            Error::Store(error) => error.into(),
            Error::Content(error) => content(error),
            Error::OffsetMismatch { current } => {
                Self::new(Code::Aborted, Reason::OffsetMismatch, message).with("offset", current.to_string())
            }
            Error::TooLarge { limit } => {
                Self::new(Code::OutOfRange, Reason::UploadTooLarge, message).with("limit", limit.to_string())
            }
            Error::LengthInvalid => invalid(Reason::LengthInvalid, "upload.length_bytes"),
            Error::MetadataInvalid(_) => invalid(Reason::MetadataInvalid, "upload.raw_metadata"),
            Error::TypeRefused(media_type) => {
                invalid(Reason::TypeRefused, "upload.media_type").with("media_type", media_type)
            }
            Error::Locked => {
                Self::new(Code::Unavailable, Reason::UploadLocked, message).retry_after(Duration::from_secs(1))
            }
            Error::Complete(file) => {
                Self::new(Code::FailedPrecondition, Reason::UploadComplete, message).with("file", file.to_string())
            }
            Error::NameInvalid(_) => invalid(Reason::FileNameInvalid, "upload.display_name"),
            Error::Attached => Self::new(Code::FailedPrecondition, Reason::FileAttached, message),
            Error::RangeUnsatisfiable { size } => {
                Self::new(Code::OutOfRange, Reason::RangeUnsatisfiable, message).with("size", size.to_string())
            }
            Error::StreamInvalid => Self::invalid(Reason::StreamInvalid, message),
        }
    }
}

fn content(error: ContentError) -> api::Error {
    match error {
        ContentError::Full => api::Error::new(
            Code::ResourceExhausted,
            Reason::StorageFull,
            "the storage is full; try again later, the offset is still true",
        )
        .retry_after(Duration::from_secs(60)),
        ContentError::Damaged => api::Error::new(
            Code::Internal,
            Reason::ContentDamaged,
            "the stored bytes are not those that were received; restore the file from a backup",
        )
        .caused_by(error),
        ContentError::Io(source) => api::Error::unavailable("the storage").caused_by(source),
    }
}
