//! Every way the database can fail, as a closed set of kinds.
//!
//! A driver's text never leaves this crate as a message: it is kept as the [`Fault`] behind an error, which logs see and
//! clients do not. Values of rows (PostgreSQL's DETAIL) are dropped even there.
use std::{error, fmt, io, sync::Arc};

use tokio_postgres::error::{DbError, SqlState};

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Debug)]
pub enum Kind {
    /// PostgreSQL is away, overloaded or restarting, or no connection came free. Try again.
    Unavailable,
    /// The deadline passed, or the statement took longer than it allows.
    Deadline,
    /// Deadlock, serialization failure or lock not available. Try the whole transaction again.
    Conflict,
    /// A unique constraint or index refused the row.
    Unique {
        /// Name of the constraint.
        constraint: String,
    },
    /// A foreign key refused the row.
    ForeignKey {
        /// Name of the constraint.
        constraint: String,
    },
    /// A check constraint refused the row.
    Check {
        /// Name of the constraint.
        constraint: String,
    },
    /// A text holds what PostgreSQL cannot store: U+0000.
    Invalid,
    /// The schema is older than this program needs; the text says what to do.
    SchemaOutdated(String),
    /// Settings that cannot work; the text says what to do.
    Configuration(String),
    /// A fault of the program: wrong SQL, wrong types, a row that the tenant wall refused.
    Internal,
    /// Not a failure of the database: an answer for the client that arose in a transaction.
    Refused(api::Error),
}

/// A failure of the database.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    fault: Option<Arc<Fault>>,
}

/// The driver's words, for logs alone.
#[derive(Debug)]
struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl error::Error for Fault {}

impl Error {
    pub(crate) fn new(kind: Kind, fault: impl Into<String>) -> Self {
        Self { kind, fault: Some(Arc::new(Fault(fault.into()))) }
    }

    pub(crate) fn internal(fault: impl Into<String>) -> Self {
        Self::new(Kind::Internal, fault)
    }

    pub(crate) fn configuration(text: impl Into<String>) -> Self {
        Self { kind: Kind::Configuration(text.into()), fault: None }
    }

    /// A connection could not be made: whatever the driver calls it, PostgreSQL is away, unless it refuses the role.
    pub(crate) fn connecting(error: &tokio_postgres::Error, role: &str) -> Self {
        let refused =
            [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, SqlState::INVALID_CATALOG_NAME];
        let kind = match error.code() {
            Some(code) if refused.contains(code) => Kind::Configuration(format!(
                "PostgreSQL does not let role {role} in; run `workos migrate`, and give the service the same password and database"
            )),
            _ => Kind::Unavailable,
        };
        Self::new(kind, describe(error))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// This unique constraint refused the row.
    #[must_use]
    pub fn is_unique(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Unique { constraint } if constraint == name)
    }

    /// This foreign key refused the row.
    #[must_use]
    pub fn is_foreign_key(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::ForeignKey { constraint } if constraint == name)
    }

    /// This check constraint refused the row.
    #[must_use]
    pub fn is_check(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Check { constraint } if constraint == name)
    }

    /// The connection may be broken and must not be used again.
    pub(crate) fn breaks_connection(&self) -> bool {
        matches!(self.kind, Kind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Unavailable => formatter.write_str("the database is not available"),
            Kind::Deadline => formatter.write_str("the database did not answer before the deadline"),
            Kind::Conflict => formatter.write_str("a concurrent transaction came first"),
            Kind::Unique { constraint } | Kind::ForeignKey { constraint } | Kind::Check { constraint } => {
                write!(formatter, "constraint {constraint} refused the row")
            }
            Kind::Invalid => formatter.write_str("a text holds U+0000, which cannot be stored"),
            Kind::SchemaOutdated(text) | Kind::Configuration(text) => formatter.write_str(text),
            Kind::Internal => formatter.write_str("a fault in the use of the database"),
            Kind::Refused(error) => error.fmt(formatter),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.fault.as_deref().map(|fault| fault as _)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let kind = match error.as_db_error() {
            Some(answer) => kind_of(answer),
            None if error.is_closed()
                || error::Error::source(&error).is_some_and(|source| source.is::<io::Error>()) =>
            {
                Kind::Unavailable
            }
            None => Kind::Internal,
        };
        Self::new(kind, describe(&error))
    }
}

