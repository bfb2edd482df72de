//! Whose rows a transaction may see, and the SQL that opens it.
use std::{fmt::Write, time::Duration};

use api::{OrganizationId, UserId};

/// Whose rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    /// Those of one organization; the user, if a person calls, for rows of his own.
    Tenant { organization: OrganizationId, subject: Option<UserId> },
    /// Those of one user.
    Subject(UserId),
    /// All, for a reason that was logged.
    System,
    /// All, for the relay, which publishes while its transaction is open.
    Relay,
}

impl Scope {
    /// Organization under which the transaction's events and audit rows stand.
    pub(crate) fn organization(self) -> OrganizationId {
        match self {
            Self::Tenant { organization, .. } => organization,
            Self::Subject(_) | Self::System | Self::Relay => OrganizationId::SYSTEM,
        }
    }

    /// Opens the transaction. One simple query: should a setting fail, the transaction is already open and therefore aborted,
    /// so a statement sent right behind cannot run without its walls. Only UUIDs, numbers and checked names are formatted in.
    pub(crate) fn begin(self, service: &str, limit: Duration) -> String {
        let mut sql = format!("begin; set local statement_timeout = {}", limit.as_millis().clamp(1, 86_400_000));
        let set = |sql: &mut String, name: &str, id: uuid::Uuid| {
            write!(sql, "; set local workos.{name} = '{id}'").expect("writing to a string cannot fail");
        };
        match self {
            Self::Tenant { organization, subject } => {
                set(&mut sql, "organization", organization.uuid());
                if let Some(user) = subject {
                    set(&mut sql, "subject", user.uuid());
                }
            }
            Self::Subject(user) => set(&mut sql, "subject", user.uuid()),
            Self::System => sql += &format!("; set local role workos_{service}_system"),
            Self::Relay => {
                sql += &format!(
                    "; set local role workos_{service}_system; set local idle_in_transaction_session_timeout = '60s'"
                );
            }
        }
        sql
    }
}
