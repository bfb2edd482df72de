//! Errors: a closed set of codes, a machine-readable reason always, a message that tells the reader what to do (AIP-193).
//!
//! This is the only file that makes a `tonic::Status`. A driver's text never becomes part of a message: it goes into the
//! source, which is logged by the mesh under the request id and never sent.
mod transport;

use std::{borrow::Cow, collections::BTreeMap, error, fmt, sync::Arc, time::Duration};

use proto::Reason;
use tonic_types::{ErrorDetails, StatusExt};

use crate::CommonReason;

/// The codes that a service may choose, and those that transport adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request alone is wrong (400).
    InvalidArgument,
    /// The state forbids it (400).
    FailedPrecondition,
    /// Past the end (400).
    OutOfRange,
    /// Who are you (401).
    Unauthenticated,
    /// May not, or may not exist (403).
    PermissionDenied,
    /// May be seen, is not there (404).
    NotFound,
    /// Etag or transaction conflict (409).
    Aborted,
    /// Id or key taken (409).
    AlreadyExists,
    /// Quota or load (429).
    ResourceExhausted,
    /// Our fault (500).
    Internal,
    /// Try again (503).
    Unavailable,
    /// The deadline passed (504).
    DeadlineExceeded,
    /// No such method (501).
    Unimplemented,
    /// The caller went away (499).
    Canceled,
}

impl From<Code> for tonic::Code {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::OutOfRange => Self::OutOfRange,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::NotFound => Self::NotFound,
            Code::Aborted => Self::Aborted,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Internal => Self::Internal,
            Code::Unavailable => Self::Unavailable,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Unimplemented => Self::Unimplemented,
            Code::Canceled => Self::Cancelled,
        }
    }
}

impl From<tonic::Code> for Code {
    fn from(code: tonic::Code) -> Self {
        match code {
            tonic::Code::InvalidArgument => Self::InvalidArgument,
            tonic::Code::FailedPrecondition => Self::FailedPrecondition,
            tonic::Code::OutOfRange => Self::OutOfRange,
            tonic::Code::Unauthenticated => Self::Unauthenticated,
            tonic::Code::PermissionDenied => Self::PermissionDenied,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::Aborted => Self::Aborted,
            tonic::Code::AlreadyExists => Self::AlreadyExists,
            tonic::Code::ResourceExhausted => Self::ResourceExhausted,
            tonic::Code::Unavailable => Self::Unavailable,
            tonic::Code::DeadlineExceeded => Self::DeadlineExceeded,
            tonic::Code::Unimplemented => Self::Unimplemented,
            tonic::Code::Cancelled => Self::Canceled,
            tonic::Code::Ok | tonic::Code::Unknown | tonic::Code::Internal | tonic::Code::DataLoss => Self::Internal,
        }
    }
}

/// An error as a client may see it, with a source that only logs see.
#[derive(Clone)]
pub struct Error(Box<Parts>);

#[derive(Clone)]
struct Parts {
    code: Code,
    reason: Cow<'static, str>,
    domain: Cow<'static, str>,
    message: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<(String, String)>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// An error with its code, reason and a message that says what to do.
    #[must_use]
    pub fn new<R: Reason>(code: Code, reason: R, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            reason: Cow::Borrowed(reason.as_reason()),
            domain: Cow::Borrowed(R::DOMAIN),
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// INVALID_ARGUMENT with a reason.
    #[must_use]
    pub fn invalid<R: Reason>(reason: R, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, reason, message)
    }

    /// INVALID_ARGUMENT about one request field.
    #[must_use]
    pub fn invalid_field(field: &str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::invalid(CommonReason::FieldInvalid, format!("{field}: {problem}")).violation(field, problem)
    }

    /// PERMISSION_DENIED, the same for what is forbidden, foreign and absent.
    #[must_use]
    pub fn denied() -> Self {
        let message =
            "you may not do this, or the resource does not exist; ask its owner or an administrator for access";
        Self::new(Code::PermissionDenied, CommonReason::AccessDenied, message)
    }

