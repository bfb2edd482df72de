//! Every way this service can fail, and the one place where it becomes an error of the API.
use api::Code;
use proto::document::v1::ErrorReason as Reason;

use crate::model::{FolderName, limit};

/// A failure of a use case. Messages tell the reader what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that has its API form already: permission, existence, etag, field, page, or of a peer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] db::Error),
    #[error("the title {0}; send 1 to {max} bytes of text without control characters", max = limit::TITLE)]
    TitleInvalid(&'static str),
    #[error("the text {0}; send at most {max} bytes of UTF-8 without NUL, and larger text as a file", max = limit::CONTENT)]
    ContentInvalid(&'static str),
    #[error("the metadata {problem}; mend it, or keep the data in a file")]
    MetadataInvalid { problem: &'static str, limit: Option<usize> },
    #[error("{0} does not exist; create it first, or leave the folder empty for the root folder")]
    FolderNotFound(FolderName),
    #[error("the parent has a folder of this name already, perhaps in other letter case; choose another display_name")]
    FolderExists,
    #[error("the folder still holds documents or folders; move or delete them first")]
    FolderNotEmpty,
    #[error("the folder would lie deeper than {max} levels; create it further up", max = limit::DEPTH)]
    FolderTooDeep,
    #[error("the document is in the trash; undelete it first")]
    Deleted,
    #[error("the document is in the trash already; send allow_missing if that is fine")]
    DeletedAlready,
    #[error("the document is not in the trash; there is nothing to undelete")]
    NotDeleted,
    #[error("{0} does not exist; ListRevisions names those that do")]
    RevisionNotFound(String),
    #[error(
        "the principal must be users/{{user}}, or of the document's own organization: organizations/{{organization}}#member, #viewer, #editor, #admin or #owner, or #member of one of its groups or custom roles, or #holder of one of its links"
    )]
    PrincipalInvalid,
    #[error("the document has {limit} {what} already; remove one first")]
    LimitReached { what: &'static str, limit: usize },
    #[error("your own share of this document ends earlier or allows less than this grant; give at most what you have")]
    GrantTooWide,
    #[error("{0} does not exist or you may not read it; attach a file that you can read")]
    FileNotFound(String),
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let invalid = |reason, field| Self::invalid(reason, message.clone()).violation(field, message.clone());
        let refused = |reason| Self::new(Code::FailedPrecondition, reason, message.clone());
        match error {
            Error::Api(error) => error,
            Error::Store(error) => error.into(),
            Error::TitleInvalid(_) => {
                invalid(Reason::TitleInvalid, "document.title").with("limit", limit::TITLE.to_string())
            }
            Error::ContentInvalid(_) => {
                invalid(Reason::ContentInvalid, "document.content").with("limit", limit::CONTENT.to_string())
            }
            Error::MetadataInvalid { limit, .. } => {
                let error = invalid(Reason::MetadataInvalid, "document.metadata");
                limit.into_iter().fold(error, |error, limit| error.with("limit", limit.to_string()))
            }
            Error::FolderNotFound(folder) => refused(Reason::FolderNotFound).with("folder", folder.to_string()),
            Error::FolderExists => Self::new(Code::AlreadyExists, Reason::FolderExists, message),
            Error::FolderNotEmpty => refused(Reason::FolderNotEmpty),
            Error::FolderTooDeep => refused(Reason::FolderTooDeep).with("limit", limit::DEPTH.to_string()),
            Error::Deleted => refused(Reason::DocumentDeleted),
            Error::DeletedAlready => Self::new(Code::NotFound, Reason::DocumentDeleted, message),
            Error::NotDeleted => Self::new(Code::AlreadyExists, Reason::DocumentNotDeleted, message),
            Error::RevisionNotFound(name) => {
                Self::new(Code::NotFound, Reason::RevisionNotFound, message).with("name", name)
            }
            Error::PrincipalInvalid => invalid(Reason::PrincipalInvalid, "grant.principal"),
            Error::LimitReached { what, limit } => {
                refused(Reason::LimitReached).with("what", what).with("limit", limit.to_string())
            }
            Error::GrantTooWide => refused(Reason::GrantTooWide),
            Error::FileNotFound(file) => refused(Reason::FileNotFound).with("file", file),
        }
    }
}