impl From<api::Error> for Error {
    fn from(error: api::Error) -> Self {
        Self { kind: Kind::Refused(error), fault: None }
    }
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let answer = match error.kind {
            Kind::Refused(answer) => return answer,
            Kind::Unavailable => Self::unavailable("the database"),
            Kind::Deadline => Self::deadline(),
            Kind::Conflict => Self::conflict(),
            Kind::Invalid => Self::invalid(
                api::CommonReason::FieldInvalid,
                "a text holds the character U+0000, which cannot be stored; remove it",
            ),
            // A constraint that the service did not expect to fail is its fault, not the caller's.
            Kind::Unique { .. } | Kind::ForeignKey { .. } | Kind::Check { .. } | Kind::Internal => {
                Self::fault("a fault on our side; it is logged under the request id")
            }
            Kind::SchemaOutdated(_) | Kind::Configuration(_) => Self::unavailable("the database"),
        };
        match error.fault {
            Some(fault) => answer.caused_by(Fault(fault.0.clone())),
            None => answer,
        }
    }
}

/// SQLSTATE to kind. The classes are those of PostgreSQL's appendix A.
fn kind_of(error: &DbError) -> Kind {
    let constraint = || error.constraint().unwrap_or_default().to_owned();
    match error.code().code() {
        "23505" | "23P01" => Kind::Unique { constraint: constraint() },
        "23503" => Kind::ForeignKey { constraint: constraint() },
        "23514" => Kind::Check { constraint: constraint() },
        "40001" | "40P01" | "55P03" => Kind::Conflict,
        "57014" => Kind::Deadline,
        "22021" | "22P05" => Kind::Invalid,
        // A standby after a failover, and a plan made before a migration: a fresh connection helps.
        "25006" => Kind::Unavailable,
        "0A000" if error.message().starts_with("cached plan") => Kind::Unavailable,
        code if ["08", "53", "57", "58"].contains(&&code[..2]) || code == "25P03" => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

/// The driver's words with their causes, without values of rows.
pub(crate) fn describe(error: &(dyn error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        match error.downcast_ref::<DbError>() {
            Some(answer) => {
                text += &format!("{} {}: {}", answer.severity(), answer.code().code(), answer.message());
                for (name, value) in
                    [("table", answer.table()), ("constraint", answer.constraint()), ("hint", answer.hint())]
                {
                    if let Some(value) = value {
                        text += &format!(" ({name} {value})");
                    }
                }
            }
            None => text += &error.to_string(),
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_never_reads_the_drivers_words() {
        let error = Error::internal("ERROR 42P01: relation \"documents\" does not exist");
        assert!(!error.to_string().contains("relation"));
        let answer = api::Error::from(error);
        assert_eq!(answer.code(), api::Code::Internal);
        assert!(!answer.message().contains("relation"));
        let source = error::Error::source(&answer).expect("the log needs it");
        assert!(source.to_string().contains("42P01"));
    }

    #[test]
    fn what_is_away_asks_to_try_again() {
        let answer = api::Error::from(Error::new(Kind::Unavailable, "connection refused"));
        assert_eq!(answer.code(), api::Code::Unavailable);
        assert!(answer.retry_delay().is_some());
    }

    #[test]
    fn an_answer_for_the_client_passes_unchanged() {
        let answer = api::Error::from(Error::from(api::Error::request_id_reused()));
        assert_eq!(answer.reason(), "REQUEST_ID_REUSED");
    }
}