    /// NOT_FOUND, for callers who may read everything under the parent.
    #[must_use]
    pub fn not_found(name: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, CommonReason::ResourceNotFound, format!("{name} does not exist"))
            .with("name", name.to_string())
    }

    /// ALREADY_EXISTS with the name that is taken.
    #[must_use]
    pub fn already_exists(name: impl fmt::Display) -> Self {
        let message = format!("{name} exists already; choose another id or read the existing one");
        Self::new(Code::AlreadyExists, CommonReason::ResourceExists, message).with("name", name.to_string())
    }

    /// UNAUTHENTICATED: no credential.
    #[must_use]
    pub fn credential_missing() -> Self {
        let message =
            "this needs a signed-in caller; send `Authorization: Bearer <access token>` (get one with `workos login`)";
        Self::new(Code::Unauthenticated, CommonReason::CredentialMissing, message)
    }

    /// UNAUTHENTICATED, the same for every kind of bad credential.
    #[must_use]
    pub fn credential_invalid() -> Self {
        let message = "the access token is malformed, expired, revoked or not for this platform; sign in again";
        Self::new(Code::Unauthenticated, CommonReason::CredentialInvalid, message)
    }

    /// UNAUTHENTICATED: the sign-in is too old or too weak for the method (RFC 9470). `max_age` in seconds.
    #[must_use]
    pub fn step_up_required(acr: u32, max_age: Option<u32>) -> Self {
        let message = "this needs a fresh or stronger sign-in; step up with `POST /v1/login:stepUp`, then repeat the call with the new token";
        let error =
            Self::new(Code::Unauthenticated, CommonReason::StepUpRequired, message).with("acr", acr.to_string());
        match max_age {
            Some(seconds) => error.with("max_age", seconds.to_string()),
            None => error,
        }
    }

    /// PERMISSION_DENIED: for the user alone, not for who acts as him.
    #[must_use]
    pub fn impersonated() -> Self {
        let message = "you act as somebody else, and this is for the user alone; sign in yourself";
        Self::new(Code::PermissionDenied, CommonReason::Impersonated, message)
    }

    /// ABORTED: the etag is not the current one, which is in the metadata.
    #[must_use]
    pub fn etag_mismatch(current: &str) -> Self {
        let message =
            format!("the resource has changed, its etag is now {current}; read it again and repeat the change");
        Self::new(Code::Aborted, CommonReason::EtagMismatch, message).with("etag", current)
    }

    /// INVALID_ARGUMENT: the request id belongs to another request.
    #[must_use]
    pub fn request_id_reused() -> Self {
        let message = "this request_id was used before with another request; use a new UUID";
        Self::invalid(CommonReason::RequestIdReused, message).violation("request_id", "was used with another request")
    }

    /// UNAVAILABLE with RetryInfo; `what` names what is away, in the reader's words.
    #[must_use]
    pub fn unavailable(what: impl fmt::Display) -> Self {
        let message = format!("{what} is not available right now; try again shortly");
        Self::new(Code::Unavailable, CommonReason::ServiceUnavailable, message).retry_after(Duration::from_secs(1))
    }

    /// ABORTED: a concurrent transaction won.
    #[must_use]
    pub fn conflict() -> Self {
        Self::new(Code::Aborted, CommonReason::Conflict, "a concurrent change came first; try again")
    }

    /// DEADLINE_EXCEEDED.
    #[must_use]
    pub fn deadline() -> Self {
        let message = "the deadline passed before the answer was ready; try again, perhaps with more time";
        Self::new(Code::DeadlineExceeded, CommonReason::DeadlinePassed, message)
    }

    /// INTERNAL: our fault; the source is logged, never sent.
    #[must_use]
    pub fn internal(source: impl error::Error + Send + Sync + 'static) -> Self {
        Self::fault("a fault on our side; it is logged under the request id").caused_by(source)
    }

    /// INTERNAL without a source.
    #[must_use]
    pub fn fault(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, CommonReason::InternalFault, message)
    }

    /// Adds a value that varies in the message.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a violation of a request field.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, problem: impl Into<String>) -> Self {
        self.0.violations.push((field.into(), problem.into()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The machine-readable reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The domain of the reason, for example `document.workos.dev`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// When to try again.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The same request may succeed later without a change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.code(),
            Code::Unavailable
                | Code::Aborted
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Internal
                | Code::Canceled
        )
    }

    /// Reads the error of a peer. Its text is kept: the peer is one of ours and has cleaned it.
    #[must_use]
    pub fn from_status(status: &tonic::Status) -> Self {
        let details = status.get_error_details();
        let code = Code::from(status.code());
        let mut parts = Self::new(code, CommonReason::InternalFault, status.message()).0;
        if let Some(info) = details.error_info() {
            parts.reason = Cow::Owned(info.reason.clone());
            parts.domain = Cow::Owned(info.domain.clone());
            parts.metadata = info.metadata.clone().into_iter().collect();
        } else {
            parts.reason = Cow::Borrowed(transport::reason_of_transport(code).as_reason());
        }
        if let Some(request) = details.bad_request() {
            parts.violations =
                request.field_violations.iter().map(|v| (v.field.clone(), v.description.clone())).collect();
        }
        parts.retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        Self(parts)
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        let Error(parts) = error;
        let mut details = ErrorDetails::new();
        details.set_error_info(
            parts.reason,
            parts.domain,
            parts.metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
        for (field, problem) in parts.violations {
            details.add_bad_request_violation(field, problem);
        }
        if let Some(delay) = parts.retry_after {
            details.set_retry_info(Some(delay));
        }
        let mut status = Self::with_error_details(parts.code.into(), parts.message, details);
        if let Some(source) = parts.source {
            status.set_source(source);
        }
        status
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::from_status(&status)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.reason, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("Error");
        out.field("code", &self.0.code).field("reason", &self.0.reason).field("message", &self.0.message);
        out.field("metadata", &self.0.metadata)
            .field("violations", &self.0.violations)
            .field("source", &self.0.source)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire_without_its_source() {
        let sent = Error::invalid_field("title", "is empty")
            .with("limit", "1024")
            .retry_after(Duration::from_secs(2))
            .caused_by(fmt::Error);
        let status = tonic::Status::from(sent);
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let read = Error::from_status(&status);
        assert_eq!(read.reason(), "FIELD_INVALID");
        assert_eq!(read.domain(), "api.workos.dev");
        assert_eq!(read.metadata().get("limit").map(String::as_str), Some("1024"));
        assert_eq!(read.retry_delay(), Some(Duration::from_secs(2)));
        assert!(std::error::Error::source(&read).is_none());
    }

    #[test]
    fn what_is_hidden_and_what_is_absent_give_the_same_error() {
        assert_eq!(Error::denied().to_string(), Error::denied().to_string());
        assert!(!Error::denied().message().contains("organizations/"));
    }
}
