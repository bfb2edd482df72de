//! What went wrong on the way, in the words of gRPC (PROTOCOL-HTTP2): the code of a reset, and whether any server can have
//! seen the request. The text of a driver stays in the log.
use api::{Code, CommonReason, Error};
use http::StatusCode;

/// A try that brought no answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reach: Reach,
    pub(super) error: Error,
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A limit of ours held it back: sending it again would meet the same limit.
    Held,
    /// No server looked at it: it was not sent, or refused, or stood above the last stream of a GOAWAY.
    Unsent,
    /// A server may have worked on it.
    Sent,
}

/// What a failure says of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It works.
    Succeeded,
    /// It failed, or was lost.
    Failed,
    /// It has more to do than it can: less should go there, but it is not broken.
    Overloaded,
    /// Nothing.
    Unclear,
}

impl Outcome {
    /// What an answer with this status says.
    pub(super) fn of(status: &tonic::Status) -> Self {
        match status.code() {
            tonic::Code::Ok => Self::Succeeded,
            tonic::Code::Unavailable => match Error::from_status(status).reason() {
                "SERVER_OVERLOADED" => Self::Overloaded,
                // Not this one, but one behind it.
                "UPSTREAM_OVERLOADED" => Self::Unclear,
                _ => Self::Failed,
            },
            tonic::Code::DeadlineExceeded => Self::Unclear,
            // Whatever else it says: it answers.
            _ => Self::Succeeded,
        }
    }
}

/// Reads an error of the connection.
pub(super) fn read(error: &h2::Error) -> (Code, Reach, Outcome) {
    of_h2(error).unwrap_or((Code::Unavailable, Reach::Sent, Outcome::Failed))
}

fn of_h2(error: &h2::Error) -> Option<(Code, Reach, Outcome)> {
    if !error.is_remote() {
        return None;
    }
    // A stream meets the GOAWAY only if it stands above the last one that the server took; those below go on.
    if error.is_go_away() {
        return Some((Code::Unavailable, Reach::Unsent, Outcome::Unclear));
    }
    Some(match error.reason()? {
        h2::Reason::REFUSED_STREAM => (Code::Unavailable, Reach::Unsent, Outcome::Overloaded),
        h2::Reason::CANCEL => (Code::Canceled, Reach::Sent, Outcome::Unclear),
        h2::Reason::ENHANCE_YOUR_CALM => (Code::ResourceExhausted, Reach::Sent, Outcome::Overloaded),
        h2::Reason::INADEQUATE_SECURITY => (Code::PermissionDenied, Reach::Sent, Outcome::Unclear),
        _ => (Code::Internal, Reach::Sent, Outcome::Failed),
    })
}

/// The error that a caller sees for it.
pub(super) fn error(service: &str, code: Code, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let reset = |reason| Error::new(code, reason, format!("the {service} service broke off the call"));
    let error = match code {
        Code::Unavailable => Error::unavailable(format_args!("the {service} service")),
        Code::Canceled => reset(CommonReason::CallCanceled),
        Code::ResourceExhausted => reset(CommonReason::ServerOverloaded),
        Code::PermissionDenied => reset(CommonReason::PeerDenied),
        _ => reset(CommonReason::InternalFault),
    };
    error.caused_by(source)
}

/// The error for an answer that is no gRPC: a proxy on the way gave it (`http-grpc-status-mapping.md`). It says so, for a code
/// like UNAUTHENTICATED would otherwise send the caller to sign in.
pub(super) fn no_grpc(service: &str, status: StatusCode) -> Error {
    let (code, reason) = match status.as_u16() {
        401 => (Code::Unauthenticated, CommonReason::InternalFault),
        403 => (Code::PermissionDenied, CommonReason::InternalFault),
        404 => (Code::Unimplemented, CommonReason::InternalFault),
        429 | 502 | 503 | 504 => (Code::Unavailable, CommonReason::ServiceUnavailable),
        _ => (Code::Internal, CommonReason::InternalFault),
    };
    Error::new(code, reason, format!("the {service} service answered HTTP {} and no gRPC", status.as_u16()))
}
