//! What is wrong with a request or a response, in the closed form the edge can render.
//!
//! A problem never carries text of a driver or of a parser library: the message is written here, for
//! the caller, and says what to do. The stable reason and the field violations are for programs.

/// One wrong field, named as the caller wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field in the caller's own spelling: `book.title`, `items[3].name`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub description: String,
}

/// gRPC code numbers this crate produces itself.
pub(crate) mod code {
    pub(crate) const INVALID_ARGUMENT: i32 = 3;
    pub(crate) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(crate) const INTERNAL: i32 = 13;
    pub(crate) const UNAUTHENTICATED: i32 = 16;
}

/// A refusal: HTTP status, gRPC code, stable reason, message and the fields at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// HTTP status to answer with; kept apart because 415 or 406 have no gRPC code of their own.
    pub http: u16,
    /// gRPC code number (`google.rpc.Code`).
    pub code: i32,
    /// Stable reason for `google.rpc.ErrorInfo`, in UPPER_SNAKE_CASE.
    pub reason: &'static str,
    /// For the developer who sent the request: what is wrong and what to do.
    pub message: String,
    /// The fields at fault, for `google.rpc.BadRequest`.
    pub violations: Vec<FieldViolation>,
    /// What varies in the message, for `ErrorInfo.metadata`.
    pub metadata: Vec<(&'static str, String)>,
}

impl Problem {
    /// A 400 INVALID_ARGUMENT.
    #[must_use]
    pub fn invalid(reason: &'static str, message: impl Into<String>) -> Self {
        Self::with(400, code::INVALID_ARGUMENT, reason, message)
    }

    /// A 500 INTERNAL: a backend's answer that cannot be shown.
    #[must_use]
    pub fn internal(reason: &'static str, message: impl Into<String>) -> Self {
        Self::with(500, code::INTERNAL, reason, message)
    }

    /// Any status with any gRPC code.
    #[must_use]
    pub fn with(http: u16, code: i32, reason: &'static str, message: impl Into<String>) -> Self {
        Self { http, code, reason, message: message.into(), violations: Vec::new(), metadata: Vec::new() }
    }

    /// A 400 for one field: the message names it and the violation repeats it for programs.
    #[must_use]
    pub fn field(reason: &'static str, field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        let mut problem = Self::invalid(reason, format!("`{field}`: {description}"));
        problem.violations.push(FieldViolation { field, description });
        problem
    }

    /// Adds a varying part of the message to the metadata.
    #[must_use]
    pub fn about(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }
}
