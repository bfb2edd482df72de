//! What a refusal means that no service has made: its code says all there is to know.
use super::{Code, CommonReason};

/// A status without details was made by transport, not by a service.
pub(super) fn reason_of_transport(code: Code) -> CommonReason {
    match code {
        Code::Unavailable => CommonReason::ServiceUnavailable,
        Code::DeadlineExceeded => CommonReason::DeadlinePassed,
        Code::Canceled => CommonReason::CallCanceled,
        Code::Unimplemented => CommonReason::MethodUnknown,
        Code::OutOfRange | Code::ResourceExhausted => CommonReason::MessageTooLarge,
        Code::Unauthenticated => CommonReason::CredentialInvalid,
        Code::PermissionDenied => CommonReason::AccessDenied,
        Code::NotFound => CommonReason::ResourceNotFound,
        Code::AlreadyExists => CommonReason::ResourceExists,
        Code::Aborted => CommonReason::Conflict,
        Code::InvalidArgument | Code::FailedPrecondition => CommonReason::FieldInvalid,
        Code::Internal => CommonReason::InternalFault,
    }
}
