//! Every way this service can fail, and the one place where it becomes an error of the API.
use proto::search::v1::ErrorReason as Reason;

use crate::{
    backend::BackendError,
    model::{QueryError, limit},
};

/// A failure of a use case. Messages tell the reader what to do, and never quote what is indexed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that has its API form already: permission, field, page, or of a peer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] db::Error),
    /// The index engine.
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("query: at character {position}: {problem}")]
    QueryInvalid { position: usize, problem: &'static str },
    #[error("query: more than {limit} {what}; search for less at once")]
    QueryTooComplex { what: &'static str, limit: usize },
    #[error("facets: no such facet; use type, media_type or folder")]
    FacetUnknown,
    #[error("types: no such type; use document or file")]
    TypeUnknown,
    #[error("{field}: more than {max} values; select fewer", max = limit::SELECTED)]
    TooManySelected { field: &'static str },
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid { position, problem } => Self::QueryInvalid { position, problem },
            QueryError::TooComplex { what, limit } => Self::QueryTooComplex { what, limit },
        }
    }
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let invalid = |reason, field: &str| Self::invalid(reason, message.clone()).violation(field, message.clone());
        match error {
            Error::Api(error) => error,
            Error::Store(error) => error.into(),
            Error::Backend(error @ (BackendError::Busy(_) | BackendError::Unusable(_))) => {
                Self::unavailable("the search index").caused_by(error)
            }
            Error::Backend(error @ BackendError::Failed(_)) => Self::internal(error),
            Error::QueryInvalid { position, .. } => {
                invalid(Reason::QueryInvalid, "query").with("position", position.to_string())
            }
            Error::QueryTooComplex { limit, .. } => {
                invalid(Reason::QueryTooComplex, "query").with("limit", limit.to_string())
            }
            Error::FacetUnknown => invalid(Reason::FacetUnknown, "facets"),
            Error::TypeUnknown => invalid(Reason::TypeUnknown, "types"),
            Error::TooManySelected { field } => {
                let problem = format!("holds more than {} values; select fewer", limit::SELECTED);
                Self::invalid_field(field, problem).with("limit", limit::SELECTED.to_string())
            }
        }
    }
}
